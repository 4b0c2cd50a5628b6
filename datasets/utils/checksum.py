"""The checksum of a JSON file, which is stored in the file itself.

    {"trial": "ede-ac287640-s1", ..., "checksum": "7d0a..."}

`checksum` is the SHA-256 of all other keys and values (`json_digest`). It therefore belongs to the file wherever it is
copied, one atomic write changes both, and files of earlier versions, which have none, are recognized by its absence. It
detects damage and accidental changes, not forgery.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from datasets.utils.errors import EarshotError

KEY = "checksum"


def json_digest(value: Any) -> str:
    """SHA-256 (hex) of a JSON value; white space and the order of keys do not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sum_of_digests(digests: Iterable[str]) -> str:
    """One digest of many: their sum modulo 2**256, hex. Neither their order nor how they are grouped matters.

    It recognizes equal content; unlike a hash of the sorted digests it is no protection against forgery.
    """
    return f"{sum(int(digest, 16) for digest in digests) % (1 << 256):064x}"


def with_checksum(content: dict[str, Any]) -> dict[str, Any]:
    """A JSON object with its checksum as the last key."""
    content = _without_checksum(content)
    return {**content, KEY: json_digest(content)}


def check_checksum(content: dict[str, Any], shown: str, advice: str) -> dict[str, Any]:
    """A JSON object without its checksum, which is compared if there is one.

    Args:
        content: the object as read.
        shown: name of the file for the message.
        advice: what to do, for the message.

    Raises:
        EarshotError: the checksum differs.
    """
    rest = _without_checksum(content)
    if KEY in content and content[KEY] != (digest := json_digest(rest)):
        raise EarshotError(
            f"{shown}: {KEY}: expected {str(content[KEY])[:12]}..., found {digest[:12]}...: the file is damaged or was "
            f"edited; {advice}"
        )
    return rest


def _without_checksum(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != KEY}
