"""Recordings that a caller gives as paths or as arrays."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable

if TYPE_CHECKING:
    from trainables.inference.recording_files import RecordingFile

MAX_CHANNELS = 64
"""More columns are taken for an array that has to be transposed."""


def recording_files_of(
    recordings: Any, rate: int | None, folder: Path
) -> "tuple[Sequence[RecordingFile], dict[str, str]]":
    """Recordings as files: arrays are written to WAV files, so that they are read as recordings are.

    Args:
        recordings: a path, samples, a pair of samples and their rate, or an iterable of these. Samples are `[samples]`
            or `[samples, channels]`: floating-point numbers with a full scale of 1, or int16 or int32.
        rate: of arrays without a rate of their own, Hz.
        folder: of the WAV files; exists.

    Returns:
        The files, those of a folder one by one; and the names of arrays, 'array 0', by the path of their file.

    Raises:
        EarshotError: a recording is of another kind, or an array has another form or type or no rate.
    """
    from trainables.inference.recording_files import recording_files

    paths: list[str] = []
    names: dict[str, str] = {}
    for index, one in enumerate([recordings] if _is_one(recordings) else recordings):
        if isinstance(one, str | PathLike):
            paths.append(fspath(one))
            continue
        name = f"array {index}"
        samples, rate_of_one = one if _is_pair(one) else (one, rate)
        path = folder / f"{index}.wav"
        _write(path, name, samples, rate_of_one)
        paths.append(str(path))
        names[str(path)] = name
    return list(recording_files(paths)), names


@contextmanager
def recording_paths(X: Any, rate: int) -> Iterator[list[str]]:  # noqa: N803
    """Paths of recordings, one of each; arrays are in temporary files during the block.

    Args:
        X: paths of files, or arrays of samples: `[samples]`, floating-point numbers with a full scale of 1.
        rate: of arrays, Hz.

    Raises:
        EarshotError: it is one path, or an array has another form or type.
    """
    import numpy as np
    import soundfile

    if isinstance(X, str | PathLike):
        raise EarshotError(f"X: expected a list of recordings, found one path, {printable(str(X))}")
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index, one in enumerate(X):
            if isinstance(one, str | PathLike):
                paths.append(str(one))
                continue
            samples = np.asarray(one)
            if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
                raise EarshotError(
                    f"X[{index}]: expected a path, or an array of samples: [samples], float in [-1, 1]; found "
                    f"{samples.dtype} {list(samples.shape)}"
                )
            paths.append(str(Path(folder, f"array-{index}.wav")))
            soundfile.write(paths[-1], samples.astype(np.float32), rate, subtype="FLOAT")
        yield paths


def _is_one(recordings: Any) -> bool:
    """Whether this is one recording, not several."""
    one = isinstance(recordings, str | PathLike) or hasattr(recordings, "__array__") or _is_pair(recordings)
    return one or not isinstance(recordings, Iterable)


def _is_pair(value: Any) -> bool:
    """Whether this is an array with its rate."""
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Integral)


def _write(path: Path, name: str, samples: Any, rate: Any) -> None:
    import numpy as np
    import soundfile

    from datasets.audio.recordings import MAX_RATE, MIN_RATE

    if not hasattr(samples, "__array__"):
        kind = printable(type(samples).__name__)
        raise EarshotError(f"{name}: expected a path, an array, or a pair of an array and its rate, found {kind}")
    if rate is None:
        raise EarshotError(f"{name}: expected its sample rate, found none; give (array, rate), or rate=")
    if not isinstance(rate, Integral) or not MIN_RATE <= int(rate) <= MAX_RATE:
        raise EarshotError(f"{name}: expected a sample rate from {MIN_RATE} to {MAX_RATE} Hz, found {rate!r}")
    values: np.ndarray = np.asarray(samples)
    if values.ndim not in (1, 2) or not values.size or (values.ndim == 2 and values.shape[1] > MAX_CHANNELS):
        raise EarshotError(
            f"{name}: expected [samples], or [samples, channels] with up to {MAX_CHANNELS} channels, found "
            f"{list(values.shape)}"
        )
    if values.dtype.kind == "f":
        values, subtype = values.astype(np.float32), "FLOAT"
    elif values.dtype in (np.int16, np.int32):
        subtype = "PCM_16" if values.dtype == np.int16 else "PCM_32"
    else:
        raise EarshotError(f"{name}: expected floating-point numbers, int16 or int32, found {values.dtype}")
    soundfile.write(path, values, int(rate), subtype=subtype)
