"""The columns of a shard as features of the `datasets` library of Hugging Face, in the metadata of the file.

`Features.from_arrow_schema` of that library reads the key `huggingface` and uses a feature if its Arrow type is that of
the column: `Audio` is a struct of bytes and path, `ClassLabel` has 64 bits.
"""

import json
from collections.abc import Sequence
from typing import Any

HUB_KEY = "huggingface"
"""Metadata key of a Parquet file."""

_COLUMNS = {
    "clip_id": "string",
    "split": "string",
    "label": "",
    "class_name": "string",
    "source": "string",
    "start": "int64",
    "num_samples": "int32",
    "sample_rate": "int32",
    "audio": "",
}


def hub_features(sample_rate: int, class_names: Sequence[str]) -> str:
    """The features of a benchmark's columns as JSON text.

    Args:
        sample_rate: of the clips, in Hz.
        class_names: by label.
    """
    features: dict[str, dict[str, Any]] = {name: {"dtype": dtype, "_type": "Value"} for name, dtype in _COLUMNS.items()}
    features["label"] = {"names": list(class_names), "_type": "ClassLabel"}
    features["audio"] = {"sampling_rate": sample_rate, "_type": "Audio"}
    return json.dumps({"info": {"features": features}})
