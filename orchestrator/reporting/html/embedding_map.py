"""A map of the scored clips: the two principal components of their stored embeddings."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.utils.errors import EarshotError
from orchestrator.reporting.html.results import Results
from orchestrator.reporting.series_styles import COLOURS, SYMBOLS
from orchestrator.results.benchmark import ReadBenchmark
from orchestrator.results.embeddings import Embeddings, stored_embeddings
from orchestrator.results.mistakes import answers

POINTS = 800
"""Clips of a map, at most; from every class the same share."""

MAPS = 3
"""Maps of a page, at most; the methods on one backbone share theirs."""

SCALE = 1000
"""Coordinates are whole numbers from 0 to this."""

_LEAST = 3


def embedding_map(results: Results) -> dict[str, Any] | None:
    """Maps of the clips that the first chain of each method has scored; None without any, and in live pages.

    Args:
        results: what the page is made from.

    Returns:
        `maps` (see `_map`), and `methods`: name -> `map`: its index, `seeds` of the chain, `sessions`: label -> session
        in which the chain has learned it, and `predictions`: label of each point of the map, None where the chain has
        no answer; `colours` and `symbols` of the points.
    """
    if results.progress is not None:
        return None
    maps: dict[str, dict[str, Any]] = {}
    methods: dict[str, Any] = {}
    for method in results.methods:
        record = max(results.run.of(method["configuration"]), key=lambda record: len(record.sessions))
        try:
            benchmark = results.benchmarks.of(record.trial)
            found = stored_embeddings(results.run, record, benchmark)
            if found is None or len(found.values) < _LEAST or (found.source not in maps and len(maps) == MAPS):
                continue
            if found.source not in maps:
                maps[found.source] = _map(found, benchmark, with_sources=results.audio > 0)
        except EarshotError:
            continue
        given = answers(results.run, record, method["head"])
        methods[method["name"]] = {
            "map": list(maps).index(found.source),
            "seeds": str(record.seeds),
            "sessions": {str(label): session.index for session in record.sessions for label in session.classes},
            "predictions": [given.get(clip) for clip in maps[found.source]["clips"]],
        }
    if not methods:
        return None
    return {"maps": list(maps.values()), "methods": methods, "colours": list(COLOURS), "symbols": list(SYMBOLS)}


def _map(found: Embeddings, benchmark: ReadBenchmark, *, with_sources: bool) -> dict[str, Any]:
    """A map: see `_projection`; `clips`, `labels` and, if wanted, `sources` of its points; `total` of the test clips.

    Sources are names of recordings, which are only for a page that has clips of the benchmark.

    Raises:
        EarshotError: a shard of the benchmark is damaged.
    """
    chosen = _sample(benchmark.shards.table.labels[found.positions])
    positions = found.positions[chosen]
    sources = {"sources": [benchmark.shards.sources[position] for position in positions]} if with_sources else {}
    return {
        **_projection(found, chosen),
        **sources,
        "clips": [benchmark.shards.table.clip_ids[position] for position in positions],
        "labels": benchmark.shards.table.labels[positions].tolist(),
        "total": len(found.values),
    }


def _sample(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Indices of at most `POINTS` clips: every k-th, in the order of the classes."""
    order = np.argsort(labels, kind="stable")
    return order[:: -(-len(order) // POINTS)]


def _projection(found: Embeddings, chosen: NDArray[np.int64]) -> dict[str, Any]:
    """Principal components of some clips: `x`, `y`, the prototypes projected alike, and what the two explain.

    Coordinates have the same scale in both directions, so that distances can be compared.
    """
    values = found.values[chosen].astype(np.float64)
    mean = values.mean(axis=0)
    _, singular, components = np.linalg.svd(values - mean, full_matrices=False)
    axes = components[:2] * np.sign(components[:2, np.abs(components[:2]).argmax(axis=1)].diagonal())[:, None]
    prototypes = np.array(list(found.prototypes.values()), dtype=np.float64).reshape(-1, values.shape[1])
    points = (np.concatenate([values, prototypes]) - mean) @ axes.T
    low = points.min(axis=0)
    size = float((points.max(axis=0) - low).max()) or 1.0
    scaled = np.rint((points - low) / size * SCALE).astype(int)
    return {
        "x": scaled[: len(values), 0].tolist(),
        "y": scaled[: len(values), 1].tolist(),
        "prototypes": [
            [label, *point] for label, point in zip(found.prototypes, scaled[len(values) :].tolist(), strict=True)
        ],
        "explained": [round(float(share), 4) for share in singular[:2] ** 2 / max((singular**2).sum(), 1e-12)],
    }
