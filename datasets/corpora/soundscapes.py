"""Renders the soundscapes of FSD-MIX-SED from their annotations with `scaper`.

    ANNOTATIONS/base/train/soundscape_1.jams      the sounds to mix, as JSON: JAMS with the `scaper` namespace
    SOURCES/foreground/base/train/12/3456.wav     an event: one folder per class, containing the files
    SOURCES/background/brownnoise/brownnoise.wav  the background noise
    OUT/base/train/soundscape_1.wav               the result: 32-bit WAV, the same bytes that `scaper` itself writes

The other folders of the annotations are base/val, base/test, val and test; `val` and `test` are the novel classes. The
layout is that of the publisher's script (https://github.com/wangyu/rethink-audio-fsl, data/generate_soundscapes.py;
data: https://zenodo.org/record/5574135). An annotation contains paths from the machine on which it was created: only
their last two components, class folder and file, are used, and `source_root` searches for them.

Annotations are untrusted: they cannot refer to files outside SOURCES or cause unbounded memory use. The sources are not
compared with those from which the annotation was created, except that truncated files are rejected.
"""

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, Literal

import numpy as np
import soundfile
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from datasets.audio.recordings import RejectedError, checked_path, duration
from datasets.audio.streams import examine
from datasets.corpora.inventory import Inventory, Rejection, scan
from datasets.utils.errors import EarshotError
from datasets.utils.files import write_atomically
from datasets.utils.text import printable

SUFFIX = ".jams"
MAX_BYTES = 1 << 24
"""Maximum size of an annotation in bytes; one with five events has 10 kB."""
MAX_SECONDS = 3600.0
"""Maximum duration of a soundscape."""
MAX_SAMPLES = 1 << 27
"""Maximum number of samples of all events of a soundscape, each as long as the soundscape: 1 GiB in `scaper`."""

_MAX_VALUE = 80  # characters of an invalid value in a message


class _Event(BaseModel):
    """One sound of the mixture: its source file and the transformations of `scaper`; times in seconds."""

    model_config = ConfigDict(allow_inf_nan=False)

    role: Literal["foreground", "background"]
    source_file: str
    source_time: float = Field(ge=0, le=MAX_SECONDS)
    event_time: float = Field(ge=0, le=MAX_SECONDS)
    event_duration: float = Field(gt=0, le=MAX_SECONDS)
    snr: float = Field(ge=-200, le=200)
    pitch_shift: float | None = Field(ge=-48, le=48)
    time_stretch: float | None = Field(ge=0.05, le=20)

    @property
    def source(self) -> str:
        """'class folder/file'.

        Raises:
            RejectedError: the path could leave its folder, or is not printable.
        """
        folder, name = os.path.split(self.source_file)  # same function as in scaper, so that the same file is checked
        parts = (os.path.basename(folder), name)  # noqa: PTH119
        if any(part in ("", ".", "..") or not part.isprintable() for part in parts):
            value = _shorten(self.source_file)
            raise RejectedError(f"expected a source_file that ends in class folder and file, found {value}")
        return "/".join(parts)


class _Synthesis(BaseModel):
    """How the events are mixed."""

    model_config = ConfigDict(allow_inf_nan=False)

    duration: float = Field(gt=0, le=MAX_SECONDS)
    original_duration: float | None = Field(None, gt=0, le=MAX_SECONDS)
    sr: int = Field(44_100, ge=1_000, le=192_000)
    n_channels: int = Field(ge=1, le=8)
    ref_db: float = Field(ge=-200, le=200)
    fade_in_len: float = Field(ge=0, le=MAX_SECONDS)
    fade_out_len: float = Field(ge=0, le=MAX_SECONDS)
    reverb: float | None = Field(ge=0, le=1)
    protected_labels: list[str]


class _Sandbox(BaseModel):
    scaper: _Synthesis
    slice: Any = None


class _Observation(BaseModel):
    value: _Event


class Annotation(BaseModel):
    """The part of an annotation with the `scaper` namespace that is needed for rendering."""

    data: list[_Observation] = Field(min_length=1)
    sandbox: _Sandbox

    @property
    def events(self) -> list[_Event]:
        """The events, in file order."""
        return [observation.value for observation in self.data]

    @model_validator(mode="after")
    def _check_limits(self) -> "Annotation":
        synthesis = self.sandbox.scaper
        if self.sandbox.slice:
            raise ValueError("cut after it was rendered (scaper.trim): expected a whole soundscape")
        seconds = synthesis.original_duration or synthesis.duration
        if any(event.event_time > seconds for event in self.events):
            raise ValueError(f"an event begins after the end of the soundscape, at {seconds:g} s")
        samples = seconds * synthesis.sr * synthesis.n_channels * len(self.data)
        if samples > MAX_SAMPLES:
            raise ValueError(f"expected at most {MAX_SAMPLES} samples of all events together, found {samples:.0f}")
        return self


def find_annotations(root: Path) -> Inventory:
    """Lists the annotations under `root`.

    Raises:
        EarshotError: `root` is not a readable folder.
    """
    inventory = scan(root, frozenset({SUFFIX}))
    files = tuple(file for file in inventory.files if file.path.endswith(SUFFIX))
    # x.jams and x.JAMS would be the same soundscape
    other = [file.path for file in inventory.files if not file.path.endswith(SUFFIX)]
    rejected = [*inventory.rejected, *(Rejection(printable(path), f"expected the suffix {SUFFIX}") for path in other)]
    return Inventory(files, tuple(sorted(rejected, key=lambda rejection: rejection.file)), inventory.ignored)


def soundscape_path(out: Path, file: str) -> Path:
    """The output path of a soundscape.

    Args:
        out: folder of the soundscapes.
        file: the annotation, relative to its folder.
    """
    return out / f"{file.removesuffix(SUFFIX)}.wav"


def is_complete(path: Path) -> bool:
    """Whether a soundscape exists and has as many samples as its header says."""
    try:
        return examine(path).problem is None and duration(path) > 0
    except (OSError, RejectedError):
        return False


def render_soundscape(annotations: Path, file: str, sources: Path, out: Path) -> Path:
    """Renders one soundscape; the same annotation and sources give the same bytes.

    Args:
        annotations: folder of the annotations.
        file: the annotation, relative to `annotations`.
        sources: folder with `foreground` and `background`.
        out: folder of the soundscapes.

    Returns:
        Path of the soundscape, which is written atomically.

    Raises:
        RejectedError: the annotation or a source cannot be used.
        EarshotError: `scaper` is not installed.
        OSError: the soundscape cannot be written.
    """
    text, annotation = read_annotation(checked_path(annotations, file))
    folder = PurePosixPath(file).parent
    roots = {}
    for role in ("foreground", "background"):
        names = sorted({event.source for event in annotation.events if event.role == role})
        roots[role] = source_root(sources, role, folder, names)
    scaper = load_scaper()
    try:
        # Render the text that was validated: the file may have changed since.
        samples, *_ = scaper.generate_from_jams(
            io.StringIO(text),
            fg_path=str(roots["foreground"]),
            bg_path=str(roots["background"]),
            disable_sox_warnings=False,  # True changes the global logging level, and does not restore it after an error
        )
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # from jams, libsndfile, libsox, numpy, ...: only this soundscape fails
        lines = str(error).split("\n") if str(error) else [type(error).__name__]
        raise RejectedError(f"scaper: {_shorten(lines[0])}") from None
    if not np.isfinite(samples).all():
        raise RejectedError("scaper: NaN or infinite samples")
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, annotation.sandbox.scaper.sr, format="WAV", subtype="PCM_32")
    path = soundscape_path(out, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())
    return path


def read_annotation(path: Path) -> tuple[str, Annotation]:
    """Reads a JAMS file.

    Returns:
        The text of the file, and its validated annotation.

    Raises:
        RejectedError: the file is not JAMS, or cannot be rendered.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RejectedError(f"cannot be opened ({error.strerror})") from None
    if len(content) > MAX_BYTES:
        raise RejectedError(f"expected at most {MAX_BYTES} bytes of JSON, found more")
    try:
        text = content.decode("utf-8")
        jams = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RejectedError(f"not readable as JSON ({_shorten(error)})") from None
    annotations = jams.get("annotations") if isinstance(jams, dict) else None
    for annotation in annotations if isinstance(annotations, list) else []:
        if isinstance(annotation, dict) and annotation.get("namespace") == "scaper":
            break  # scaper also uses the first one
    else:
        raise RejectedError("expected an annotation of the scaper namespace, found none")
    try:
        return text, Annotation.model_validate(annotation)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        value = f", found {_shorten(first['input'])}" if isinstance(first["input"], str | int | float) else ""
        raise RejectedError(f"{key}: {reason}{value}" if key else reason) from None


def source_root(sources: Path, role: str, folder: PurePosixPath, names: Sequence[str]) -> Path:
    """Finds the folder that contains all sources of a role: `scaper` reads them from a single folder.

    For annotations in base/train, the foreground is searched in foreground/base/train (the publisher's layout),
    foreground/train, foreground, base/train, train and SOURCES itself, in this order.

    Args:
        sources: folder of the source material.
        role: 'foreground' or 'background'.
        folder: relative folder of the annotation.
        names: 'class folder/file' of each source.

    Raises:
        RejectedError: no folder contains all of them, a file is outside `sources`, or a file is truncated.
    """
    if not names:
        return sources
    below = [PurePosixPath(*folder.parts[start:]) for start in range(len(folder.parts) + 1)]
    missing = list(names)
    for root in (*(sources / role / part for part in below), *(sources / part for part in below)):
        absent = [name for name in names if not os.path.isfile(root / name)]  # noqa: PTH113 - is_file may raise
        if not absent:
            for name in names:
                _check_source(sources, (root / name).relative_to(sources).as_posix())
            return root
        missing = min(missing, absent, key=len)
    raise RejectedError(
        f"source missing: {missing[0]} (looked for in {PurePosixPath(role, folder)} and the folders above it)"
    )


def _check_source(sources: Path, name: str) -> None:
    try:
        problem = examine(checked_path(sources, name)).problem
    except OSError as error:
        problem = f"cannot be opened ({error.strerror})"
    except RejectedError as error:
        problem = str(error)
    if problem:
        raise RejectedError(f"source {name}: {problem}")


def load_scaper() -> ModuleType:
    """Imports the package `scaper` of the optional extra `fsd`.

    Raises:
        EarshotError: it is not installed, or libsox is missing.
    """
    try:
        import scaper
        import soxbindings._soxbindings  # noqa: F401 - without it, scaper falls back to the program `sox`
    except ImportError as error:
        raise EarshotError(
            f"scaper: expected it to be installed, found: {_shorten(error)}; install libsox and a C++ compiler "
            "(Debian: apt-get install g++ libsox-dev), then pip install 'earshot[fsd]'"
        ) from None
    return scaper


def _shorten(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}..."
