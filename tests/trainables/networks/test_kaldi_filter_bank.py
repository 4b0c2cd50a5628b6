"""The batched filter bank against torchaudio's loop over clips: the same bits on a CPU."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.filter_bank import loop
from datasets.audio.recordings import read_recording
from datasets.utils.errors import EarshotError
from trainables.networks.frontend import FrontEnd
from trainables.networks.kaldi_filter_bank import KaldiFilterBank
from trainables.networks.specs import FrontEndSpec

CLIPS = 33  # more than `trainables.learners.features.BATCH`


@pytest.fixture(scope="module")
def speech(shared: Path) -> Tensor:
    """Real clips of 10 s, cut from joined utterances; the first two are silent and clipped."""
    files = sorted((shared / "corpora" / "ravdess-16k").glob("*/*/*.flac"))[:120]
    samples = np.concatenate([read_recording(file)[0] for file in files])[: CLIPS * 160_000]
    waves = torch.from_numpy(samples.astype(np.float32)).reshape(CLIPS, 160_000)
    waves[0] = 0.0
    waves[1] = (100 * waves[1]).clamp(-1, 1)
    return waves


@pytest.fixture(params=[1, 2])
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("samples", [400, 559, 1_600, 6_400, 31_999, 64_000, 160_000])
def test_the_same_bits_as_the_loop(speech: Tensor, samples: int) -> None:
    bank = KaldiFilterBank(128, torch.device("cpu"))
    waves = speech[:, 5_000 : 5_000 + samples] if samples < 100_000 else speech
    expected = loop(waves)
    assert expected.shape == (CLIPS, KaldiFilterBank.frames(samples), 128)
    for clips in (1, 2, 7, CLIPS):
        assert torch.equal(bank(waves[:clips]), expected[:clips])
    assert torch.equal(bank(waves[5:7]), expected[5:7])


def test_the_same_bits_in_half_precision(speech: Tensor) -> None:
    """As for clips that are mixed up in training."""
    bank, waves = KaldiFilterBank(128, torch.device("cpu")), speech[:7, :32_000]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(bank(waves), loop(waves))


@pytest.mark.parametrize(
    ("spec", "rate", "least"),
    [
        (FrontEndSpec(kind="kaldi"), 16_000, 400),
        (FrontEndSpec(kind="kaldi"), 44_100, 1_100),
        (FrontEndSpec(kind="reference"), 16_000, 201),
        (FrontEndSpec(kind="reference", window=2048), 44_100, 1_025),
    ],
)
def test_clips_shorter_than_a_window(spec: FrontEndSpec, rate: int, least: int) -> None:
    assert FrontEnd(spec, rate, least).frames >= 1
    with pytest.raises(EarshotError, match=rf"at least {least} samples at {rate} Hz, found {least - 1}; use longer"):
        FrontEnd(spec, rate, least - 1)
