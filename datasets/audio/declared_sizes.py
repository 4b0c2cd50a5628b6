"""Compares the sizes in the header of a recording with the bytes of its file.

libsndfile silently shortens a WAV, AIFF, AU or NIST file that was truncated (an interrupted download, a full disk), and
one that has more samples than its header declares (the recorder died before it could write the sizes, or a size wrapped
around at 4 GiB). The clips would not be those of the corpus.

Not detected: files in rare formats without sizes (AVR, IRCAM, MPC 2k, PAF, PVF, VOC, XI).
"""

import re
import struct
from pathlib import Path
from typing import BinaryIO

_UNKNOWN_SIZE = 0x7FFF_F000  # written by programs that stream to a pipe, before the length is known
_WRAP = 1 << 32
_HARMLESS = 4096  # bytes after the samples that are padding or a forgotten tag rather than samples
_UNFINISHED = "the recorder did not finish it"
_ZEROS = 1 << 16  # bytes of zeros after the samples that are padding

# Chunks that may follow the samples and be damaged without harm to these.
_KNOWN_CHUNKS = frozenset(
    b"LIST cue fact smpl inst bext iXML id3 ID3 JUNK junk PAD FLLR PEAK cart acid plst note labl ltxt DISP _PMX minf "
    b"elm1 regn umid MARK COMT INST MIDI APPL NAME AUTH ANNO (c) FVER COMM chna axml afsp AESD".split()
)

# Lines of libsndfile's log that report missing samples: AIFF, SVX, CAF, AU, W64.
_LOGGED = re.compile(r"^\s*(?:SSND|BODY|data|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_LOGGED_OTHERWISE = re.compile(
    r"Calculated frame count (?P<available>\d+) does not match value from 'ds64' chunk of (?P<declared>\d+)"
    r"|Data length (?P<declared_bytes>\d+) should be (?P<available_bytes>\d+)"
    r"|File seems to be truncated"
)


def size_problem(path: Path, head: bytes) -> str | None:
    """Why the sizes in the header do not fit the file; None if they do, or if the format is another one.

    Args:
        path: of the file.
        head: its first 12 bytes or more.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
            return _check_chunks(file, size, ">" if head[:4] == b"RIFX" else "<", b"data")
        if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
            return _check_chunks(file, size, ">", b"SSND")
        if head[:4] in (b".snd", b"dns.") and len(head) >= 12:
            offset, length = struct.unpack(">II" if head[:4] == b".snd" else "<II", head[4:12])
            return None if length >= _UNKNOWN_SIZE else _check_surplus(file, size, offset, length)
        if head[:8] == b"caff\x00\x01\x00\x00":
            return _check_wide_chunks(file, size, 8, struct.Struct(">4sq"), padding=1)
        if head[:8] == b"riff\x2e\x91\xcf\x11":  # W64: names of 16 bytes, and sizes that include name and size
            return _check_wide_chunks(file, size, 40, struct.Struct("<16sq"), padding=8)
        if head[:7] == b"NIST_1A":
            return _check_nist(file, size)
    return None


def logged_truncation(log: str) -> str | None:
    """As `size_problem`, from the log of libsndfile for an open file (AIFF, AU, CAF, W64, RF64, MAT4, SVX, WVE)."""
    for declared, available in _LOGGED.findall(log):
        if int(available) < int(declared) < _UNKNOWN_SIZE:
            return f"truncated: the header promises {declared} bytes, {available} are there"
    match = _LOGGED_OTHERWISE.search(log)
    if match is None:
        return None
    declared = int(match["declared"] or match["declared_bytes"] or 1)
    available = int(match["available"] or match["available_bytes"] or 0)
    return "truncated: the file is shorter than its header promises" if available < declared else None


def _check_chunks(file: BinaryIO, size: int, order: str, wanted: bytes) -> str | None:
    """Reads the chunks up to the samples, then what follows them."""
    position, long_length = 12, None
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack(f"{order}4sI", file.read(8))
        available = size - position - 8
        if name == b"ds64":  # RF64: sizes of 64 bits
            long_length = struct.unpack("<8xQ", file.read(16).ljust(16, b"\0"))[0]
        if name == wanted:
            if long_length is not None and length == _WRAP - 1:
                return _check_surplus(file, size, position + 8, long_length)
            if wanted == b"data" and available < length < _UNKNOWN_SIZE:
                return f"truncated: the header promises {length} bytes of samples, {available} are there"
            return None if length >= _UNKNOWN_SIZE else _check_surplus(file, size, position + 8, length, order)
        position += 8 + length + length % 2
    return None  # no samples: reported by libsndfile


def _check_surplus(file: BinaryIO, size: int, start: int, length: int, order: str | None = None) -> str | None:
    """Whether samples follow those that the header declares.

    Args:
        file: open for reading.
        size: of the file, in bytes.
        start: position of the samples.
        length: declared size of the samples, in bytes.
        order: byte order of the chunks that may follow the samples; None: the format has none.
    """
    position = start + length + length % 2 if order else start + length
    while size - position > _HARMLESS:
        file.seek(position)
        head = file.read(_ZEROS)
        if order and size - position < _WRAP:
            name, chunk = struct.unpack(f"{order}4sI", head[:8])
            complete = position + 8 + chunk <= size
            if head[:3] == b"ID3" and head[3:4] != b" ":  # a tag that is no chunk
                return None
            if name.rstrip() in _KNOWN_CHUNKS or (complete and all(32 <= byte < 127 for byte in name)):
                position = position + 8 + chunk + chunk % 2 if complete else size
                continue
        if size - position <= _ZEROS and not any(head):
            return None
        reason = "its size wrapped around at 4 GiB" if size - start >= _WRAP else _UNFINISHED
        return _stale_header(length, size - start, reason)
    return None


def _check_wide_chunks(file: BinaryIO, size: int, position: int, head: struct.Struct, padding: int) -> str | None:
    """As `_check_chunks`, for CAF and W64, whose sizes have 64 bits; truncated files are reported by libsndfile.

    Args:
        file: open for reading.
        size: of the file, in bytes.
        position: of the first chunk.
        head: name and size of a chunk.
        padding: chunks start at multiples of so many bytes.
    """
    samples: tuple[int, int] | None = None  # start and declared size
    while position + head.size <= size:
        file.seek(position)
        name, length = head.unpack(file.read(head.size))
        if padding > 1:
            length -= head.size
        end = position + head.size + length
        plausible = length >= 0 and end <= size and all(32 <= byte < 127 for byte in name[:4])
        if not plausible:
            break
        if name[:4] == b"data":
            samples = (position + head.size, length)
        position = end + -end % padding
    if samples is None or size - position <= _HARMLESS:
        return None
    file.seek(position)
    if size - position <= _ZEROS and not any(file.read(_ZEROS)):
        return None
    return _stale_header(samples[1], size - samples[0], _UNFINISHED)


def _stale_header(declared: int, available: int, reason: str) -> str:
    return (
        f"stale header: it declares {declared} bytes of samples, {available} are there ({reason}); "
        "write the file anew with the right sizes"
    )


def _check_nist(file: BinaryIO, size: int) -> str | None:
    """The text header contains its size and the size of the samples; compressed files cannot be checked."""
    header = file.read(4096)
    start = re.match(rb"NIST_1A\s+(\d{1,9})\s", header)
    values = {
        name: int(value)
        for name, value in re.findall(rb"^(sample_count|sample_n_bytes|channel_count) -i (\d{1,12})\s", header, re.M)
    }
    if start is None or len(values) < 3 or b"shorten" in header:
        return None
    declared = values[b"sample_count"] * values[b"sample_n_bytes"] * values[b"channel_count"]
    available = size - int(start[1])
    if available < declared:
        return f"truncated: the header promises {declared} bytes of samples, {available} are there"
    return _check_surplus(file, size, int(start[1]), declared)
