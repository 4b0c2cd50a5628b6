"""Recordings -> shards, as a function: for `python -m orchestrator.prepare` and for a sweep.

Ray Data maps the units of work in parallel; each unit writes its own shard inside the map, aside and
renamed; the manifest is written last. A benchmark with a manifest is complete. A run that died in any way is
resumed by the same
call: shards whose metadata name their unit are kept, everything else is made again.
"""

import hashlib
import json
import logging
import os
import platform
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from datasets.corpus import Corpus, CorpusOptions, Plan, Unit, find_corpus
from datasets.errors import EarshotError
from datasets.inventory import Inventory, Rejection, printable
from datasets.manifest import ClassEntry, Manifest, SourceEntry, SplitCounts
from datasets.units import FinishedUnit, read_finished, read_note, shard_path, unit_key, write_unit
from orchestrator.cluster import start_ray
from orchestrator.destination import REJECTED, Destination

# Fewer leave cores idle at the end; one block per unit costs 0.1-0.2 s each in Ray Data's loop (measured on
# 2.60).
BLOCKS_PER_CPU = 4
STAMP = ".generated"  # in a generated source folder: what it was made with

_LIBRARIES = ("numpy", "pyarrow", "soundfile", "pyloudnorm", "scipy", "torch", "torchaudio", "ray")


@dataclass(frozen=True)
class Progress:
    """How far a run is: units of work done and in all, clips so far."""

    done: int
    total: int
    clips: int


@dataclass(frozen=True)
class Settings:
    """What to prepare, and how.

    Attributes:
        corpus: name in the registry.
        source: folder of recordings; None for corpora that make their own.
        out: folder of the benchmark.
        options: of the corpus; defaults where absent.
        name: of the benchmark (default: of the folder).
        max_rejected: fraction of the source files that may be unusable.
        workers: processes at a time, where Ray is not up already (default: one per core).
        force: prepare again if `out` holds a benchmark made otherwise; shards that still fit are kept.
    """

    corpus: str
    source: Path | None
    out: Path
    options: CorpusOptions | Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    max_rejected: float = 0.01
    workers: int | None = None
    force: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes:
        computed: units of work that were cut; 0 if there was nothing to do.
        reused: units whose shards were already there.
        ignored: files of the source folder that are no recordings of this corpus; None if there was nothing
            to do.
    """

    manifest: Manifest
    rejected: tuple[Rejection, ...]
    warnings: tuple[str, ...]
    computed: int
    reused: int
    ignored: int | None
    seconds: float


@dataclass(frozen=True)
class _Job:
    """What every unit of a run shares; travels to the workers."""

    corpus: Corpus[Any]
    options: CorpusOptions
    source: Path
    out: Path
    sample_rate: int


def prepare(
    corpus: str,
    source: Path | None,
    out: Path,
    options: CorpusOptions | Mapping[str, Any] | None = None,
    **settings: Any,
) -> Manifest:
    """Makes a benchmark, or finds it already made.

    Args:
        corpus: name in the registry.
        source: folder of recordings; None for corpora that make their own.
        out: folder of the benchmark.
        options: of the corpus; defaults where absent.
        settings: see `Settings`.

    Raises:
        EarshotError: the source, the options or `out` do not fit; too many files are unusable. No manifest
            is left.
    """
    return run(Settings(corpus, source, out, options or {}, **settings)).manifest


def run(settings: Settings, listener: Callable[[Progress], None] | None = None) -> Outcome:
    """Does what `prepare` does and tells more; `listener` hears the progress, from another thread."""
    started = time.monotonic()
    corpus = find_corpus(settings.corpus)
    options = resolve_options(corpus, settings.options)
    if settings.source is None and not corpus.generates:
        raise EarshotError(f"--source: expected the folder of the {corpus.name} recordings, found none; give it")
    out = Path(os.path.realpath(settings.out))  # Path.resolve raises on a loop of links
    source = Path(os.path.realpath(settings.source)) if settings.source is not None else out / "source"
    destination = Destination(out)
    with destination.locked():
        present = destination.manifest(settings.force)
        wanted = {**_what(settings, corpus), **options.model_dump(mode="json")}
        generated = settings.source is None
        inventory = None if generated else corpus.inventory(source, options)
        fingerprint = inventory.fingerprint if inventory else _stamp(corpus, options)
        if present and not settings.force:
            destination.refuse_other(present, {**wanted, "source": fingerprint, "corpus version": str(corpus.version)})
            if destination.intact(present):
                rejected, seconds = destination.read_rejected(), time.monotonic() - started
                return Outcome(present, rejected, (), 0, len(present.shards), None, seconds)
        if inventory is None:
            _generate(corpus, options, source)
            inventory = corpus.inventory(source, options)
        plan = corpus.plan(source, inventory, options)
        _check_rejected(destination, plan.rejected, plan, settings.max_rejected)
        destination.clear(present, len(plan.units))
        job = _Job(corpus, options, source, out, plan.sample_rate)
        units, computed = _finish_units(job, plan, inventory, settings.workers, listener)
        rejected = tuple(
            sorted(
                {*plan.rejected, *(r for unit in units for r in unit.rejected)},
                key=lambda r: (r.file, r.reason),
            )
        )
        _check_rejected(destination, rejected, plan, settings.max_rejected)
        destination.write_rejected(rejected)
        counts = _count(plan, units)
        warnings = (*plan.warnings, *corpus.review(counts, plan.classes, options))
        manifest = Manifest(
            **_what(settings, corpus),
            settings=options.model_dump(mode="json"),
            sample_rate=plan.sample_rate,
            num_samples=plan.num_samples,
            classes=tuple(
                ClassEntry(label=label, name=name, clips=counts[label]) for label, name in enumerate(plan.classes)
            ),
            base_classes=plan.base_classes,
            shards=tuple(unit.shard for unit in units),
            source=SourceEntry(fingerprint=fingerprint, files=plan.files, rejected=len(rejected)),
            versions=_versions(corpus),
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        manifest.save(out)
    reused = len(units) - computed
    return Outcome(manifest, rejected, warnings, computed, reused, plan.ignored, time.monotonic() - started)


def _what(settings: Settings, corpus: Corpus[Any]) -> dict[str, str]:
    return {"corpus": corpus.name, "name": settings.name or Path(settings.out).resolve().name}


def _versions(corpus: Corpus[Any]) -> dict[str, str]:
    own = {"corpus": str(corpus.version), "python": platform.python_version()}
    return {**own, **{name: version(name) for name in _LIBRARIES}}


def _count(plan: Plan, units: Sequence[FinishedUnit]) -> list[SplitCounts]:
    """Clips per class, by label."""
    return [
        sum((unit.counts.get(label, SplitCounts()) for unit in units), SplitCounts())
        for label in range(len(plan.classes))
    ]


def resolve_options(corpus: Corpus[Any], options: CorpusOptions | Mapping[str, Any]) -> CorpusOptions:
    """The corpus's options with all defaults filled in.

    Raises:
        EarshotError: an option is unknown or out of range.
    """
    if isinstance(options, CorpusOptions):
        options = options.model_dump()
    try:
        return corpus.options_type.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        where = f"--{key.replace('_', '-')}: " if key else ""
        found = f", found {printable(str(first['input']))}" if key else ""
        reason = first["msg"].removeprefix("Value error, ")
        reason = reason[0].lower() + reason[1:]
        raise EarshotError(f"{where}{reason}{found}; see prepare {corpus.name} --help") from None


def _stamp(corpus: Corpus[Any], options: CorpusOptions) -> str:
    """What generated recordings depend on: stands for them as their fingerprint."""
    content = [corpus.name, corpus.version, options.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _generate(corpus: Corpus[Any], options: CorpusOptions, source: Path) -> None:
    """Makes the recordings of a corpus that has none on disk, aside and renamed, unless they are there."""
    stamp = _stamp(corpus, options)
    try:
        if (source / STAMP).read_text() == stamp:
            return
    except OSError:
        pass
    aside = source.parent / f".{source.name}.aside"
    for folder in (aside, source):
        shutil.rmtree(folder, ignore_errors=True)
    aside.mkdir()
    corpus.generate(aside, options)
    for path in aside.rglob("*"):
        os.utime(path, (0, 0))  # made again they are the same recordings, and their shards the same bytes
    (aside / STAMP).write_text(stamp)
    aside.rename(source)


def _check_rejected(destination: Destination, rejected: Sequence[Rejection], plan: Plan, max_rejected: float) -> None:
    if len(rejected) <= max_rejected * plan.files:
        return
    destination.write_rejected(rejected)
    first = rejected[0]
    raise EarshotError(
        f"{len(rejected)} of {plan.files} files are unusable, more than --max-rejected {max_rejected:g} "
        f"allows ({first.file}: {first.reason}{'; ...' if len(rejected) > 1 else ''}); see "
        f"{destination.root / REJECTED}, mend them or raise the limit: what is done is kept"
    )


def _finish_units(
    job: _Job,
    plan: Plan,
    inventory: Inventory,
    workers: int | None,
    listener: Callable[[Progress], None] | None,
) -> tuple[list[FinishedUnit], int]:
    """All units in plan order, and how many of them had to be computed."""
    finished: dict[int, FinishedUnit] = {}
    todo: list[tuple[int, Unit, str]] = []
    files = {file.path: file for file in inventory.files}
    for index, unit in enumerate(plan.units):
        key = unit_key(job.corpus, job.options, unit, [files[path] for path in unit.files])
        found = read_finished(shard_path(job.out, index), key)
        if found is None:
            shard_path(job.out, index).unlink(missing_ok=True)
            todo.append((index, unit, key))
        else:
            finished[index] = found
    if todo:
        clips = sum(unit.shard.clips for unit in finished.values())
        start = Progress(len(finished), len(plan.units), clips)
        with _watched([shard_path(job.out, index) for index, _, _ in todo], start, listener):
            finished.update(_map_units(job, todo, workers))
    return [finished[index] for index in range(len(plan.units))], len(todo)


@contextmanager
def _watched(paths: Sequence[Path], start: Progress, listener: Callable[[Progress], None] | None) -> Iterator[None]:
    """Tells the listener about shards as they appear: Ray Data's rows come only block by block."""
    if listener is None:
        yield
        return
    stop = threading.Event()

    def watch() -> None:
        waiting, clips = list(paths), start.clips
        while True:
            last = stop.is_set()
            for path in list(waiting):
                if path.exists() and (note := read_note(path)):
                    waiting.remove(path)
                    clips += sum(count.total for count in note.counts.values())
            listener(Progress(start.done + len(paths) - len(waiting), start.total, clips))
            if last:
                return
            stop.wait(0.3)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _map_units(job: _Job, todo: Sequence[tuple[int, Unit, str]], workers: int | None) -> dict[int, FinishedUnit]:
    """Cuts units in parallel; results by unit number, whatever the order in which they come."""
    rows = [{"index": index, "unit": json.dumps(asdict(unit)), "key": key} for index, unit, key in todo]
    with start_ray(cpus=workers):
        import ray
        import ray.data

        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.ERROR)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        cpus = int(ray.cluster_resources().get("CPU", 1))
        blocks = min(len(rows), BLOCKS_PER_CPU * max(1, cpus))
        results = ray.data.from_items(rows, override_num_blocks=blocks).map(partial(_map_unit, job=job))
        finished = {}
        try:
            for row in results.iter_rows():
                if row["error"]:
                    raise EarshotError(f"{row['error']}; then run the same command to resume")
                finished[row["index"]] = FinishedUnit.model_validate_json(row["result"])
        except ray.exceptions.RayError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = printable(lines[-1]) if lines else type(error).__name__
            raise EarshotError(f"a worker failed: {reason}; run the same command to resume") from error
        return finished


def _map_unit(row: dict[str, Any], job: _Job) -> dict[str, Any]:
    """Runs in a worker: writes the unit's shard and returns a row of plain values."""
    content = json.loads(row["unit"])
    unit = Unit(content["name"], tuple(content["files"]), content["details"])
    path = shard_path(job.out, row["index"])
    try:
        # After the death of a worker Ray repeats its whole block, of which some units are finished.
        finished = read_finished(path, row["key"]) or write_unit(
            job.corpus, job.options, job.source, unit, row["key"], path, job.sample_rate
        )
    except (EarshotError, OSError) as error:
        return {"index": row["index"], "error": printable(f"unit {unit.name}: {error}"), "result": ""}
    return {"index": row["index"], "error": "", "result": finished.model_dump_json()}
