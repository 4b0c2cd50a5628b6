"""A prepared benchmark, and how to prepare one."""

import os
import warnings
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.benchmark.manifest import SPLITS, Manifest
from datasets.utils.console import error_console
from datasets.utils.location import Location
from datasets.utils.text import plural, printable
from earshot.process import settings_restored

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.preparation.pipeline import Outcome


class Benchmark:
    """A benchmark that `prepare` or `earshot prepare` has made: clips of equal length in classes, divided into splits.

    Args:
        path: its folder, or a URI.

    Attributes:
        path: the folder as an absolute path, or the URI.
        manifest: the contents of manifest.json.

    Raises:
        EarshotError: the manifest is missing (the benchmark is incomplete) or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self._location = Location.of(path)
        self.path: str = self._location.address
        self.manifest = Manifest.load(self._location)

    @property
    def name(self) -> str:
        """Name of the benchmark."""
        return self.manifest.name

    @property
    def corpus(self) -> str:
        """Name of the corpus that it was prepared from, such as 'folder'."""
        return self.manifest.corpus

    @property
    def settings(self) -> dict[str, Any]:
        """The options of the corpus, defaults included."""
        return dict(self.manifest.settings)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the clips; the same wherever and from whichever copies of the recordings they were made."""
        return self.manifest.content_digest

    @property
    def sample_rate(self) -> int:
        """Of every clip, in Hz."""
        return self.manifest.sample_rate

    @property
    def clip_seconds(self) -> float:
        """Length of every clip."""
        return self.manifest.num_samples / self.manifest.sample_rate

    @property
    def clips(self) -> dict[str, int]:
        """Number of clips of each split: train, val, test."""
        return {split: getattr(self.manifest.clips, split) for split in SPLITS}

    @cached_property
    def classes(self) -> "pd.DataFrame":
        """One row per class, by label: `class`, clips in `train`, `val` and `test`, `hours`, and `groups` if there are.

        Raises:
            EarshotError: a shard is missing or damaged.
        """
        import pandas as pd

        from orchestrator.preparation.dataset_card import class_rows, columns

        rows = class_rows(self._location)
        table = pd.DataFrame(
            [(row.name, row.clips.train, row.clips.val, row.clips.test, row.hours, row.groups) for row in rows],
            columns=["class", *SPLITS, "hours", "groups"],
        )
        table.index.name = "label"
        return table[list(columns(rows))]

    @cached_property
    def rejected(self) -> "pd.DataFrame":
        """One row per file that gave no clips, and per clip that was dropped: `file` and `reason`."""
        import pandas as pd

        from orchestrator.preparation.output_folder import read_rejected

        rows = [(rejection.file, rejection.reason) for rejection in read_rejected(self._location)]
        return pd.DataFrame(rows, columns=["file", "reason"])

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"Benchmark({self.path!r}: {self._summary()})"

    def _repr_html_(self) -> str:
        classes = self.classes.to_html(border=0, float_format="{:.2f}".format, max_rows=20)
        return f"<b>{escape(printable(self.name))}</b>: {escape(self._summary())}<br>{escape(self.path)}{classes}"

    def _summary(self) -> str:
        clips = ", ".join(f"{split} {count}" for split, count in self.clips.items())
        return (
            f"{len(self.manifest.classes)} classes, {plural(self.manifest.clips.total, 'clip')} of "
            f"{self.clip_seconds:g} s at {self.sample_rate} Hz ({clips})"
        )


def open_benchmark(path: str | Path) -> Benchmark:
    """A benchmark that exists.

    Args:
        path: its folder, or a URI (`s3://`, `gs://`, `file://`).

    Raises:
        EarshotError: there is none, or it is incomplete.
    """
    return Benchmark(path)


def prepare(
    corpus: str,
    source: str | Path | None = None,
    out: str | Path = "",
    *,
    name: str | None = None,
    max_rejected: float = 0.01,
    workers: int | None = None,
    yes: bool = False,
    force: bool = False,
    split_files: bool = False,
    progress: bool = True,
    **options: Any,
) -> Benchmark:
    """Cuts recordings into a benchmark of clips, as `earshot prepare` does; does nothing if `out` has it already.

    What looks wrong about the recordings, and how many of them were rejected, is given as a `UserWarning`. After an
    interruption the same call resumes: finished shards are kept. Runs on the Ray that the process uses, or else starts
    one for the call.

    Args:
        corpus: name of a corpus or of a preset, such as 'folder', 'table', 'ls100', 'esc50'.
        source: folder of the recordings; corpora that generate their recordings need none.
        out: folder of the benchmark: a path, or a URI.
        name: of the benchmark (default: of the folder).
        max_rejected: fraction of the files that may be unusable.
        workers: processes at a time, if no Ray is running (default: one per core).
        yes: continue although the folder does not look as expected.
        force: replace a benchmark that was made otherwise.
        split_files: also write a Parquet file for each split, as the Hugging Face hub shows them.
        progress: whether to draw a progress bar.
        options: of the corpus, as `earshot prepare CORPUS --help` lists them, with `_` for `-`.

    Raises:
        EarshotError: corpus, source, options or `out` are invalid, or too many files are unusable.
        KeyboardInterrupt: interrupted; says how many units of work are finished.
    """
    from datasets.corpora.preset import find_corpus_or_preset
    from datasets.utils.errors import EarshotError
    from orchestrator.preparation.progress import prepare_with_progress

    found, _ = find_corpus_or_preset(corpus)
    if not str(out):
        raise EarshotError("prepare: out: expected the folder of the benchmark, found none; give it")
    if source is not None and found.reads_folder:
        found.check_source(Path(os.path.realpath(source)))
    with settings_restored():
        from orchestrator.preparation.pipeline import Settings

        outcome = prepare_with_progress(
            Settings(
                corpus,
                None if source is None else Path(source),
                out,
                options,
                name=name,
                max_rejected=max_rejected,
                workers=workers,
                yes=yes,
                force=force,
                split_files=split_files,
            ),
            error_console() if progress else error_console(quiet=True),
        )
    for warning in _warnings(outcome):
        warnings.warn(warning, stacklevel=2)
    return Benchmark(out)


def _warnings(outcome: "Outcome") -> list[str]:
    source = outcome.manifest.source
    if not source.rejected or not outcome.computed:
        return list(outcome.warnings)
    first = outcome.rejected[0]
    rejected = f"{source.rejected} of {plural(source.files, 'file')} rejected (Benchmark.rejected), the first: "
    return [*outcome.warnings, f"{rejected}{printable(first.file)}: {printable(first.reason)}"]
