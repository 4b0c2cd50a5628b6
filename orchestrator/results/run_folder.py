"""The folder of a run. One run folder belongs to one sweep; a lease prevents concurrent writers.

RUN/sweep.json     `what` the results depend on, `where` they were computed, how they were `made` (provenance), what
                   the `backbones` are, the `protocol_hash`, the SHA-256 of `files` beside it, and its own checksum
RUN/space.yaml     a copy of the search space
RUN/trials/TRIAL/  records and predictions (trainables/records.py)
RUN/tensorboard/   TensorBoard event files, rewritten by every launch

Where nodes do not share the folder, trials write to the run's location in the storage, and their files are gathered
from there.
"""

import json
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from datasets.utils.checksum import check_checksum, with_checksum
from datasets.utils.errors import EarshotError
from datasets.utils.files import file_digest, write_atomically
from datasets.utils.location import Location
from orchestrator.results.find_run import RUNS, find_run
from orchestrator.results.provenance import provenance, with_seconds
from trainables.records import EXCEEDED_FILE, TrialRecord
from trainables.store.lease import Lease
from trainables.training_curves import LIVE_FILE

RESTORE = (
    "put back a copy of it, or move the run's folder away and start the sweep again with its own command (completed "
    "sessions are taken from the store)"
)
SPACE = "space.yaml"
TENSORBOARD = "tensorboard"
POLL_SECONDS = 0.5  # between two checks whether another sweep renews its lease
_LONGEST_VALUE = 120  # characters of a value in an error message


@dataclass(frozen=True)
class Tally:
    """Number of sessions and trials of a sweep that ended.

    Attributes:
        computed: sessions that were computed.
        cached: sessions that were in the store already.
        stopped: trials that were stopped early, by a scheduler or the budget.
    """

    computed: int = 0
    cached: int = 0
    stopped: int = 0


class RunFolder:
    """The trials of one sweep.

    Args:
        path: absolute path; created when needed.
        shared: the run's location in the storage, if that is not the folder itself.
    """

    def __init__(self, path: Path, shared: Location | None = None) -> None:
        self.path = path
        self.shared = shared

    @classmethod
    def find(cls, name: Path | str, runs: Path = RUNS, *, exact: bool = False) -> "RunFolder":
        """Finds a run by path or name; see `find_run`.

        Raises:
            EarshotError: there is no such run.
        """
        return cls(
            find_run(name, runs, exact=exact).absolute()
        )  # not resolved: the store lies beside a link, not its target

    @property
    def store(self) -> Location:
        """The store of stages: shared by all runs in the same folder of runs, or in the same storage."""
        storage = self.where().get("storage")
        return Location.of(storage if isinstance(storage, str) else self.path.parent) / "store"

    @property
    def trials(self) -> tuple[str, ...]:
        """Names of the trials that have a record, sorted."""
        return tuple(sorted(path.parent.name for path in self.path.glob("trials/*/trial.json")))

    def description(self) -> dict[str, Any]:
        """Contents of sweep.json; empty if it is missing or not JSON.

        Raises:
            EarshotError: it, or a file beside it that it describes, differs from its checksum.
        """
        path = self.path / "sweep.json"
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(content, dict):
            return {}
        content = check_checksum(content, str(path), RESTORE)
        self._check_space(content.get("files"))
        return content

    def _check_space(self, files: Any) -> None:
        """Compares the copy of the search space with its SHA-256; runs of earlier versions have none."""
        expected = files.get(SPACE) if isinstance(files, dict) else None
        path = self.path / SPACE
        if expected is None or not path.is_file():
            return
        if (found := file_digest(path)) != expected:
            raise EarshotError(
                f"{path}: expected SHA-256 {str(expected)[:12]}... as in sweep.json, found {found[:12]}...: the copy "
                f"of the search space is damaged or was edited; {RESTORE}"
            )

    def where(self) -> dict[str, Any]:
        """The whole configuration of the sweep, paths included; empty if it is not recorded."""
        description = self.description()
        where = description.get("where")
        if not isinstance(where, dict):
            return {}
        return {**where, "space": str(self.path / SPACE)} if "files" in description else where

    def trial(self, name: str) -> Path:
        """The folder of a trial."""
        return self.path / "trials" / name

    def output(self, name: str) -> Location:
        """Location that a trial writes to: its folder, or its location in the storage."""
        return (self.shared or Location.of(self.path)) / "trials" / name

    @contextmanager
    def lock(
        self,
        what: dict[str, Any],
        where: dict[str, Any],
        space: Path | None = None,
        backbones: Mapping[str, Any] | None = None,
        protocol_hash: str | None = None,
    ) -> Iterator[None]:
        """Locks the folder for a sweep and writes sweep.json.

        Args:
            what: everything that the results depend on, in JSON types.
            where: the whole configuration.
            space: file of the search space, copied into the folder, so that the run can be resumed without it.
            backbones: what each backbone is, by name, for the report.
            protocol_hash: of all trials.

        Raises:
            EarshotError: another sweep is writing to the folder, or the folder belongs to a different sweep.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lease = self._take_lease()
        try:
            before = self.description()
            self.check_same_sweep(what)
            made = provenance(before.get("made"))
            described: dict[str, Any] = {
                "what": what,
                "where": where,
                **({"backbones": backbones} if backbones else {}),
                **({"protocol_hash": protocol_hash} if protocol_hash else {}),
            }
            if space is not None:
                content = space.read_bytes()
                write_atomically(self.path / SPACE, content)
                described["files"] = {SPACE: sha256(content).hexdigest()}
            self._write_description({**described, "made": made})
            shutil.rmtree(self.path / TENSORBOARD, ignore_errors=True)  # written again from the store
            began = time.monotonic()
            try:
                yield
            finally:
                made = with_seconds(made, time.monotonic() - began)
                with suppress(OSError, EarshotError):  # e.g. a full disk; no result depends on the wall time
                    self._write_description({**described, "made": made})
        finally:
            lease.release()

    def gather(self) -> None:
        """Copies the files of trials from the storage. Predictions are copied again only if their record differs."""
        if self.shared is None:
            return
        for name in (self.shared / "trials").files():
            source, folder = self.shared / "trials" / name, self.trial(name)
            folder.mkdir(parents=True, exist_ok=True)
            files = source.files()
            record = (source / "trial.json").read_bytes() if "trial.json" in files else b""
            known = folder / "trial.json"
            digests = {} if known.exists() and known.read_bytes() == record else _digests(record)
            for file in files:
                if file == LIVE_FILE:
                    continue
                path = folder / file
                is_current = path.exists() and file_digest(path) == digests[file] if file in digests else path.exists()
                if file != "trial.json" and not is_current:
                    write_atomically(path, (source / file).read_bytes())
            if record:
                write_atomically(known, record)

    def close(self, names: list[str], failed: dict[str, str], stopped: Collection[str], *, complete: bool) -> Tally:
        """Updates the records at the end of a sweep.

        A trial whose process died, or that was stopped, could not record that itself. Trials that an earlier version of
        the search proposed are removed.

        Args:
            names: all trials of the sweep.
            failed: name of a failed trial -> reason.
            stopped: trials that the scheduler stopped early; other unfinished ones were stopped by the budget.
            complete: whether the sweep proposed all its trials; otherwise no trial is removed.
        """
        computed = cached = early = 0
        trials = self.path / "trials"
        for folder in sorted(trials.iterdir()) if trials.is_dir() else []:
            for name in (EXCEEDED_FILE, LIVE_FILE):
                (folder / name).unlink(missing_ok=True)
            if folder.name not in names:
                if complete:
                    shutil.rmtree(folder, ignore_errors=True)
            elif (folder / "trial.json").exists():
                record = TrialRecord.load(folder)
                if folder.name in failed and record.status != "failed":
                    record = record.model_copy(update={"status": "failed", "error": failed[folder.name]})
                    record.save(folder)
                elif record.status == "running":
                    by = "asha" if folder.name in stopped else "budget"
                    record = record.model_copy(update={"status": "stopped", "stopped_by": by})
                    record.save(folder)
                early += record.status == "stopped"
                cached += sum(session.cached for session in record.sessions)
                computed += sum(not session.cached for session in record.sessions)
        return Tally(computed, cached, early)

    def _write_description(self, description: dict[str, Any]) -> None:
        content = (json.dumps(with_checksum(description), indent=1) + "\n").encode()
        write_atomically(self.path / "sweep.json", content)
        if self.shared is not None:
            (self.shared / "sweep.json").write(content)

    def _take_lease(self) -> Lease:
        """Takes the lease of this run; waits until a lease that is no longer renewed expires."""
        lease = Lease((self.shared or Location.of(self.path)) / ".lease")
        first = lease.holder()
        while not lease.take():
            holder = lease.holder()
            renewed = first is not None and holder is not None and holder != first
            if renewed or lease.is_held_here():
                raise EarshotError(f"{self.path}: another sweep is writing to this run; wait until it ends, or stop it")
            first = first or holder
            time.sleep(POLL_SECONDS)
        return lease

    def check_same_sweep(self, what: dict[str, Any], *, partial: bool = False) -> None:
        """Checks that the folder, if it has a run, has that of a sweep.

        Args:
            what: everything that the results of the sweep depend on, or a part of it.
            partial: whether it is a part; then what the record lacks is not compared, either.

        Raises:
            EarshotError: the folder has another sweep, or its record cannot be read.
        """
        what = json.loads(json.dumps(what))
        try:
            before = json.loads((self.path / "sweep.json").read_bytes())["what"]
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError):
            raise EarshotError(
                f"{self.path / 'sweep.json'}: not the record of a sweep; choose another --name or remove the folder"
            ) from None
        for key in sorted({*before} & {*what} if partial else {*before, *what}):
            if before.get(key) != what.get(key):
                raise EarshotError(
                    f"{self.path}: holds another sweep ({key}: {_short(before.get(key))} -> {_short(what.get(key))}); "
                    "choose another --name"
                )


def _digests(record: bytes) -> dict[str, str]:
    """Name of each file of a session in the contents of a trial.json -> its SHA-256, where the record has it."""
    try:
        sessions = json.loads(record)["sessions"]
        kinds = ("predictions", "training")
        return {s[kind]: s[f"{kind}_sha256"] for s in sessions for kind in kinds if f"{kind}_sha256" in s}
    except (ValueError, KeyError, TypeError):
        return {}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."
