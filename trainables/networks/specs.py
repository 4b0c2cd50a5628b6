"""Names and settings of backbones and front ends; imports no PyTorch."""

import re
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

DEFAULT = "earshot-tiny"
"""The default backbone."""

RANDOM = {  # name: width, blocks, heads
    "random-tiny": (96, 2, 3),
    "random-small": (192, 4, 3),
    "random-base": (768, 12, 12),
}
RESNET = "resnet18"

_FACTORY = re.compile(r"^(?:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|.+\.py):[A-Za-z_]\w*$")


def is_factory(backbone: str) -> bool:
    """Whether the name of a backbone is that of a function, `package.module:function` or `file.py:function`.

    Such a name is code that runs, so it comes from the user, never from the folder of a run or of an export.
    """
    return _FACTORY.match(backbone) is not None


Capability = Literal["embed", "tune", "tokens", "spectrogram", "text"]
"""What a backbone can do and a method may need; see `trainables.networks.backbones.backbone`."""

Layer = int | Literal["last", "mean"]

LONGEST_FINE_CLIP = 3.0  # seconds


FRONT_ENDS = ("kaldi", "reference")


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


@dataclass(frozen=True)
class ClipFormat:
    """Clips of one length.

    Attributes:
        sample_rate: Hz.
        num_samples: length.
    """

    sample_rate: int
    num_samples: int


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone and its options.

    Attributes:
        name: see `trainables.networks.backbones.source`.
        frontend: of an AST; other families have their own.
        layer: the block whose output is the embedding: a number, `last`, or `mean` of all.
    """

    name: str
    frontend: FrontEndSpec = field(default_factory=FrontEndSpec)
    layer: Layer = "last"
