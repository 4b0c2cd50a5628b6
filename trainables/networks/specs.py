"""Names and settings of backbones and front ends; imports no PyTorch."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEFAULT = "earshot-tiny"
"""The default backbone."""

RANDOM = {  # name: width, blocks, heads
    "random-tiny": (96, 2, 3),
    "random-small": (192, 4, 3),
    "random-base": (768, 12, 12),
}
LONGEST_FINE_CLIP = 3.0  # seconds


class FrontEndSpec(BaseModel):
    """The front end, and its window if it is configurable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["kaldi", "reference"] = Field("kaldi", description="front end")
    window: int | None = Field(None, ge=32, description="reference: window and FFT size, samples")
    hop: int | None = Field(None, ge=16, description="reference: step between windows, samples")

    @model_validator(mode="after")
    def _check_window(self) -> "FrontEndSpec":
        if self.kind == "kaldi" and (self.window or self.hop):
            raise ValueError("window and hop need kind: reference; kaldi uses 25 ms every 10 ms")
        return self

    def resolved(self, sample_rate: int, num_samples: int) -> "FrontEndSpec":
        """Sets the default window for clips of `num_samples` at `sample_rate` Hz.

        The releases use 400/160 samples (25 ms every 10 ms) for 2 s at 16 kHz, and 2048/1024 for 4 s at 16 kHz and for
        44.1 kHz. A rule that covers all three: the fine window for clips of at most 3 s at up to 16 kHz.
        """
        if self.kind == "kaldi":
            return FrontEndSpec(kind="kaldi")
        fine = sample_rate <= 16_000 and num_samples <= LONGEST_FINE_CLIP * sample_rate
        window, hop = (400, 160) if fine else (2048, 1024)
        window = self.window or window
        return FrontEndSpec(
            kind="reference", window=window, hop=self.hop or (hop if self.window is None else window // 2)
        )

    def __str__(self) -> str:
        return self.kind if self.window is None else f"{self.kind} {self.window}/{self.hop}"
