"""Frames of MPEG audio (MP3): whether all are there, and where files were joined."""

import mmap
import struct
from dataclasses import dataclass, field
from pathlib import Path

# Bit rates in kbit/s by index 1..14: MPEG 1 layers I, II, III, then MPEG 2 and 2.5 layer I, layers II and III.
_BIT_RATES = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}

_SURPLUS = 8  # frames beyond the declared number from which they are audio, not an error of the encoder's counting


@dataclass
class Part:
    """Frames that libsndfile decodes as one stream.

    Attributes:
        start: position of its first frame; 0, with the tags of the file, for the first part.
        declared: number of frames according to a Xing header, which has a frame of its own.
        frames: number of frames.
        surplus: position of the first frame after the declared ones; None if there is none.
    """

    start: int
    declared: int | None = None
    frames: int = 0
    surplus: int | None = None


@dataclass(frozen=True)
class Parts:
    """What the frames of a file tell.

    Attributes:
        parts: in file order; empty if no frame was recognised.
        problem: why the file is considered truncated; None if it is not.
    """

    parts: list[Part] = field(default_factory=list)
    problem: str | None = None


def is_mpeg(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a tag or frame of MPEG audio."""
    return head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0)


def read_parts(path: Path) -> Parts:
    """Reads all frames: the last one must be complete, and their number at least that of a Xing header.

    A part ends before a frame that has a Xing header or another format, before a tag in the middle of the file, and
    after the declared frames. Files joined without any of these are one stream, which libsndfile reads whole.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        position = skip_tags(content, 0)
        if position > len(content):
            return Parts([], "truncated: the file ends inside its tag")
        parts: list[Part] = []
        part, form = Part(0), None
        before_tags = position
        while (size := frame_length(header := content[position : position + 4])) is not None:
            frame = content[position : min(position + size, position + 4096)]
            # If even the first frame is incomplete, the file may be no MP3; libsndfile decides.
            if position + size > len(content):
                if not part.frames and not parts:
                    return Parts()
                return Parts([*parts, part], "truncated: the last MPEG frame is incomplete")
            declared = _declared_frames(frame)
            tagged = before_tags < position and part.declared is not None
            if part.frames and (declared is not None or tagged or form != _format(header)):
                parts.append(part)
                part = Part(position)
            if part.frames == 0:
                part.declared, form = declared, _format(header)
            elif part.declared is not None and part.frames == part.declared + 1:
                part.surplus = position
            part.frames += 1
            position = before_tags = position + size
            if content[position : position + 1] != b"\xff":
                position = skip_tags(content, position)
        parts.append(part)
        for part in parts:
            # The Xing header has its own frame, which some encoders count and others do not.
            if part.declared is not None and part.frames < part.declared:
                reason = f"truncated: the header promises {part.declared} MPEG frames, {part.frames} are there"
                return Parts(parts, reason)
        return Parts([piece for part in parts for piece in _split_surplus(part)] if parts[0].frames else [])


def skip_tags(content: mmap.mmap | bytes, position: int) -> int:
    """The position after the ID3 and APE tags at `position`; beyond the end of a file that ends inside its tag."""
    while True:
        head = content[position : position + 32]
        if head[:3] == b"ID3" and len(head) >= 10:
            length = 0
            for byte in head[6:10]:  # seven bits per byte
                length = length << 7 | byte & 0x7F
            position += 10 + length + (10 if head[5] & 0x10 else 0)
        elif head[:3] == b"TAG":
            position += 128
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            length, flags = struct.unpack("<I4xI", head[12:24])
            position += length + (32 if flags >> 29 & 1 else 0)  # the size covers the items and the footer
        else:
            return position


def _split_surplus(part: Part) -> list[Part]:
    """Divides a part after its declared frames if many follow, which libsndfile would not read."""
    if part.surplus is None or part.declared is None or part.frames - part.declared - 1 < _SURPLUS:
        return [part]
    rest = Part(part.surplus, None, part.frames - part.declared - 1)
    return [Part(part.start, part.declared, part.declared + 1), rest]


def _format(header: bytes) -> tuple[int, int, bool]:
    """Version and layer, sample rate, and whether it is mono: a decoder stops where they change."""
    return header[1] & 0x1E, header[2] & 0x0C, header[3] >> 6 == 3


def frame_length(header: bytes) -> int | None:
    """Size in bytes of the MPEG audio frame with this four-byte header; None if the header is invalid."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bit_rate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or bit_rate in (0, 15) or rate == 3:
        return None
    bits = 1000 * _BIT_RATES[1 if version == 3 else 2, layer][bit_rate - 1]
    hertz = _RATES[version][rate]
    if layer == 1:
        return (12 * bits // hertz + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // hertz + padding


def _declared_frames(frame: bytes) -> int | None:
    """The number of frames in a Xing or Info header in this frame."""
    for name in (b"Xing", b"Info"):
        start = frame[:64].find(name)
        if start >= 0 and len(frame) >= start + 12 and frame[start + 7] & 1:
            return int(struct.unpack(">I", frame[start + 8 : start + 12])[0])
    return None
