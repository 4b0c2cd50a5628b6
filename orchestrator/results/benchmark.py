"""The benchmark of a run, found again where the sweep read it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets.benchmark.manifest import Manifest
from datasets.benchmark.protocol import Protocol, Session, make_sessions
from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.text import is_uri
from datasets.utils.validation import validated
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder
from trainables.records import TrialRecord


def find_benchmark(where: Mapping[str, Any], record: TrialRecord, *, local: bool = False) -> str | None:
    """Folder or URI of a prepared benchmark; None if it is not there, or is another one.

    Args:
        where: the configuration of the sweep (`RunFolder.where`).
        record: of a trial of the sweep.
        local: whether a URI counts as not there, so that nothing is read over a network.
    """
    location = str(where.get("benchmark", ""))
    if not location or (local and is_uri(location)):
        return None
    in_data = [] if is_uri(location) else [str(Path(str(where.get("data", "data"))) / location)]
    for candidate in [location, *in_data]:
        try:
            manifest = Manifest.load(candidate)
        except EarshotError:
            continue
        if record.has_benchmark(manifest):
            return candidate
    return None


class ReadBenchmark:
    """A benchmark that trials of a run were trained on.

    Args:
        shards: the benchmark.
    """

    def __init__(self, shards: Shards) -> None:
        self.shards = shards
        self._positions = {clip: position for position, clip in enumerate(shards.table.clip_ids)}
        self._sessions: dict[str, tuple[Session, ...]] = {}

    @classmethod
    def of(cls, run: Run, record: TrialRecord) -> "ReadBenchmark":
        """The benchmark of a trial, from a local folder.

        Raises:
            EarshotError: it is not there, is behind a URI, has changed since the sweep, or is damaged.
        """
        where = RunFolder(run.folders[record.trial].parent.parent).where()
        found = find_benchmark(where, record, local=True)
        if found is None:
            raise EarshotError(
                f"the benchmark {record.benchmark} with fingerprint {record.benchmark_digest[:12]} is not in the"
                " local folder where the sweep read it"
            )
        return cls(Shards(found))

    def position(self, clip: str) -> int | None:
        """Where a clip is in the table; None if it is not there."""
        return self._positions.get(clip)

    def sessions(self, record: TrialRecord) -> tuple[Session, ...]:
        """The sessions of a trial, with their clips.

        Raises:
            EarshotError: the benchmark does not fit the protocol in the record.
        """
        key = f"{record.protocol} {record.seeds}"
        if key not in self._sessions:
            self._sessions[key] = make_sessions(
                validated(Protocol, record.protocol, f"trial {record.trial}: protocol"),
                self.shards.table,
                order_seed=record.seeds.order,
                support_seed=record.seeds.support,
                base_classes=self.shards.manifest.base_classes,
            )
        return self._sessions[key]

    def support(self, record: TrialRecord, label: int) -> tuple[int, ...]:
        """Positions of the clips that a trial has learned a class from; empty if it is not in its sessions.

        Raises:
            EarshotError: see `sessions`.
        """
        classes = (clips for session in self.sessions(record) for clips in session.classes)
        return next((clips.support for clips in classes if clips.label == label), ())


class Benchmarks:
    """The benchmarks of the trials of a run, each opened once.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._opened: dict[Path, ReadBenchmark | EarshotError] = {}

    def of(self, trial: str) -> ReadBenchmark:
        """The benchmark of a trial.

        Raises:
            EarshotError: see `ReadBenchmark.of`.
        """
        folder = self._run.folders[trial].parent
        if folder not in self._opened:
            try:
                self._opened[folder] = ReadBenchmark.of(self._run, self._run.trials[trial])
            except EarshotError as error:
                self._opened[folder] = error
        opened = self._opened[folder]
        if isinstance(opened, EarshotError):
            raise opened
        return opened
