"""Audits a benchmark: measures the shards in parallel, then examines all clips together."""

from collections.abc import Callable, Sequence
from pathlib import Path

from datasets.benchmark.audit import Audit, examine
from datasets.benchmark.ceiling import Ceiling, protocol_ceiling
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
        benchmark: shards, folder or URI of the benchmark.
        protocols: names of the protocols for which ceilings are computed; None for all that fit the benchmark.
        order_seed: seed of the class order; None for the published order.
        workers: number of processes that measure audio if Ray is not running yet (default: one per core).
        listener: called with the number of measured clips.

    Raises:
        EarshotError: the benchmark is incomplete or damaged, or a protocol does not fit it.
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
        groups=shards.groups,
    )
    return examine(manifest.name, clips, _ceilings(clips, protocols, order_seed), measures)


def audit_listing(
    name: str, clips: Listing, protocols: Sequence[str] | None = None, order_seed: int | None = None
) -> Audit:
    """Audits published lists without audio; see `audit` for the arguments."""
    return examine(name, clips, _ceilings(clips, protocols, order_seed))


def _ceilings(clips: Listing, protocols: Sequence[str] | None, order_seed: int | None) -> list[Ceiling]:
    if protocols is not None:
        return [protocol_ceiling(name, clips, order_seed) for name in protocols]
    fitting = []
    for name in (name for name, protocol in NAMED.items() if not protocol.leave):  # a ceiling counts all classes
        try:
            fitting.append(protocol_ceiling(name, clips, order_seed))
        except EarshotError:  # too few classes or clips for this one
            continue
    return fitting
