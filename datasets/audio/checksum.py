"""Cyclic redundancy checks of FLAC frames and Ogg pages."""

from functools import cache


@cache
def _table(bits: int, polynomial: int) -> tuple[int, ...]:
    """What each byte contributes."""
    table = []
    for crc in range(0, 1 << bits, 1 << (bits - 8)):
        for _ in range(8):
            crc = (crc << 1) ^ (polynomial if crc >> (bits - 1) else 0)
            crc &= (1 << bits) - 1
        table.append(crc)
    return tuple(table)


def crc(content: bytes, bits: int, polynomial: int) -> int:
    """Cyclic redundancy check without reflection or inversion; 0 for content that ends in its own checksum.

    Args:
        content: a few kB; this is a loop over bytes.
        bits: 8, 16 or 32.
        polynomial: without its highest term.
    """
    table, mask, value = _table(bits, polynomial), (1 << bits) - 1, 0
    for byte in content:
        value = (value << 8 & mask) ^ table[value >> (bits - 8) ^ byte]
    return value
