"""Computes the shards of the units of work, in parallel on Ray.

Ray Data maps the units: each task writes its shard atomically and returns only a row of plain values, so no audio
passes through the object store. Shards whose metadata contains the key of their unit are reused, so the same call
resumes a run that was interrupted or killed.
"""

import json
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from datasets.corpora.corpus import Corpus, CorpusOptions, Plan, Unit
from datasets.corpora.inventory import Inventory
from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.location import Location
from datasets.utils.own_code import find_code
from datasets.utils.text import printable
from orchestrator.cluster.ray_private import set_process_title
from orchestrator.cluster.session import last_line, start_ray, worker_options
from orchestrator.preparation.duplicates import drop_duplicates, outdated
from orchestrator.preparation.units import (
    FinishedUnit,
    completed,
    read_finished,
    read_metadata,
    shard_name,
    unit_key,
    write_unit,
)

# With fewer blocks, cores are idle at the end; each block costs 0.1-0.2 s in Ray Data's loop (measured on 2.60).
BLOCKS_PER_CPU = 4
THREADS = 16


@dataclass(frozen=True)
class Progress:
    """Finished units of work, their total number, and clips so far."""

    done: int
    total: int
    clips: int


Listener = Callable[[Progress], None]
"""Called with the progress, from another thread."""


@dataclass(frozen=True)
class Job:
    """The arguments shared by all units of a run; sent to the workers."""

    corpus: Corpus[Any]
    options: CorpusOptions
    source: Path
    out: Location
    sample_rate: int
    class_names: tuple[str, ...]


def finish_units(
    job: Job,
    plan: Plan,
    inventory: Inventory,
    workers: int | None,
    listener: Listener | None,
) -> tuple[list[FinishedUnit], int]:
    """Computes the units that have no shard yet.

    Returns:
        All units in plan order, and how many of them were computed.

    Raises:
        EarshotError: a unit or a worker failed.
    """
    finished: dict[int, FinishedUnit] = {}
    todo: list[tuple[int, Unit, str]] = []
    files = {file.path: file for file in inventory.files}
    identity = job.corpus.full_identity(job.options)
    keys = [unit_key(job.corpus, identity, unit, [files[path] for path in unit.files]) for unit in plan.units]

    def find_finished(index: int) -> FinishedUnit | None:
        place = job.out / shard_name(index)
        unit = read_finished(place, keys[index])
        if unit is None:
            place.remove()
            return None
        try:
            return completed(place, unit, job.sample_rate, job.class_names)
        except (OSError, ValueError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno is not None:  # such as a full disk
                raise
            place.remove()  # damaged: computed again
            return None

    with ThreadPoolExecutor(THREADS) as pool:  # computes digests, or waits for requests if the shards are behind a URI
        for index, unit in enumerate(pool.map(find_finished, range(len(keys)))):
            if unit is None:
                todo.append((index, plan.units[index], keys[index]))
            else:
                finished[index] = unit
    if todo:
        clips = sum(unit.shard.clips for unit in finished.values())
        start = Progress(len(finished), len(plan.units), clips)
        with _report_progress(job.out, {shard_name(index) for index, _, _ in todo}, start, listener):
            try:
                finished.update(_map_units(job, todo, workers))
            finally:
                _remove_temporary_files(job.out)
    units = [finished[index] for index in range(len(plan.units))]
    if job.options.drop_duplicates:
        units = _without_duplicates(job, plan, keys, units, workers)
    return units, len(todo)


def _without_duplicates(
    job: Job, plan: Plan, keys: Sequence[str], units: Sequence[FinishedUnit], workers: int | None
) -> list[FinishedUnit]:
    again = outdated(units)
    for index in again:
        (job.out / shard_name(index)).remove()
    cut = _map_units(job, [(index, plan.units[index], keys[index]) for index in again], workers) if again else {}
    units = [cut.get(index, unit) for index, unit in enumerate(units)]
    return drop_duplicates(job.out, units, job.sample_rate, job.class_names)


def _remove_temporary_files(out: Location) -> None:
    """Removes partial shards of workers that were killed or ran out of disk space."""
    for name in (out / "shards").files():
        if name.endswith(TEMPORARY_SUFFIX):
            (out / "shards" / name).remove()


@contextmanager
def _report_progress(
    out: Location, names: Collection[str], start: Progress, listener: Listener | None
) -> Iterator[None]:
    """Calls the listener when shards appear in the folder: Ray Data returns rows only block by block."""
    if listener is None:
        yield
        return
    stop = threading.Event()

    def watch() -> None:
        waiting, clips = set(names), start.clips
        while True:
            last = stop.is_set()
            with suppress(EarshotError, OSError):  # a temporary failure of the file system: try again
                for name in sorted({f"shards/{file}" for file in (out / "shards").files()} & waiting):
                    if metadata := read_metadata(out / name):
                        waiting.remove(name)
                        clips += sum(count.total for count in metadata.counts.values())
            listener(Progress(start.done + len(names) - len(waiting), start.total, clips))
            if last:
                return
            stop.wait(0.3 if out.local else 2.0)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _map_units(job: Job, todo: Sequence[tuple[int, Unit, str]], workers: int | None) -> dict[int, FinishedUnit]:
    """Computes units in parallel; returns them by unit number."""
    rows = [{"index": index, "unit": json.dumps(asdict(unit)), "key": key} for index, unit, key in todo]
    code = [find_code(job.corpus.code, "corpus")] if job.corpus.code else []
    with start_ray(cpus=workers, code=code):
        import ray
        import ray.data

        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current().copy()
        context.enable_progress_bars = context.print_on_execution_start = False
        cpus = int(ray.cluster_resources().get("CPU", 1))
        blocks = min(len(rows), BLOCKS_PER_CPU * max(1, cpus))
        finished = {}
        try:
            with ray.data.DataContext.current(context):
                items = ray.data.from_items(rows, override_num_blocks=blocks)
                for row in items.map(partial(_map_unit, job=job), **worker_options()).iter_rows():
                    if row["error"]:
                        raise EarshotError(f"{row['error']}; then run the same command to resume")
                    finished[row["index"]] = FinishedUnit.model_validate_json(row["result"])
        except ray.exceptions.RayError as error:
            raise EarshotError(f"a worker failed: {last_line(error)}; run the same command to resume") from error
        return finished


def _map_unit(row: dict[str, Any], job: Job) -> dict[str, Any]:
    """Runs in a worker: writes the shard of a unit and returns a row of plain values."""
    content = json.loads(row["unit"])
    unit = Unit(content["name"], tuple(content["files"]), content["details"])
    place = job.out / shard_name(row["index"])
    set_process_title(f"ray::prepare {unit.name}")  # tasks of Ray Data have the name of their operator
    try:
        # After a worker crash Ray repeats its whole block, of which some units are already finished.
        finished = read_finished(place, row["key"]) or write_unit(
            job.corpus, job.options, job.source, unit, row["key"], place, job.sample_rate, job.class_names
        )
    except (EarshotError, OSError) as error:
        return {"index": row["index"], "error": printable(f"unit {unit.name}: {error}"), "result": ""}
    return {"index": row["index"], "error": "", "result": finished.model_dump_json()}
