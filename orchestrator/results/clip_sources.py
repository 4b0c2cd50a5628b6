"""Where the clips of a run come from: recording and start, from its benchmark if that is on this machine."""

from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from orchestrator.results.benchmark import find_benchmark
from orchestrator.results.run import Run


def clip_sources(run: Run) -> dict[str, tuple[str, float]]:
    """Clip id -> the recording in which the clip starts, and its start in the stream that it was cut from, in seconds.

    Empty where the benchmark is not on this machine, was made again otherwise, or cannot be read: a report is written
    all the same.
    """
    where, fingerprints = run.sweep.get("where"), {record.benchmark_fingerprint for record in run.trials.values()}
    if not isinstance(where, dict) or len(fingerprints) > 1:
        return {}
    try:
        found = find_benchmark(where, fingerprints.pop(), local=True)
        if found is None:
            return {}
        shards = Shards(found)
        seconds = (shards.starts / shards.manifest.sample_rate).tolist()
        return dict(zip(shards.table.clip_ids, zip(shards.sources, seconds, strict=True), strict=True))
    except (EarshotError, OSError):
        return {}
