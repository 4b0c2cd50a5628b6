"""The folder of a run: one sweep at a time, one sweep for ever.

RUN/sweep.json     `what` the results depend on, `where` they were computed, what `made` them
RUN/trials/TRIAL/  records and predictions (trainables/records.py)
RUN/tensorboard/   what TensorBoard reads, made anew by every run

Where nodes do not share the folder, trials write to the run's place in the storage, and it is gathered from there.
"""

import json
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.utils.errors import EarshotError
from datasets.utils.files import write_atomically
from datasets.utils.location import Location
from datasets.utils.suggestion import suggestion
from datasets.utils.text import printable
from orchestrator.results.provenance import provenance
from trainables.records import EXCEEDED_FILE, TrialRecord
from trainables.store.lease import Lease

TENSORBOARD = "tensorboard"
LOOK = 0.5  # seconds between two looks at whether another sweep lives


@dataclass(frozen=True)
class Tally:
    """What became of the trials of a sweep.

    Attributes:
        computed: sessions that this sweep computed.
        cached: sessions that were in the store already.
        stopped: trials that were ended early, by a scheduler or the budget.
    """

    computed: int = 0
    cached: int = 0
    stopped: int = 0


class RunFolder:
    """Keeps the trials of one sweep apart from those of any other.

    Args:
        path: absolute; made when first needed.
        shared: the run's place in the storage, where that is not the folder itself.
    """

    def __init__(self, path: Path, shared: Location | None = None) -> None:
        self.path = path
        self.shared = shared

    @classmethod
    def find(cls, name: str, runs: Path = Path("runs")) -> "RunFolder":
        """The run that is called `name`: a folder, or the name of one in `runs`.

        Raises:
            EarshotError: there is none.
        """
        for path in (Path(name), runs / name):
            if (path / "trials").is_dir() or (path / "sweep.json").is_file():
                return cls(path.absolute())  # not resolved: the store lies beside the name, wherever that leads
        there = [path.parent.name for path in runs.glob("*/trials")]
        advice = suggestion(Path(name).name, there) if there else "check the name"
        raise EarshotError(
            f"{printable(name)}: expected a run folder of a sweep, or the name of one in {printable(str(runs))}/, "
            f"found no trials there; {advice}"
        )

    @classmethod
    def named(cls, name: Path, runs: Path = Path("runs")) -> Path:
        """The folder that is called `name`: itself where there is one, else that of `find`.

        Raises:
            EarshotError: there is none.
        """
        return name if name.is_dir() else cls.find(str(name), runs).path

    @property
    def store(self) -> Location:
        """Where its stages are: runs share the store that lies beside them, or in their storage."""
        storage = self.where().get("storage")
        return Location.of(storage if isinstance(storage, str) else self.path.parent) / "store"

    @property
    def trials(self) -> tuple[str, ...]:
        """Names of the trials that have a record, sorted."""
        return tuple(sorted(path.parent.name for path in self.path.glob("trials/*/trial.json")))

    def described(self) -> dict[str, Any]:
        """What sweep.json says; empty where there is none, or it is damaged."""
        try:
            found = json.loads((self.path / "sweep.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def where(self) -> dict[str, Any]:
        """How the sweep was told where things are; empty where that is not recorded."""
        found = self.described().get("where")
        return found if isinstance(found, dict) else {}

    def trial(self, name: str) -> Path:
        """The folder of a trial."""
        return self.path / "trials" / name

    def output(self, name: str) -> Location:
        """Where a trial writes: its folder, or its place in the storage."""
        return (self.shared or Location.of(self.path)) / "trials" / name

    @contextmanager
    def held(self, what: dict[str, Any], where: dict[str, Any]) -> Iterator[None]:
        """Holds the folder for a sweep.

        Args:
            what: everything that the results depend on, in JSON types.
            where: the whole configuration.

        Raises:
            EarshotError: another sweep is at work here, or has left its results here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lease = self._alone()
        try:
            self._check(json.loads(json.dumps(what)))
            made = self.described().get("made")
            self._describe({"what": what, "where": where, "made": provenance(made)})
            shutil.rmtree(self.path / TENSORBOARD, ignore_errors=True)  # the sessions are in the store
            began = time.monotonic()
            try:
                yield
            finally:
                spent = provenance(made, time.monotonic() - began)
                with suppress(OSError, EarshotError):  # a full disk; nothing depends on it
                    self._describe({"what": what, "where": where, "made": spent})
        finally:
            lease.release()

    def gather(self) -> None:
        """Brings here what trials wrote to the storage; files that are here are as they were written."""
        if self.shared is None:
            return
        for name in (self.shared / "trials").files():
            place = self.shared / "trials" / name
            for file in place.files():
                path = self.trial(name) / file
                if file == "trial.json" or not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_atomically(path, (place / file).read_bytes())

    def close(self, names: list[str], failed: dict[str, str], stopped: Collection[str], *, complete: bool) -> Tally:
        """Brings the folder in line with the sweep that ended.

        A trial whose process died, or that was stopped, could not write that into its record itself; trials that an
        earlier version of the search had proposed are removed.

        Args:
            names: all trials of the sweep.
            failed: reasons by trial.
            stopped: trials that the scheduler ended early; the budget ended the others that have not finished.
            complete: whether the sweep proposed all its trials; else none is removed.
        """
        computed = found = early = 0
        trials = self.path / "trials"
        for folder in sorted(trials.iterdir()) if trials.is_dir() else []:
            (folder / EXCEEDED_FILE).unlink(missing_ok=True)
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
                found += sum(session.cached for session in record.sessions)
                computed += sum(not session.cached for session in record.sessions)
        return Tally(computed, found, early)

    def _describe(self, description: dict[str, Any]) -> None:
        content = (json.dumps(description, indent=1) + "\n").encode()
        write_atomically(self.path / "sweep.json", content)
        if self.shared is not None:
            (self.shared / "sweep.json").write(content)

    def _alone(self) -> Lease:
        """The right to work in this run; a lease of a machine that died is waited out."""
        lease = Lease((self.shared or Location.of(self.path)) / ".lease")
        first = lease.holder()
        while not lease.take():
            holder = lease.holder()
            beats = first is not None and holder is not None and holder != first
            if beats or lease.is_held_here():
                raise EarshotError(f"{self.path}: another sweep is at work in this run; wait for it or end it")
            first = first or holder
            time.sleep(LOOK)
        return lease

    def _check(self, what: dict[str, Any]) -> None:
        try:
            before = json.loads((self.path / "sweep.json").read_bytes())["what"]
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError):
            raise EarshotError(
                f"{self.path / 'sweep.json'}: not the record of a sweep; choose another --name or remove the folder"
            ) from None
        for key in sorted({*before, *what}):
            if before.get(key) != what.get(key):
                raise EarshotError(
                    f"{self.path}: holds another sweep ({key}: {_short(before.get(key))} -> {_short(what.get(key))}); "
                    "choose another --name"
                )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
