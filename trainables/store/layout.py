"""Addresses and file names of the store; imports no PyTorch."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from datasets.utils.checksum import check_checksum, json_digest
from datasets.utils.errors import EarshotError

IS_DIGEST = re.compile("[0-9a-f]{64}").fullmatch  # digests become paths


def address_of(depends_on: dict[str, Any]) -> str:
    """SHA-256 hex of JSON data; the order of keys does not matter."""
    return json_digest(depends_on)


def parse_description(content: bytes, address: str) -> dict[str, Any]:
    """Parses and checks the contents of a stage.json, `checksum` included; earlier versions wrote none.

    Raises:
        ValueError: it is damaged, or belongs to another stage than the one at `address`.
    """
    try:
        description: dict[str, Any] = json.loads(content)
        check_checksum(description, "stage.json", "")
        digests = (description["predictions"], *description["parts"].values())
        numbers = [float(description[key]) for key in ("seconds", "parameters_stored", "parameters_used")]
        if address == address_of(description["depends_on"]) and all(map(IS_DIGEST, digests)) and min(numbers) >= 0:
            return description
    except (KeyError, TypeError, AttributeError, RecursionError, EarshotError):
        pass
    raise ValueError("not the description of the stage at its address")


def stage_file(address: str) -> str:
    """The name of a stage's description; a stage without it does not exist."""
    return f"stages/{address[:2]}/{address}/stage.json"


def predictions_file(address: str) -> str:
    """The name of a stage's predictions."""
    return f"stages/{address[:2]}/{address}/predictions.parquet"


def part_file(digest: str) -> str:
    """The name of a part."""
    return f"parts/{digest[:2]}/{digest}.safetensors"


def array_file(address: str) -> str:
    """The name of an array's file."""
    return f"{address[:2]}/{address}.npy"


def trailer(checksum: int) -> bytes:
    """The last bytes of an array's file.

    Args:
        checksum: CRC-32 of all bytes before.
    """
    return f"crc32 {checksum:08x}\n".encode()


FEATURES = "features"  # the folder of embeddings in a store


def feature_address(
    kind: str,
    *,
    weights: str,
    frontend: str,
    data: str,
    clips: Sequence[int],
    precision: str,
    device: str,
    code: str = "",
) -> str:
    """The address of an array about a group of clips.

    Args:
        kind: names the array and its type, `pooled float32`.
        weights: digest of all weights between the clips and the array; empty if there are none.
        frontend: of the network.
        data: fingerprint of the benchmark.
        clips: positions of the clips, in the order of the rows.
        precision: `float32` or `bf16`.
        device: type of the device that it is computed on.
        code: digest of the method's code, for arrays of a method that is not part of Earshot.
    """
    depends_on = {
        "schema": 2,
        "kind": kind,
        "weights": weights,
        "frontend": frontend,
        "data": data,
        "clips": clips,
        "precision": precision,
        "device": device,
        **({"code": code} if code else {}),
    }
    # with the spaces that `address_of` leaves out: stores have arrays at these addresses
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()


def embedding_file(address: str) -> str:
    """The name of an embedding's file in a store."""
    return f"{FEATURES}/{array_file(address)}"
