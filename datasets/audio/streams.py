"""Finds the streams of audio in a file, also in files of which libsndfile reads only a part.

    chained Ogg     libsndfile reads the first chain (RFC 3533, section 4); `cat` and Icecast recorders make several
    joined MP3      libsndfile reads as many frames as the first Xing header declares, or up to a change of format
    Ogg             without the flag that ends a stream, libsndfile loses the last samples
    streamed FLAC   its header does not tell the number of samples (zero), so that libsndfile cannot find the end

Each stream is given to libsndfile as a file of its own.
"""

import io
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from datasets.audio import flac_frames, mpeg_frames, ogg_pages
from datasets.audio.declared_sizes import size_problem


@dataclass(frozen=True)
class Stream:
    """The bytes of a file from `first` to before `last`, some of them replaced.

    Attributes:
        path: of the file.
        first: position of the first byte.
        last: position after the last byte.
        replaced: position in the stream -> bytes that are read there instead.
        mpeg: whether it is MPEG audio, also in a WAV container.
    """

    path: Path
    first: int
    last: int
    replaced: Mapping[int, bytes] = field(default_factory=dict)
    mpeg: bool = False

    def open(self) -> "str | StreamFile":
        """What `soundfile` opens: the path if the stream is the whole file, otherwise a file object."""
        if not self.first and not self.replaced and self.last == self.path.stat().st_size:
            return os.fspath(self.path)
        return StreamFile(self)


@dataclass(frozen=True)
class Contents:
    """The streams of a file in the order in which they are played: nearly always one, the whole file.

    Attributes:
        streams: at least one.
        problem: why the file would be read in part only (truncated, or a stale header); None if it is complete.
    """

    streams: tuple[Stream, ...]
    problem: str | None = None


def examine(path: Path) -> Contents:
    """Finds the streams of a file, and whether all of it is there, without decoding.

    Recognises WAV, AIFF, AU, NIST Sphere, Ogg, MP3 and FLAC by their first bytes. For other formats see
    `declared_sizes.logged_truncation`. A FLAC file with a known number of samples is not checked: decoding a truncated
    one fails.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
    mpeg = mpeg_frames.is_mpeg(head) or (head[:4] == b"RIFF" and head[20:22] in (b"\x50\0", b"\x55\0"))
    whole = Stream(path, 0, size, mpeg=mpeg)
    if head[:4] == b"OggS":
        pages = ogg_pages.read_pages(path)
        streams = _divide(whole, [chain.start for chain in pages.chains])
        if pages.problem is None and pages.chains:
            streams = tuple(
                replace(stream, replaced={place - stream.first: value for place, value in chain.end_flag.items()})
                for stream, chain in zip(streams, pages.chains, strict=True)
            )
        return Contents(streams, pages.problem)
    if mpeg_frames.is_mpeg(head):
        frames = mpeg_frames.read_parts(path)
        return Contents(_divide(whole, [part.start for part in frames.parts]), frames.problem)
    if head[:4] == b"fLaC" and len(head) >= 26:
        return _examine_flac(whole, int(struct.unpack(">Q", head[18:26])[0]))
    return Contents((whole,), size_problem(path, head))


def _divide(whole: Stream, starts: list[int]) -> tuple[Stream, ...]:
    if len(starts) < 2:
        return (whole,)
    edges = [0, *starts[1:], whole.last]
    return tuple(replace(whole, first=first, last=last) for first, last in pairwise(edges))


def _examine_flac(whole: Stream, declared: int) -> Contents:
    """Puts the number of samples into a header that does not tell it: the last 36 of these 64 bits."""
    if declared & (1 << 36) - 1:
        return Contents((whole,))
    samples = flac_frames.count_samples(whole.path)
    if samples is None:
        return Contents((whole,), "truncated: the last FLAC frame is incomplete")
    return Contents((replace(whole, replaced={18: struct.pack(">Q", declared | samples)}),))


class StreamFile(io.RawIOBase):
    """A read-only file object of a stream; close it after use."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream
        self._file = stream.path.open("rb")
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Position in the stream."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves within the stream."""
        length = self._stream.last - self._stream.first
        self._position = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: length}[whence])
        return self._position

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Reads up to `len(buffer)` bytes."""
        self._file.seek(self._stream.first + self._position)
        wanted = min(len(buffer), self._stream.last - self._stream.first - self._position)
        content = bytearray(self._file.read(max(0, wanted)))
        for place, replacement in self._stream.replaced.items():
            for number, value in enumerate(replacement, place - self._position):
                if 0 <= number < len(content):
                    content[number] = value
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()
