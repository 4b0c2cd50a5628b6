"""Pages of an Ogg file (RFC 3533): where its streams begin, and whether it ends where a packet ends."""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from datasets.audio.checksum import crc

_HEADER = 27  # bytes: magic 4, version, flags, granule 8, serial number 4, page number 4, CRC 4, number of segments
_BEGIN, _END = 2, 4


@dataclass
class Chain:
    """A chained stream; streams that are multiplexed count as one.

    Attributes:
        start: position of its first page.
        end_flag: position -> bytes that mark its last page as such; empty if it is marked.
    """

    start: int
    end_flag: dict[int, bytes]


@dataclass(frozen=True)
class Pages:
    """What the pages of a file tell.

    Attributes:
        chains: in file order.
        problem: why the file is considered truncated; None if it is not.
    """

    chains: list[Chain]
    problem: str | None


def read_pages(path: Path) -> Pages:
    """Reads the headers of all pages.

    The flag that ends a stream may be missing: many programs do not write it. Decoders drop or damage the last samples
    then, so `Chain.end_flag` adds it. The file is truncated if its last page is incomplete, or if a packet continues on
    a page that is not there. Whether the position (granule) in the last page is reached is seen when the stream is
    decoded.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        chains: list[Chain] = []
        position, page, last, last_segment, begins = 0, b"", 0, 0, False
        incomplete = "truncated: the last Ogg page is incomplete"
        while (start := _find(content, position)) is not None:
            segments = (
                content[start + _HEADER : start + _HEADER + content[start + 26]] if _fits(content, start) else b""
            )
            end = start + _HEADER + len(segments) + sum(segments)
            if not _fits(content, start) or len(segments) < content[start + 26] or end > len(content):
                return Pages(chains, incomplete)
            flags = content[start + 5]
            if flags & _BEGIN and not begins:
                if chains:
                    chains[-1].end_flag = _end_flag(page, last)
                chains.append(Chain(start, {}))
            position, last, begins = end, start, bool(flags & _BEGIN)
            page, last_segment = content[start:end], segments[-1] if segments else 0
        if not chains:
            return Pages(chains, None)
        chains[-1].end_flag = _end_flag(page, last)
        # A segment of 255 bytes is followed by more of its packet (RFC 3533, section 6).
        continues = last_segment == 255 and bool(chains[-1].end_flag)
        return Pages(chains, "truncated: the last Ogg packet continues on a missing page" if continues else None)


def _fits(content: mmap.mmap, start: int) -> bool:
    return start + _HEADER <= len(content)


def _end_flag(page: bytes, start: int) -> dict[int, bytes]:
    """The changes that mark the page at `start` as the last one: its flags and its checksum."""
    if page[5] & _END:
        return {}
    flags = bytes([page[5] | _END])
    changed = page[:5] + flags + page[6:22] + bytes(4) + page[26:]
    return {start + 5: flags, start + 22: struct.pack("<I", crc(changed, 32, 0x04C11DB7))}


def _find(content: mmap.mmap, position: int) -> int | None:
    """The next page from `position` on; the four letters may also occur in bytes between pages."""
    while (start := content.find(b"OggS", position)) >= 0:
        if content[start + 4 : start + 5] in (b"\0", b""):
            return start
        position = start + 4
    return None
