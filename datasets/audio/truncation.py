"""Detects truncated recordings by comparing the length in their headers with the bytes of the file.

libsndfile silently shortens a WAV, AIFF, Ogg or MP3 file that was truncated (an interrupted download, a full disk), and
its clips would not be those of the corpus. FLAC is not checked here: decoding it fails or gives too few samples.

Not detected: an MP3 without a Xing header that was truncated exactly between two frames, and files in rare formats
without sizes (AVR, IRCAM, MPC 2k, PAF, PVF, VOC, XI).
"""

import re
import struct
from pathlib import Path

_UNKNOWN_SIZE = 0x7FFF_F000  # written by programs that stream to a pipe, before the length is known
_OGG_TAIL = 2 * 65_307  # twice the largest page: contains the start of the last complete page

# Lines of libsndfile's log that report missing samples: AIFF, SVX, CAF, AU, W64.
_LOGGED = re.compile(r"^\s*(?:SSND|BODY|data|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_LOGGED_OTHERWISE = re.compile(
    r"Calculated frame count (?P<available>\d+) does not match value from 'ds64' chunk of (?P<declared>\d+)"
    r"|Data length (?P<declared_bytes>\d+) should be (?P<available_bytes>\d+)"
    r"|File seems to be truncated"
)

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


def truncation(path: Path) -> str | None:
    """The reason why a file is considered truncated; None if it is not.

    Recognises WAV, NIST Sphere, Ogg and MP3 by their first bytes. For other formats see `logged_truncation`.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] in (b"RIFF", b"RIFX") and head[8:] == b"WAVE":
        return _cut_wav(path, "<" if head[:4] == b"RIFF" else ">")
    if head[:7] == b"NIST_1A":
        return _cut_nist(path)
    if head[:4] == b"OggS":
        return _cut_ogg(path)
    if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0):
        return _cut_mp3(path)
    return None


def logged_truncation(log: str) -> str | None:
    """As `truncation`, from the log of libsndfile for an open file (AIFF, AU, CAF, W64, RF64, MAT4, SVX, WVE)."""
    for declared, available in _LOGGED.findall(log):
        if int(available) < int(declared) < _UNKNOWN_SIZE:
            return f"truncated: the header promises {declared} bytes, {available} are there"
    match = _LOGGED_OTHERWISE.search(log)
    if match is None:
        return None
    declared = int(match["declared"] or match["declared_bytes"] or 1)
    available = int(match["available"] or match["available_bytes"] or 0)
    return "truncated: the file is shorter than its header promises" if available < declared else None


def _cut_wav(path: Path, order: str) -> str | None:
    """Reads the RIFF chunks up to the samples."""
    size = path.stat().st_size
    with path.open("rb") as file:
        position = 12
        while position + 8 <= size:
            file.seek(position)
            name, length = struct.unpack(f"{order}4sI", file.read(8))
            available = size - position - 8
            if name == b"data":
                if available < length < _UNKNOWN_SIZE:
                    return f"truncated: the header promises {length} bytes of samples, {available} are there"
                return None
            position += 8 + length + length % 2
    return None  # no samples: reported by libsndfile


def _cut_nist(path: Path) -> str | None:
    """The text header contains its size and the size of the samples; compressed files cannot be checked."""
    size = path.stat().st_size
    with path.open("rb") as file:
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
    return None


def _cut_ogg(path: Path) -> str | None:
    """The last page must be complete and have the end-of-stream flag."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _OGG_TAIL))
        tail = file.read()
    start = tail.rfind(b"OggS")
    while start >= 0 and tail[start + 4 : start + 5] not in (b"\0", b""):  # the four letters may occur in audio
        start = tail.rfind(b"OggS", 0, start)
    page = tail[max(start, 0) :]
    if len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        return "truncated: the last Ogg page is incomplete"
    return None if page[5] & 4 else "truncated: no Ogg page ends the stream"


def _cut_mp3(path: Path) -> str | None:
    """Reads the MPEG frames: the last one must be complete, and their number at least that of a Xing header."""
    content = path.read_bytes()
    position = 0
    while content[position : position + 3] == b"ID3" and len(content) >= position + 10:
        length = 0
        for byte in content[position + 6 : position + 10]:  # seven bits per byte
            length = length << 7 | byte & 0x7F
        position += 10 + length + (10 if content[position + 5] & 0x10 else 0)
    if position > len(content):
        return "truncated: the file ends inside its tag"
    frames, declared = 0, None
    while (size := _frame_length(content[position : position + 4])) is not None:
        frame = content[position : position + size]
        if frames == 0:
            declared = _declared_frames(frame)
        # If even the first frame is incomplete, the file may be no MP3; libsndfile decides.
        if len(frame) < size:
            return "truncated: the last MPEG frame is incomplete" if frames else None
        frames += 1
        position += size
    # The Xing header has its own frame, which some encoders count and others do not.
    if declared is not None and frames < declared:
        return f"truncated: the header promises {declared} MPEG frames, {frames} are there"
    return None


def _frame_length(header: bytes) -> int | None:
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
    """The number of frames in a Xing or Info header in the first frame."""
    for name in (b"Xing", b"Info"):
        start = frame[:64].find(name)
        if start >= 0 and len(frame) >= start + 12 and frame[start + 7] & 1:
            return int(struct.unpack(">I", frame[start + 8 : start + 12])[0])
    return None
