"""Recordings -> shards, as a function: for `python -m orchestrator.prepare` and for a sweep.

The inventory of the source becomes a plan, the plan's units become shards (`orchestrator.preparation.shard_tasks`), and
the manifest is written last: a benchmark with a manifest is complete. A run that died is
resumed by the same call.
"""

import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from datasets.benchmark.manifest import ClassEntry, Manifest, SourceEntry, SplitCounts
from datasets.corpora.corpus import Corpus, CorpusOptions, Plan, find_corpus
from datasets.corpora.inventory import Rejection
from datasets.corpora.units import FinishedUnit
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.text import printable
from orchestrator.preparation.output_folder import REJECTED, Destination
from orchestrator.preparation.shard_tasks import Job, Listener, finish_units

STAMP = ".generated"  # in a generated source folder: what it was made with

_LIBRARIES = ("numpy", "pyarrow", "soundfile", "scipy", "torch", "torchaudio", "ray")


@dataclass(frozen=True)
class Settings:
    """What to prepare, and how.

    Attributes:
        corpus: name in the registry.
        source: folder of recordings; None for corpora that make their own.
        out: folder of the benchmark: a path, or a URI of `pyarrow.fs` such as s3://bucket/ls100.
        options: of the corpus; defaults where absent.
        name: of the benchmark (default: of the folder).
        max_rejected: fraction of the source files that may be unusable.
        workers: processes at a time, where Ray is not up already (default: one per core).
        force: prepare again if `out` holds a benchmark made otherwise; shards that still fit are kept.
    """

    corpus: str
    source: Path | None
    out: Path | str | Location
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


def prepare(
    corpus: str,
    source: Path | None,
    out: Path | str | Location,
    options: CorpusOptions | Mapping[str, Any] | None = None,
    **settings: Any,
) -> Manifest:
    """Makes a benchmark, or finds it already made.

    Args:
        corpus: name in the registry.
        source: folder of recordings; None for corpora that make their own.
        out: folder of the benchmark: a path or a URI.
        options: of the corpus; defaults where absent.
        settings: see `Settings`.

    Raises:
        EarshotError: the source, the options or `out` do not fit; too many files are unusable. No manifest
            is left.
    """
    return run(Settings(corpus, source, out, options or {}, **settings)).manifest


def run(settings: Settings, listener: Listener | None = None) -> Outcome:
    """Does what `prepare` does and tells more; `listener` hears the progress, from another thread."""
    started = time.monotonic()
    corpus = find_corpus(settings.corpus)
    options = resolve_options(corpus, settings.options)
    if settings.source is None and corpus.reads_folder and not corpus.generates:
        raise EarshotError(f"--source: expected the folder of the {corpus.name} recordings, found none; give it")
    out = Location.of(Location.of(settings.out).address)  # absolute: workers run in other folders
    if out.address in corpus.benchmarks(options):
        raise EarshotError(f"--out {out}: expected a place of its own, found one of the benchmarks it is made from")
    destination = Destination(out)
    with destination.locked(), _source(settings, corpus, out) as source:
        present = destination.manifest(settings.force)
        wanted = {**_what(settings, corpus, out), **corpus.identity(options)}
        if present and settings.name is None:  # a folder may be renamed
            wanted["name"] = present.name
        generated = settings.source is None and corpus.generates
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
        job = Job(corpus, options, source, out, plan.sample_rate)
        units, computed = finish_units(job, plan, inventory, settings.workers, listener)
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
            **_what(settings, corpus, out),
            settings=corpus.identity(options),
            sample_rate=plan.sample_rate,
            num_samples=plan.num_samples,
            classes=tuple(
                ClassEntry(label=label, name=name, clips=counts[label]) for label, name in enumerate(plan.classes)
            ),
            base_classes=plan.base_classes,
            shards=tuple(unit.shard for unit in units),
            source=SourceEntry(fingerprint=fingerprint, files=plan.files, rejected=len(rejected)),
            versions=_versions(corpus),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        manifest.save(out)
    reused = len(units) - computed
    return Outcome(manifest, rejected, warnings, computed, reused, plan.ignored, time.monotonic() - started)


@contextmanager
def _source(settings: Settings, corpus: Corpus[Any], out: Location) -> Iterator[Path]:
    """The folder of the recordings; generated ones lie in OUT/source, or in a temporary folder where OUT is a URI."""
    if settings.source is not None:
        yield Path(os.path.realpath(settings.source))
    elif out.local is not None:
        yield out.local / "source"
    elif not corpus.generates:
        yield Path("source")
    else:
        with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
            yield Path(folder) / "source"


def _what(settings: Settings, corpus: Corpus[Any], out: Location) -> dict[str, str]:
    return {"corpus": corpus.name, "name": settings.name or out.name}


def _versions(corpus: Corpus[Any]) -> dict[str, str]:
    own = {"corpus": str(corpus.version), "python": platform.python_version()}
    return {**own, **{name: version(name) for name in _LIBRARIES}}


def _count(plan: Plan, units: Sequence[FinishedUnit]) -> list[SplitCounts]:
    """Clips per class, by label."""
    counts = [SplitCounts()] * len(plan.classes)
    for unit in units:
        for label, count in unit.counts.items():
            counts[label] += count
    return counts


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
    content = [corpus.name, corpus.version, corpus.identity(options)]
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
