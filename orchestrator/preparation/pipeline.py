"""Prepares a benchmark from recordings: for `earshot prepare` and for a sweep.

The inventory of the source is divided into units of work, the units become shards
(`orchestrator.preparation.shard_tasks`), and the manifest is written last: a benchmark with a manifest is complete. The
same call resumes an interrupted run.
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
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datasets.benchmark.manifest import ClassEntry, Manifest, SourceEntry, SplitCounts
from datasets.corpora.corpus import Corpus, CorpusOptions, Plan
from datasets.corpora.inventory import Inventory, Rejection
from datasets.corpora.preset import find_corpus_or_preset, find_preset
from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.garbage import collection_paused
from datasets.utils.location import Location
from datasets.utils.text import printable
from datasets.utils.validation import validated
from orchestrator.preparation.croissant import CROISSANT, croissant
from orchestrator.preparation.dataset_card import CARD, ClassRow, class_rows, dataset_card
from orchestrator.preparation.output_folder import OutputFolder, check_rejected, read_rejected, write_rejected
from orchestrator.preparation.shard_tasks import Job, Listener, finish_units
from orchestrator.preparation.split_files import has_split_files, split_files, write_split_files
from orchestrator.preparation.units import FinishedUnit

STAMP = ".generated"  # in a folder of generated recordings: digest of the options they were generated with

_LIBRARIES = ("numpy", "pyarrow", "soundfile", "scipy", "torch", "torchaudio", "ray")


@dataclass(frozen=True)
class Settings:
    """Arguments of `run`.

    Attributes:
        corpus: name in the registry, or of a preset.
        source: folder of recordings; None for corpora that need none.
        out: folder of the benchmark: a path, or a URI of `pyarrow.fs` such as s3://bucket/ls100.
        options: of the corpus; missing ones have their defaults.
        name: of the benchmark (default: name of the folder).
        max_rejected: maximum fraction of the source files that may be unusable.
        workers: number of parallel processes if Ray is not running yet (default: one per core).
        yes: continue although the source does not look as expected (see `Corpus.doubts`).
        force: prepare again if `out` contains a benchmark with different settings; shards that still match are kept.
        split_files: also write a Parquet file for each split.
    """

    corpus: str
    source: Path | None
    out: Path | str | Location
    options: CorpusOptions | Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    max_rejected: float = 0.01
    workers: int | None = None
    yes: bool = False
    force: bool = False
    split_files: bool = False


@dataclass(frozen=True)
class Outcome:
    """Result of `run`.

    Attributes:
        manifest: of the benchmark.
        rejected: files that produced no clips, then clips that were dropped, as in OUT/rejected.csv.
        warnings: about the source and the numbers of clips.
        computed: number of units of work that were cut; 0 if the benchmark was already complete.
        cached: number of units whose shards already existed.
        ignored: number of files in the source folder that are not recordings of this corpus; None if the benchmark was
            already complete.
        seconds: duration of the run.
        notes: rows of the summary, see `Plan`.
        classes: the classes of the benchmark; empty if it was already complete.
    """

    manifest: Manifest
    rejected: tuple[Rejection, ...]
    warnings: tuple[str, ...]
    computed: int
    cached: int
    ignored: int | None
    seconds: float
    notes: tuple[tuple[str, str], ...] = ()
    classes: tuple[ClassRow, ...] = ()


def prepare(
    corpus: str,
    source: Path | None,
    out: Path | str | Location,
    options: CorpusOptions | Mapping[str, Any] | None = None,
    **settings: Any,
) -> Manifest:
    """Prepares a benchmark, unless `out` already contains it.

    Args:
        corpus: name in the registry.
        source: folder of recordings; None for corpora that need none.
        out: folder of the benchmark: a path or a URI.
        options: of the corpus; missing ones have their defaults.
        settings: see `Settings`.

    Raises:
        EarshotError: the source, the options or `out` are invalid; too many files are unusable. No manifest is left.
    """
    return run(Settings(corpus, source, out, options or {}, **settings)).manifest


@dataclass(frozen=True)
class _Request:
    """Validated settings."""

    settings: Settings
    corpus: Corpus[Any]
    options: CorpusOptions
    out: Location

    @property
    def generates(self) -> bool:
        """Whether the recordings are generated."""
        return self.settings.source is None and self.corpus.generates

    @property
    def name(self) -> str:
        """Of the benchmark."""
        return self.settings.name or self.out.name


@dataclass(frozen=True)
class _Build:
    """Shards of a benchmark that has no manifest yet."""

    plan: Plan
    units: list[FinishedUnit]
    computed: int
    rejected: tuple[Rejection, ...]
    dropped: tuple[Rejection, ...]


def run(settings: Settings, listener: Listener | None = None) -> Outcome:
    """Prepares a benchmark like `prepare`, and returns more details.

    Args:
        settings: what to prepare.
        listener: called with the progress, from another thread.

    Raises:
        EarshotError: see `prepare`.
    """
    started = time.monotonic()
    request = _resolve(settings)
    corpus, folder = request.corpus, OutputFolder(request.out)
    with folder.locked(), _source_folder(request) as source:
        existing = folder.manifest(settings.force)
        with collection_paused():
            inventory = None if request.generates else corpus.inventory(source, request.options)
            if inventory:
                request = replace(request, options=corpus.resolve(source, inventory, request.options))
            options = request.options
            identity = corpus.full_identity(options)
            fingerprint = inventory.fingerprint if inventory else _stamp(corpus, identity)
        if existing and not settings.force and _is_up_to_date(request, folder, existing, identity, fingerprint):
            rejected, seconds = read_rejected(request.out), time.monotonic() - started
            if _lacks_description(request, existing):
                _write_card(request, folder, existing, rejected[: existing.source.rejected])
            return Outcome(existing, rejected, (), 0, len(existing.shards), None, seconds)
        if inventory is None:
            _generate(corpus, options, source, fingerprint)
            inventory = corpus.inventory(source, options)
        build = _build(request, folder, source, inventory, existing, listener)
        manifest, warnings = _publish(request, build, identity, fingerprint)
        classes, kept = _write_card(request, folder, manifest, build.rejected)
        warnings = (*warnings, *kept)
    cached, seconds = len(build.units) - build.computed, time.monotonic() - started
    plan, left_out = build.plan, (*build.rejected, *build.dropped)
    return Outcome(
        manifest, left_out, warnings, build.computed, cached, plan.ignored, seconds, plan.notes, tuple(classes)
    )


def resolve_options(corpus: Corpus[Any], options: CorpusOptions | Mapping[str, Any]) -> CorpusOptions:
    """The validated options of a corpus, including defaults.

    Raises:
        EarshotError: an option is unknown or out of range.
    """
    values = dict(options)  # of a model: all its fields, also those that `model_dump` leaves out
    return validated(corpus.options_type, values, f"prepare {corpus.name}", as_flags=True)


def _resolve(settings: Settings) -> _Request:
    corpus, preset = find_corpus_or_preset(settings.corpus)
    options = resolve_options(corpus, {**preset, **dict(settings.options)})
    if settings.source is None and corpus.reads_folder and not corpus.generates:
        raise EarshotError(f"--source: expected the folder of the {corpus.name} recordings, found none; add the option")
    out = Location.of(Location.of(settings.out).address)  # absolute: workers have another working directory
    if out.address in corpus.input_benchmarks(options):
        raise EarshotError(f"--out {out}: expected a new folder, found one of the input benchmarks")
    return _Request(settings, corpus, options, out)


@contextmanager
def _source_folder(request: _Request) -> Iterator[Path]:
    """The folder of the recordings; generated ones are in OUT/source, or in a temporary folder if OUT is a URI."""
    if request.settings.source is not None:
        yield Path(os.path.realpath(request.settings.source))
    elif request.out.local is not None:
        yield request.out.local / "source"
    elif not request.corpus.generates:
        yield Path("source")
    else:
        with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
            yield Path(folder) / "source"


def _is_up_to_date(
    request: _Request, folder: OutputFolder, manifest: Manifest, identity: dict[str, Any], fingerprint: str
) -> bool:
    """Whether the existing benchmark is complete.

    Raises:
        EarshotError: it has different settings.
    """
    requested = {
        "corpus": request.corpus.name,
        "name": request.settings.name or manifest.name,  # a folder may be renamed
        **identity,
        "source": fingerprint,
        "corpus version": str(request.corpus.version),
    }
    folder.check_settings(manifest, requested, recordings=request.corpus.reads_folder and not request.corpus.generates)
    return folder.is_complete(manifest)


def _build(
    request: _Request,
    folder: OutputFolder,
    source: Path,
    inventory: Inventory,
    existing: Manifest | None,
    listener: Listener | None,
) -> _Build:
    """Writes all shards that do not exist yet.

    Raises:
        EarshotError: the source is doubtful and `yes` is not set, too many files are unusable, or a unit failed.
    """
    corpus, options, limit = request.corpus, request.options, request.settings.max_rejected
    with collection_paused():
        doubts = corpus.doubts(source, inventory, options)
        if doubts and not request.settings.yes:
            raise EarshotError(f"{printable(str(source))}: {'; '.join(doubts)}. Or pass --yes to go on as it is")
        plan = corpus.plan(source, inventory, options)
    check_rejected(request.out, plan.rejected, plan.files, limit)
    folder.remove_stale(existing, len(plan.units))
    job = Job(corpus, options, source, request.out, plan.sample_rate, plan.classes)
    units, computed = finish_units(job, plan, inventory, request.settings.workers, listener)
    unique = {*plan.rejected, *(rejection for unit in units for rejection in unit.rejected)}
    rejected = tuple(sorted(unique, key=lambda rejection: (rejection.file, rejection.reason)))
    advice = corpus.advise(rejected, options)
    check_rejected(request.out, rejected, plan.files, limit, advice=advice)
    dropped = tuple(clip for unit in units for clip in (*unit.silent, *unit.duplicates))
    write_rejected(request.out, [*rejected, *dropped])
    warnings = (*doubts, *plan.warnings, *([advice] if advice else []))
    return _Build(replace(plan, warnings=warnings), units, computed, rejected, dropped)


def _publish(
    request: _Request, build: _Build, identity: dict[str, Any], fingerprint: str
) -> tuple[Manifest, tuple[str, ...]]:
    """Reviews the clips per class and writes the manifest; returns it with the warnings.

    Raises:
        EarshotError: a class has no train or no test clips.
    """
    plan, corpus = build.plan, request.corpus
    counts = _count_clips(plan, build.units)
    warnings = (*plan.warnings, *corpus.review(counts, plan.classes, request.options))
    preset = find_preset(request.settings.corpus)
    if preset and preset.classes != len(plan.classes):
        published = f"{request.settings.corpus} was published with {preset.classes} classes"
        warnings = (*warnings, f"{published}, found {len(plan.classes)}: check --source if you left none out")
    manifest = Manifest(
        corpus=corpus.name,
        name=request.name,
        settings=identity,
        sample_rate=plan.sample_rate,
        num_samples=plan.num_samples,
        classes=tuple(
            ClassEntry(label=label, name=name, clips=counts[label]) for label, name in enumerate(plan.classes)
        ),
        base_classes=plan.base_classes,
        shards=tuple(unit.shard for unit in build.units),
        source=SourceEntry(fingerprint=fingerprint, files=plan.files, rejected=len(build.rejected)),
        versions=_versions(corpus),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    manifest.save(request.out)
    return manifest, warnings


def _write_card(
    request: _Request, folder: OutputFolder, manifest: Manifest, rejected: Sequence[Rejection]
) -> tuple[list[ClassRow], tuple[str, ...]]:
    """Writes what describes the benchmark to others, and the files of the splits if they were asked for.

    Returns:
        The classes, and warnings if README.md or croissant.json were written or edited by the user.
    """
    classes = class_rows(request.out)
    if request.settings.split_files and not has_split_files(request.out, manifest):
        write_split_files(request.out, manifest)
    preset, files = find_preset(request.settings.corpus), has_split_files(request.out, manifest)
    kept: tuple[str, ...] = ()
    if folder.may_replace_croissant():
        (request.out / CROISSANT).write(croissant(manifest, preset).encode())
    else:
        kept = (f"{CROISSANT} is not as earshot prepare made it, so it is kept as it is; move it away for a new one",)
    if not folder.may_replace_card():
        card = f"{CARD} was not made by earshot prepare, so it is kept as it is; move it away for a new one"
        return classes, (*kept, card)
    card = dataset_card(manifest, classes, rejected, preset, split_files(manifest) if files else None)
    (request.out / CARD).write(card.encode())
    return classes, kept


def _lacks_description(request: _Request, manifest: Manifest) -> bool:
    """Whether an earlier run was killed before it wrote all files, or was not asked for the files of the splits."""
    if request.settings.split_files and not has_split_files(request.out, manifest):
        return True
    return any((request.out / name).size() is None for name in (CARD, CROISSANT))


def _versions(corpus: Corpus[Any]) -> dict[str, str]:
    own = {"corpus": str(corpus.version), "python": platform.python_version()}
    return {**own, **{name: version(name) for name in _LIBRARIES}}


def _count_clips(plan: Plan, units: Sequence[FinishedUnit]) -> list[SplitCounts]:
    """Clips per class, by label."""
    counts = [SplitCounts()] * len(plan.classes)
    for unit in units:
        for label, count in unit.counts.items():
            counts[label] += count
    return counts


def _stamp(corpus: Corpus[Any], identity: Mapping[str, Any]) -> str:
    """Digest of everything that generated recordings depend on; serves as their fingerprint."""
    content = [corpus.name, corpus.version, identity]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _generate(corpus: Corpus[Any], options: CorpusOptions, source: Path, stamp: str) -> None:
    """Generates the recordings in a temporary folder and renames it, unless they already exist."""
    try:
        if (source / STAMP).read_text() == stamp:
            return
    except OSError:
        pass
    temporary = source.parent / f".{source.name}{TEMPORARY_SUFFIX}"
    for folder in (temporary, source):
        shutil.rmtree(folder, ignore_errors=True)
    temporary.mkdir()
    corpus.generate(temporary, options)
    for path in temporary.rglob("*"):
        os.utime(path, (0, 0))  # constant modification times: generated again, the shards have the same keys and bytes
    (temporary / STAMP).write_text(stamp)
    temporary.rename(source)
