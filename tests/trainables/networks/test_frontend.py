"""Front ends compared with the released one, and with the one that AST was pretrained with."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from transformers import ASTFeatureExtractor

from trainables.networks.frontend import FrontEnd
from trainables.networks.specs import FrontEndSpec

INPUTS = [("ls", 16_000), ("ns", 16_000), ("fs", 44_100)]  # 2 s, 4 s, 1 s


@pytest.mark.parametrize(("key", "rate"), INPUTS)
def test_reference_equals_the_released_log_mel(golden: dict[str, np.ndarray], key: str, rate: int) -> None:
    waves = torch.from_numpy(golden[f"wave_{key}"])
    logmel = FrontEnd(FrontEndSpec(kind="reference"), rate, waves.shape[1]).logmel(waves)
    torch.testing.assert_close(logmel, torch.from_numpy(golden[f"logmel_{key}"]), atol=0.01, rtol=0)


def test_kaldi_equals_the_feature_extractor_of_transformers(golden: dict[str, np.ndarray]) -> None:
    waves = golden["wave_ls"]
    features = FrontEnd(FrontEndSpec(kind="kaldi"), 16_000, waves.shape[1])(torch.from_numpy(waves))
    extractor = ASTFeatureExtractor(max_length=features.shape[1])
    expected = extractor(list(waves), sampling_rate=16_000, return_tensors="pt")["input_values"]
    torch.testing.assert_close(features, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("key", "rate"), INPUTS)
def test_kaldi_resamples_every_rate(golden: dict[str, np.ndarray], key: str, rate: int) -> None:
    waves = torch.from_numpy(golden[f"wave_{key}"])
    frontend = FrontEnd(FrontEndSpec(kind="kaldi"), rate, waves.shape[1])
    seconds = waves.shape[1] / rate
    assert frontend(waves).shape == (2, frontend.frames, 128)
    assert frontend.frames == round(seconds * 100) - 2  # 25 ms windows every 10 ms, complete ones only


@pytest.mark.parametrize(
    ("rate", "samples", "window", "hop"),
    [(16_000, 32_000, 400, 160), (16_000, 64_000, 2048, 1024), (44_100, 44_100, 2048, 1024)],
)
def test_default_windows_are_those_of_the_releases(rate: int, samples: int, window: int, hop: int) -> None:
    assert FrontEndSpec(kind="reference").resolved(rate, samples) == FrontEndSpec(
        kind="reference", window=window, hop=hop
    )


def test_the_window_of_kaldi_is_fixed() -> None:
    with pytest.raises(ValidationError, match="window and hop need kind: reference"):
        FrontEndSpec(kind="kaldi", window=1024)


def test_a_custom_window() -> None:
    spec = FrontEndSpec(kind="reference", window=1024)
    assert spec.resolved(16_000, 32_000) == FrontEndSpec(kind="reference", window=1024, hop=512)
    assert str(spec.resolved(16_000, 32_000)) == "reference 1024/512"
