"""Is a recording whole? What a file promises, against the bytes that are there.

libsndfile silently shortens a WAV, AIFF, Ogg or MP3 that was cut in the middle (a broken download, a full
disk), and a corpus would then hold clips that nobody meant. FLAC needs no help: there decoding itself fails
or falls short.

Not everything can be known: an MP3 without a Xing header that was cut exactly between two frames looks
whole, and so do files in rare formats without sizes (AVR, IRCAM, MPC 2k, PAF, PVF, VOC, XI).
"""

import re
import struct
from pathlib import Path

_UNKNOWN_SIZE = 0x7FFF_F000  # written by programs that stream into a pipe: the length was not known yet
_OGG_TAIL = 2 * 65_307  # the largest page, twice: the last whole page begins inside of it

# Lines in which libsndfile's own log tells that the samples end early: AIFF, SVX, CAF, AU, W64.
_LOGGED = re.compile(r"^\s*(?:SSND|BODY|data|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_LOGGED_OTHERWISE = re.compile(
    r"Calculated frame count (?P<found>\d+) does not match value from 'ds64' chunk of (?P<promised>\d+)"
    r"|Data length (?P<promised_bytes>\d+) should be (?P<found_bytes>\d+)"
    r"|File seems to be truncated"
)

# Bit rates in kbit/s by index 1..14: MPEG 1 layers I, II, III, then MPEG 2 and 2.5 layer I, layers II and
# III.
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
    """Why the file is known to be cut short; None if nothing says so.

    Knows WAV, NIST Sphere, Ogg and MP3 by their first bytes. For other formats see `logged_truncation`.

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
    """The same from what libsndfile logs on opening a file (AIFF, AU, CAF, W64, RF64, MAT4, SVX, WVE)."""
    for promised, found in _LOGGED.findall(log):
        if int(found) < int(promised) < _UNKNOWN_SIZE:
            return f"truncated: the header promises {promised} bytes, {found} are there"
    match = _LOGGED_OTHERWISE.search(log)
    if match is None:
        return None
    promised = int(match["promised"] or match["promised_bytes"] or 1)
    found = int(match["found"] or match["found_bytes"] or 0)
    return "truncated: the file is shorter than its header promises" if found < promised else None


def _cut_wav(path: Path, order: str) -> str | None:
    """Walks the RIFF chunks to the samples."""
    size = path.stat().st_size
    with path.open("rb") as file:
        position = 12
        while position + 8 <= size:
            file.seek(position)
            name, length = struct.unpack(f"{order}4sI", file.read(8))
            there = size - position - 8
            if name == b"data":
                if there < length < _UNKNOWN_SIZE:
                    return f"truncated: the header promises {length} bytes of samples, {there} are there"
                return None
            position += 8 + length + length % 2
    return None  # no samples at all: libsndfile says so better


def _cut_nist(path: Path) -> str | None:
    """The text header tells its own size and that of the samples (compressed ones cannot be checked)."""
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
    promised = values[b"sample_count"] * values[b"sample_n_bytes"] * values[b"channel_count"]
    there = size - int(start[1])
    if there < promised:
        return f"truncated: the header promises {promised} bytes of samples, {there} are there"
    return None


def _cut_ogg(path: Path) -> str | None:
    """The last page must be whole and say that it ends the stream."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _OGG_TAIL))
        tail = file.read()
    start = tail.rfind(b"OggS")
    while start >= 0 and tail[start + 4 : start + 5] not in (
        b"\0",
        b"",
    ):  # the four letters may occur in audio
        start = tail.rfind(b"OggS", 0, start)
    page = tail[max(start, 0) :]
    if len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        return "truncated: the last Ogg page is incomplete"
    return None if page[5] & 4 else "truncated: no Ogg page ends the stream"


def _cut_mp3(path: Path) -> str | None:
    """Walks the MPEG frames: the last one must be whole, and there must be as many as a Xing header tells."""
    content = path.read_bytes()
    position = 0
    while content[position : position + 3] == b"ID3" and len(content) >= position + 10:
        length = 0
        for byte in content[position + 6 : position + 10]:  # seven bits in each byte
            length = length << 7 | byte & 0x7F
        position += 10 + length + (10 if content[position + 5] & 0x10 else 0)
    if position > len(content):
        return "truncated: the file ends inside its tag"
    frames, promised = 0, None
    while (size := _frame_length(content[position : position + 4])) is not None:
        frame = content[position : position + size]
        if frames == 0:
            promised = _promised_frames(frame)
        # A first header whose frame does not fit may be none at all; libsndfile decides about such files.
        if len(frame) < size:
            return "truncated: the last MPEG frame is incomplete" if frames else None
        frames += 1
        position += size
    # The Xing header lies in a frame of its own, which some encoders count and others do not.
    if promised is not None and frames < promised:
        return f"truncated: the header promises {promised} MPEG frames, {frames} are there"
    return None


def _frame_length(header: bytes) -> int | None:
    """Bytes of the MPEG audio frame with these four first bytes; None if they are no header that tells it."""
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


def _promised_frames(frame: bytes) -> int | None:
    """The number of frames that a Xing or Info header in the first frame tells."""
    for name in (b"Xing", b"Info"):
        start = frame[:64].find(name)
        if start >= 0 and len(frame) >= start + 12 and frame[start + 7] & 1:
            return int(struct.unpack(">I", frame[start + 8 : start + 12])[0])
    return None
