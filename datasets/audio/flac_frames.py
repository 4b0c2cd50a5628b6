"""The number of samples of a FLAC stream whose header does not tell it: a recorder that writes to a pipe (RFC 9639)."""

import struct
from pathlib import Path

from datasets.audio.checksum import crc

_TAIL = 1 << 16  # bytes that are searched at first; a frame may be larger
_LARGEST_TAIL = 1 << 25
_CANDIDATES = 4  # one in 256 places that look like the start of a frame has a fitting checksum of eight bits
_STREAMINFO = 42  # bytes up to the end of the metadata block that comes first


def count_samples(path: Path) -> int | None:
    """Number of samples up to the end of the last complete frame; None if no frame ends the file.

    The header of the last frame tells its number (or that of its first sample) and its size. Its two checksums show
    that it is a frame, and that it is complete.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_STREAMINFO)
        if len(head) < _STREAMINFO:
            return None
        tail = _TAIL
        while True:
            file.seek(max(_STREAMINFO, size - tail))
            content = file.read()
            if (number := _last_sample(content, struct.unpack(">H", head[10:12])[0])) is not None:
                return number
            if tail >= min(size, _LARGEST_TAIL):
                return None
            tail *= 4


def _last_sample(content: bytes, fixed_size: int) -> int | None:
    """Samples before the end of the frame that ends `content`."""
    start, candidates = len(content), 0
    while candidates < _CANDIDATES and (start := content.rfind(b"\xff", 0, start)) >= 0:
        if content[start + 1 : start + 2] in (b"\xf8", b"\xf9"):
            if (header := _read_header(content[start : start + 16])) is None:
                continue
            candidates += 1
            if crc(content[start:], 16, 0x8005) == 0:  # that of a frame with its checksum
                number, size = header
                return number + size if content[start + 1] & 1 else number * fixed_size + size
    return None


def _read_header(header: bytes) -> tuple[int, int] | None:
    """Coded number and size in samples of a frame; None if this is no header of a frame."""
    if len(header) < 6 or header[3] & 1:
        return None
    code, rate_code = header[2] >> 4, header[2] & 15
    leading = 8 - (header[4] ^ 0xFF).bit_length()  # a number is coded as in UTF-8, up to seven bytes
    length = max(1, leading)
    if code == 0 or rate_code == 15 or leading in (1, 8) or len(header) < 4 + length:
        return None
    number = header[4] & (0xFF >> (leading + 1))
    for byte in header[5 : 4 + length]:
        number = number << 6 | byte & 0x3F
    end = 4 + length
    extra = {6: 1, 7: 2}.get(code, 0)
    size = int.from_bytes(header[end : end + extra], "big") + 1
    if not extra:
        size = 192 if code == 1 else 576 << (code - 2) if code < 6 else 256 << (code - 8)
    end += extra + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    return (number, size) if len(header) > end and crc(header[: end + 1], 8, 0x07) == 0 else None
