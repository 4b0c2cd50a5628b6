"""Names and settings of backbones and front ends; imports no PyTorch."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

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

Pool = Literal["mean", "cls", "pooler", "projection"]
"""How tokens become an embedding; each family declares its choices, the first of which is its default."""

Padding = Literal["model", "none"]
"""To which length clips are padded: that which the model was trained with, or their own."""


def upsampling(rate: int, expected: int | None) -> str:
    """What a backbone of a higher sample rate than the clips' misses; empty for any other.

    Args:
        rate: of the clips, Hz.
        expected: the backbone's, Hz; None where it has none.
    """
    if expected is None or expected <= rate:
        return ""
    return f"{rate} Hz; the backbone's is {expected} Hz: the clips have nothing above {rate // 2} Hz"


LOCAL_CODE = "local"
"""Of a folder with code, instead of a commit."""
Revision = Annotated[str, StringConstraints(pattern=rf"^([0-9a-f]{{40}}|{LOCAL_CODE})$")]
"""Which code of others may run."""

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
        pool: how tokens become an embedding; None is the default of the family.
        padding: of the clips.
        trust_remote_code: the revision whose code may run, of a model that comes with its own: a commit, or `local`.
    """

    name: str
    frontend: FrontEndSpec = field(default_factory=FrontEndSpec)
    layer: Layer = "last"
    pool: Pool | None = None
    padding: Padding = "model"
    trust_remote_code: Revision | None = None

    def parse(self, text: str) -> "BackboneSpec":
        """The backbone of a text `NAME` or `NAME@OPTION=VALUE,OPTION=VALUE`; other options are those of this one.

        Raises:
            ValueError: an option does not exist, or its value is invalid.
        """
        name, options = split_options(text)
        return replace(self, name=name, **{key: _option_value(name, key, value) for key, value in options.items()})

    def fields(self) -> dict[str, Any]:
        """The fields of a chain's configuration (`trainables.chain_config`) that describe this backbone."""
        values = {name: getattr(self, name) for name in OPTIONS}
        return {"backbone": self.name, **values}

    def short(self, parts: int = 1) -> "BackboneSpec":
        """What distinguishes it in a sweep: the last parts of its name, without its folder, and its options."""
        return replace(self, name=last_parts(self.name, parts), frontend=FrontEndSpec(kind=self.frontend.kind))

    def __str__(self) -> str:
        """The text that `parse` reads, with the options that do not have their default values."""
        default = BackboneSpec(self.name)
        options = [
            f"{key}={getattr(self, key)}" for key in sorted(OPTIONS) if getattr(self, key) != getattr(default, key)
        ]
        return self.name + (f"@{','.join(options)}" if options else "")


OPTIONS = tuple(part.name for part in fields(BackboneSpec) if part.name != "name")
"""Options of a backbone."""

_WITH_OPTIONS = re.compile(r"^(.+)@(\w+=[^,=@]+(?:,\w+=[^,=@]+)*)$")


def split_options(text: str) -> tuple[str, dict[str, str]]:
    """The name and the options in a text `NAME@OPTION=VALUE,OPTION=VALUE`."""
    match = _WITH_OPTIONS.match(text)
    if match is None:
        return text, {}
    return match[1], dict(pair.split("=") for pair in match[2].split(","))


def last_parts(name: str, parts: int) -> str:
    """The last parts of a path or of a name on the hub: `a/b/model`, 2 -> `b/model`."""
    return str(Path(*Path(name).parts[-parts:]))


def distinguishing_parts(names: Iterable[str]) -> int:
    """How many of the last parts of names distinguish them all: 1 for `a/x, b/y`, 2 for `a/model, b/model`."""
    distinct = set(names)
    longest = max((len(Path(name).parts) for name in distinct), default=1)
    enough = (n for n in range(1, longest) if len({last_parts(name, n) for name in distinct}) == len(distinct))
    return next(enough, max(longest, 1))


def _option_value(name: str, key: str, text: str) -> Any:
    if key not in OPTIONS:
        raise ValueError(f"'{name}': has no option '{key}'; expected {', '.join(OPTIONS)}")
    kind = get_type_hints(BackboneSpec, include_extras=True)[key]
    value = {"kind": text} if kind is FrontEndSpec else text
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise ValueError(f"'{name}': {key}: {error.errors()[0]['msg']}, found '{text}'") from None
