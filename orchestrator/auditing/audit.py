"""Audits a benchmark: shards are measured in parallel, then examined together."""

from collections.abc import Callable, Sequence
from pathlib import Path

from datasets.benchmark.audit import Audit, Ceiling, examine, protocol_ceiling
from datasets.benchmark.listing import Listing
from datasets.benchmark.protocol import NAMED
from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from orchestrator.auditing.measure import measure_clips


def audit(
    benchmark: Shards | Location | Path | str,
    protocols: Sequence[str] | None = None,
    order_seed: int | None = None,
    workers: int | None = None,
    listener: Callable[[int], None] | None = None,
) -> Audit:
    """Audits a prepared benchmark with its audio.

    Args:
        benchmark: its shards, folder or URI.
        protocols: names of those whose ceilings are wanted; None for all that fit the benchmark.
        order_seed: seeds the order of the classes; None for the published order.
        workers: processes that measure audio, where Ray is not up already (default: one per core).
        listener: hears how many clips are measured.

    Raises:
        EarshotError: the benchmark is not complete or damaged, or a protocol does not fit it.
    """
    shards = benchmark if isinstance(benchmark, Shards) else Shards(benchmark)
    measures = measure_clips(shards, workers, listener)
    manifest = shards.manifest
    clips = Listing(
        table=shards.table,
        sources=shards.sources,
        contents=tuple(measures.contents.tolist()),
        base_classes=manifest.base_classes,
        clip_seconds=manifest.num_samples / manifest.sample_rate,
    )
    return examine(manifest.name, clips, _ceilings(clips, protocols, order_seed), measures)


def audit_listing(
    name: str, clips: Listing, protocols: Sequence[str] | None = None, order_seed: int | None = None
) -> Audit:
    """Audits what lists alone tell; the rest as `audit`."""
    return examine(name, clips, _ceilings(clips, protocols, order_seed))


def _ceilings(clips: Listing, protocols: Sequence[str] | None, order_seed: int | None) -> list[Ceiling]:
    if protocols is not None:
        return [protocol_ceiling(name, clips, order_seed) for name in protocols]
    fitting = []
    for name in NAMED:
        try:
            fitting.append(protocol_ceiling(name, clips, order_seed))
        except EarshotError:  # too few classes or clips for this one
            continue
    return fitting
