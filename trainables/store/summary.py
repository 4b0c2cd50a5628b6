"""Summarises the contents of a store: one row per stage, one per session of a method, and totals."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from datasets.utils.location import FolderEntry
from trainables.store.inventory import Inventory, StageFiles

Row = dict[str, Any]


def summarize(inventory: Inventory, stages: Sequence[StageFiles]) -> dict[str, Any]:
    """Summarises a store in JSON types; times are seconds since 1970, sizes are bytes.

    A part that several stages refer to is counted once, with the first session that has it.

    Args:
        inventory: of the store.
        stages: `inventory.stages()`.
    """
    references = Counter(digest for stage in stages for digest in stage.parts)
    rows = _stage_rows(inventory, stages, references)
    return {
        "place": str(inventory.place),
        "size": inventory.size,
        "stages": rows,
        "sessions": _session_rows(rows, stages, references),
        "parts": _parts(inventory, references),
        "embeddings": {
            **_count_and_size(inventory.arrays.values()),
            "used": max((file.modified for file in inventory.arrays.values()), default=None),
        },
        "unreferenced": _count_and_size(_unreferenced(inventory, references)),
        "computing": len(inventory.leases),
        "others": _count_and_size(inventory.foreign),
    }


def _stage_rows(inventory: Inventory, stages: Sequence[StageFiles], references: Counter[str]) -> list[Row]:
    part_sizes = _sizes_of_new_parts(inventory, stages)
    return [
        {
            "address": stage.address,
            "method": stage.method,
            "session": stage.session,
            "data": stage.data,
            "seconds": stage.seconds,
            "size": stage.size + part_sizes[stage.address],
            "shared_parts": sum(references[digest] > 1 for digest in stage.parts),
            "used": stage.last_used,
        }
        for stage in sorted(stages, key=lambda stage: (stage.method, stage.session, stage.address))
    ]


def _sizes_of_new_parts(inventory: Inventory, stages: Sequence[StageFiles]) -> dict[str, int]:
    """Bytes of the parts that appear first in each stage, by its address."""
    first: dict[str, StageFiles] = {}
    for stage in sorted(stages, key=lambda stage: (stage.session, stage.method, stage.address)):
        for digest in stage.parts:
            first.setdefault(digest, stage)
    sizes: dict[str, int] = defaultdict(int)
    for digest, stage in first.items():
        sizes[stage.address] += _part_size(inventory, digest)
    return sizes


def _session_rows(rows: Sequence[Row], stages: Sequence[StageFiles], references: Counter[str]) -> list[Row]:
    """One row for all stages of a method's session."""
    groups: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["method"], row["session"]].append(row)
    shared: dict[tuple[str, int], set[str]] = defaultdict(set)
    for stage in stages:
        shared[stage.method, stage.session].update(digest for digest in stage.parts if references[digest] > 1)
    return [
        {
            "method": method,
            "session": session,
            "stages": len(group),
            "seconds": sum(row["seconds"] for row in group),
            "size": sum(row["size"] for row in group),
            "shared_parts": len(shared[method, session]),
            "used": max(row["used"] for row in group),
        }
        for (method, session), group in groups.items()
    ]


def _parts(inventory: Inventory, references: Counter[str]) -> dict[str, int]:
    sizes = {digest: _part_size(inventory, digest) for digest in references}
    return {
        "count": len(references),
        "shared": sum(count > 1 for count in references.values()),
        "size": sum(sizes.values()),
        "size_unshared": sum(count * sizes[digest] for digest, count in references.items()),
    }


def _unreferenced(inventory: Inventory, references: Counter[str]) -> list[FolderEntry]:
    """Parts and predictions of no published stage, and temporary files."""
    files = [part for digest, part in inventory.parts.items() if digest not in references]
    files += [file for address, file in inventory.predictions.items() if address not in inventory.descriptions]
    return [*files, *inventory.temporary.values()]


def _part_size(inventory: Inventory, digest: str) -> int:
    part = inventory.parts.get(digest)
    return (part.size or 0) if part is not None else 0


def _count_and_size(files: Iterable[FolderEntry]) -> dict[str, Any]:
    sizes = [file.size or 0 for file in files]
    return {"count": len(sizes), "size": sum(sizes)}
