"""Measures the audio of a benchmark: decodes every clip once, on all cores, and returns a few numbers per clip."""

from collections.abc import Callable, Iterator

import numpy as np

from datasets.benchmark.measures import Measures, measure
from datasets.benchmark.shards import Shards
from datasets.utils.location import Location
from orchestrator.cluster.map_tasks import map_tasks
from orchestrator.cluster.session import start_ray

SMALL = 4_000
"""Benchmarks with fewer clips are measured in this process: starting Ray takes longer."""
PARTS_PER_CPU = 4
"""With fewer parts, cores are idle at the end; each part opens the benchmark again."""


def measure_clips(
    shards: Shards, workers: int | None = None, listener: Callable[[int], None] | None = None
) -> Measures:
    """Measures all clips; large benchmarks in parallel on Ray.

    Clips are processed in the order of the shards, so that each part of a shard is read about once, in batches.

    Args:
        shards: of the benchmark.
        workers: number of processes if Ray is not running yet (default: one per core).
        listener: called with the number of measured clips.

    Returns:
        The measures of all clips, in the order of the table.

    Raises:
        EarshotError: a shard is damaged, or a worker crashed.
    """
    order = np.concatenate([np.zeros(0, np.int64), *shards.positions_by_shard()])
    in_process = len(order) < SMALL or workers == 1
    results = _measured_here(shards, order) if in_process else _measured_on_ray(shards, order, workers)
    positions, parts, done = [np.zeros(0, np.int64)], [], 0
    for part, measures in results:
        positions.append(part)
        parts.append(measures)
        done += len(part)
        if listener:
            listener(done)
    return Measures.concatenate(parts).at(np.argsort(np.concatenate(positions)))


def _measured_here(shards: Shards, order: np.ndarray) -> Iterator[tuple[np.ndarray, Measures]]:
    for positions, audio in shards.batches(order):
        yield positions, measure(audio)


def _measured_on_ray(shards: Shards, order: np.ndarray, workers: int | None) -> Iterator[tuple[np.ndarray, Measures]]:
    root = Location.of(shards.root.address)  # absolute: workers run in other folders
    with start_ray(cpus=workers):
        import ray

        cpus = int(ray.cluster_resources().get("CPU", 1))
        parts = np.array_split(order, min(len(order), PARTS_PER_CPU * max(1, cpus)))
        for task in map_tasks(_measure_part, parts, root, advice="run the same command with fewer --workers"):
            yield task.item, task.result


def _measure_part(root: Location, positions: np.ndarray) -> Measures:
    """Runs in a worker."""
    return Measures.concatenate([measure(audio) for _, audio in Shards(root).batches(positions)])
