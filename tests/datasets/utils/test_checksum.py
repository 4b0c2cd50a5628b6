"""The checksum inside a JSON file: any change of a value is found, white space and older files are not an error."""

import json
from typing import Any

import pytest

from datasets.utils.checksum import check_checksum, with_checksum
from datasets.utils.errors import EarshotError

CONTENT: dict[str, Any] = {"name": "ö", "values": [1, 2.5, None, {"deep": True}], "seed": 3}


def test_the_content_is_read_back() -> None:
    stored = json.loads(json.dumps(with_checksum(CONTENT), indent=3))
    assert list(stored) == [*CONTENT, "checksum"]
    assert check_checksum(stored, "x.json", "restore it") == CONTENT
    assert with_checksum(stored) == stored
    assert check_checksum(CONTENT, "x.json", "restore it") == CONTENT  # of an earlier version


def test_every_flipped_bit_of_a_value_is_found() -> None:
    text = json.dumps(with_checksum(CONTENT))
    found = 0
    for index in range(8 * text.index("checksum")):
        content = bytearray(text.encode())
        content[index // 8] ^= 1 << index % 8
        try:
            changed = json.loads(content)
        except ValueError:
            continue
        if changed == json.loads(text):  # white space
            continue
        found += 1
        with pytest.raises(EarshotError, match=r"^x\.json: checksum: expected .*, found .*; restore it$"):
            check_checksum(changed, "x.json", "restore it")
    assert found > 100
