"""The benchmark of frozen backbones, and Resemblyzer's encoder with random weights in place of its authors'."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.backbone import rows_of, scores_table
from benchmarks.resemblyzer_encoder import RATE, SpeakerEncoder, window_starts
from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.specs import BackboneSpec, ClipFormat

NAME = "benchmarks/resemblyzer_encoder.py:encoder"


@pytest.fixture
def resemblyzer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of that name, of which only the weights can be used; the name of the encoder."""
    (tmp_path / "resemblyzer").mkdir()
    (tmp_path / "resemblyzer" / "__init__.py").write_text("import webrtcvad\n")
    torch.manual_seed(0)
    weights = {name: value for name, value in SpeakerEncoder().state_dict().items() if not name.startswith("mel")}
    weights |= {"similarity_weight": torch.ones(1), "similarity_bias": torch.ones(1)}
    torch.save({"model_state": weights}, tmp_path / "resemblyzer" / "pretrained.pt")
    monkeypatch.syspath_prepend(tmp_path)
    return str(Path(__file__).parents[2] / NAME)


def test_every_row_uses_the_same_draws(resemblyzer: str, tones: Path) -> None:
    shards = Shards(tones)
    rows = rows_of(shards, ["random-tiny", resemblyzer], shots=3, draws=4)
    assert list(rows) == ["random, as random-tiny", "log-mel mean+std", "mfcc-ncm", "random-tiny", resemblyzer]
    assert all(values.shape == (4,) and ((values >= 0) & (values <= 1)).all() for values in rows.values())
    assert np.array_equal(rows["mfcc-ncm"], rows_of(shards, [], shots=3, draws=4)["mfcc-ncm"])
    assert scores_table(rows, 1 / 6).count("\n| ") == len(rows) + 1


def test_resemblyzer_is_an_own_network(resemblyzer: str) -> None:
    backbone = load_backbone(BackboneSpec(resemblyzer), ClipFormat(RATE, 32_000))
    assert (backbone.dim, backbone.sample_rate, backbone.provides) == (256, RATE, {"embed", "tune"})
    waves = torch.randn(3, 32_000, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        embedded = backbone.embed(1e-4 * waves)
        torch.testing.assert_close(backbone.embed(1e-3 * waves), embedded)  # quiet clips are raised to one level
        torch.testing.assert_close(backbone.embed(1e-4 * waves[:1]), embedded[:1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(3))


def test_without_resemblyzer_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    name = str(Path(__file__).parents[2] / NAME)
    with pytest.raises(EarshotError, match=r"not installed; pip install --no-deps resemblyzer==0\.1\.4$"):
        load_backbone(BackboneSpec(name), ClipFormat(RATE, 16_000))


@pytest.mark.parametrize(
    ("samples", "starts"),  # of Resemblyzer 0.1.4: compute_partial_slices(samples, 1.3, 0.75)
    [(6_400, [0]), (25_600, [0]), (31_000, [0]), (32_000, [0, 77]), (64_000, [0, 77, 154, 231])],
)
def test_windows(samples: int, starts: list[int]) -> None:
    assert window_starts(samples) == starts


def test_the_mel_spectrogram_is_that_of_librosa() -> None:
    """librosa.feature.melspectrogram(sr=16000, n_fft=400, hop_length=160, n_mels=40), from its definition."""
    wave = np.random.default_rng(0).standard_normal(1_600)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    padded = np.pad(wave, 200)
    frames = np.stack([padded[start : start + 400] * window for start in range(0, 1_601, 160)])
    power = np.abs(np.fft.rfft(frames)) ** 2
    log_step, knee = np.log(6.4) / 27, 15.0  # mel of 1000 Hz: linear below, logarithmic above
    mels = np.linspace(0, knee + np.log(8_000 / 1_000) / log_step, 42)
    edges = np.where(mels < knee, mels * 200 / 3, 1_000 * np.exp(log_step * (mels - knee)))
    bins = np.fft.rfftfreq(400, 1 / RATE)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])[:, None]
    expected = torch.from_numpy(filters @ power.T).float()
    found = SpeakerEncoder().mel(torch.from_numpy(wave).float())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
