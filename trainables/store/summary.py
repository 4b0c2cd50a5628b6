"""Describes what a store holds, one row per group of stages."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from trainables.store.inventory import Holdings, StageFiles


def described(held: Holdings, stages: Sequence[StageFiles]) -> dict[str, Any]:
    """What a store holds, in JSON types; times are seconds since 1970, sizes bytes.

    A part that several stages have is counted once, with the first session that has it.
    """
    owners: dict[str, StageFiles] = {}
    for stage in sorted(stages, key=lambda one: (one.session, one.method, one.address)):
        for digest in stage.parts:
            owners.setdefault(digest, stage)
    references = Counter(digest for stage in stages for digest in stage.parts)
    own: dict[str, int] = defaultdict(int)
    for digest, stage in owners.items():
        own[stage.address] += _size(held.parts, digest)
    rows = [
        {
            "address": stage.address,
            "method": stage.method,
            "session": stage.session,
            "data": stage.data,
            "seconds": stage.seconds,
            "size": stage.size + own[stage.address],
            "shared_parts": sum(references[digest] > 1 for digest in stage.parts),
            "used": stage.used,
        }
        for stage in sorted(stages, key=lambda one: (one.method, one.session, one.address))
    ]
    left = [part for digest, part in held.parts.items() if digest not in references]
    left += [found for address, found in held.predictions.items() if address not in held.described]
    left += held.asides.values()
    return {
        "place": str(held.place),
        "size": held.size,
        "stages": rows,
        "sessions": _sessions(rows, stages, references),
        "parts": {
            "count": len(references),
            "shared": sum(count > 1 for count in references.values()),
            "size": sum(_size(held.parts, digest) for digest in references),
            "size_unshared": sum(count * _size(held.parts, digest) for digest, count in references.items()),
        },
        "embeddings": {
            "count": len(held.arrays),
            "size": sum(found.size or 0 for found in held.arrays.values()),
            "used": max((found.modified for found in held.arrays.values()), default=None),
        },
        "unreferenced": {"count": len(left), "size": sum(found.size or 0 for found in left)},
        "computing": len(held.leases),
        "others": {"count": len(held.others), "size": sum(found.size or 0 for found in held.others)},
    }


def _sessions(
    rows: Sequence[dict[str, Any]], stages: Sequence[StageFiles], references: Counter[str]
) -> list[dict[str, Any]]:
    """The stages of a method's session together."""
    grouped: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["method"], row["session"]].append(row)
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
        for (method, session), group in grouped.items()
    ]


def _size(files: dict[str, Any], key: str) -> int:
    return (files[key].size or 0) if key in files else 0
