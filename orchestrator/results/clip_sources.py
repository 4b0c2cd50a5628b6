"""Where the clips of a run come from: recording and start, from its benchmark if that is on this machine."""

from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from orchestrator.results.run import Run


def clip_sources(run: Run) -> dict[str, tuple[str, float]]:
    """Clip id -> the recording in which the clip starts, and its start in the stream that it was cut from, in seconds.

    Empty where the benchmark is not on this machine, was made again otherwise, or cannot be read: a report is written
    all the same.
    """
    where = run.sweep.get("where")
    address = where.get("benchmark") if isinstance(where, dict) else None
    if not isinstance(address, str):
        return {}
    try:
        place = Location.of(address)
        shards = Shards(place) if place.local is not None else None
        if shards is None or {r.benchmark_fingerprint for r in run.trials.values()} != {shards.manifest.fingerprint}:
            return {}
        seconds = (shards.starts / shards.manifest.sample_rate).tolist()
        return dict(zip(shards.table.clip_ids, zip(shards.sources, seconds, strict=True), strict=True))
    except (EarshotError, OSError):
        return {}
