"""Keeps the data of the page below a limit, for runs with many methods, sessions, classes or configurations.

What is left out is what can best be missed, in this order, and the page says so; the CSV files have all of it except
maps and curves of training.
"""

from collections.abc import Callable
from typing import Any

from datasets.utils.json_values import json_text

LIMIT = 250_000
"""Characters of the data; with the plotting library, scripts and tables the page is then below 2 MB."""
CONFIGURATIONS = 200
"""Configurations that remain, those with the highest validation AA."""

Data = dict[str, Any]


def within_limit(data: Data, limit: int = LIMIT) -> Data:
    """The data of the page without parts that would make it too large; `left_out` has a sentence for each.

    Args:
        data: from `payload`; parts of it are replaced.
        limit: characters of the data as JSON, at most; with many methods the rest may still be larger.
    """
    left_out: list[str] = []
    size = data_size(data)
    for sentence, reduce in _STEPS:
        if size <= limit:
            break
        reduce(data)
        before, size = size, data_size(data)
        left_out += [sentence] if size < before else []
    return data | {"left_out": left_out}


def data_size(data: Data) -> int:
    """Characters of the data as JSON, without the clips, which have a limit of their own."""
    return len(json_text({key: data[key] for key in data if key != "listening"}, separators=(",", ":")))


def _configurations(data: Data) -> None:
    """Keeps the best."""
    rows = data.get("parallel", [])
    rows.sort(key=lambda row: -1.0 if row["validation"]["mean"] is None else -row["validation"]["mean"] - 1)
    del rows[CONFIGURATIONS:]


def _last_classes(data: Data) -> None:
    """Keeps the accuracies of classes after the last session that has any, which chains may not have finished."""
    for method in data["methods"]:
        for head in method["heads"].values():
            finished = [t for t, row in enumerate(head["classes"]) if any(value is not None for value in row)]
            head["classes"] = [row if t in finished[-1:] else [] for t, row in enumerate(head["classes"])]


def _last_confusion(*, default: bool) -> Callable[[Data], None]:
    """Keeps the confusions after the last session, of the default head or of the other heads."""

    def reduce(data: Data) -> None:
        for method in data["methods"]:
            for name, sessions in data.get("confusion", {}).get(method["name"], {}).get("heads", {}).items():
                if (name == method["head"]) == default:
                    sessions[:-1] = [None for _ in sessions[:-1]]

    return reduce


def _other_heads(data: Data) -> None:
    """Keeps the default head of each method."""
    for method in data["methods"]:
        method["heads"] = {method["head"]: method["heads"][method["head"]]}
        if method["name"] in data.get("confusion", {}):
            confusion = data["confusion"][method["name"]]
            confusion["heads"] = {method["head"]: confusion["heads"][method["head"]]}
    data["heads"] = list(dict.fromkeys(method["head"] for method in data["methods"]))
    for head in list(data["order"]):
        if head and head not in data["heads"]:
            del data["order"][head], data["answer"][head]
        elif head:
            data["order"][head] = [m["name"] for m in data["methods"] if m["head"] == head]
            data["order"][head].sort(key=data["order"][""].index)


_STEPS: tuple[tuple[str, Callable[[Data], None]], ...] = (
    (f"configurations other than the {CONFIGURATIONS} best by validation AA", _configurations),
    ("the maps of the clips", lambda data: data.pop("map", None)),
    ("the curves of training", lambda data: data.pop("training", None)),
    ("confusions of other heads before their last session", _last_confusion(default=False)),
    ("confusions before the last session", _last_confusion(default=True)),
    ("heads other than the default of each method", _other_heads),
    ("accuracies of classes before the last session", _last_classes),
)
"""(what is left out, how), in this order."""
