"""A run folder as plain data: the records of its trials, and metrics computed from the stored predictions.

    RUN/sweep.json                       what the sweep was asked to do; every key is optional here
    RUN/trials/TRIAL/trial.json          the record of a trial
    RUN/trials/TRIAL/session-00.parquet  its predictions after session 0

Nothing else is read. A run may be unfinished: trials that run, failed or were stopped early count for the
sessions that they finished, and only for those.
"""

import dataclasses
import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datasets.errors import EarshotError
from trainables import metrics
from trainables.metrics import ChainScores, ChainSummary
from trainables.records import PREDICTIONS, SeedTriple, TrialRecord

SPLITS = ("val", "test")
SESSION_METRICS = ("micro", "macro", "base", "novel", "harmonic")
COST = ("seconds", "parameters_stored", "parameters_used")
CHAIN_METRICS = tuple(field.name for field in dataclasses.fields(ChainSummary))

_PREDICTIONS_FILE = re.compile(r"session-[0-9]{2,}\.parquet")
_TRIAL = ("trial", "configuration", "method", "seeds", "order_seed", "support_seed", "initialisation_seed")
_SESSION = ("head", "split", "session", "classes_seen", "clips")
_STATE = ("status", "sessions", "planned", "complete", *COST)


@dataclass(frozen=True)
class Choice:
    """The configuration that stands for a method.

    Attributes:
        method: its name.
        configuration: the chosen one.
        validation_aa: mean over seeds of the validation AA of the default head; NaN where there is none.
        n: seeds in that mean.
        candidates: configurations that competed.
        provisional: no configuration of the method is complete, so those with any finished session competed,
            on the mean of A_t over the first `sessions` sessions alone.
        sessions: sessions that the comparison reads.
    """

    method: str
    configuration: str
    validation_aa: float
    n: int
    candidates: int
    provisional: bool
    sessions: int


@dataclass(frozen=True)
class Run:
    """What a run folder holds.

    Attributes:
        path: the folder.
        sweep: contents of sweep.json; empty where there is none.
        trials: the records, by name of the trial.
        scores: (trial, head, split) -> accuracies of that chain; splits without predictions are absent.
    """

    path: Path
    sweep: dict[str, Any]
    trials: dict[str, TrialRecord]
    scores: dict[tuple[str, str, str], ChainScores]

    @classmethod
    def load(cls, path: Path | str) -> "Run":
        """Reads a run folder.

        Raises:
            EarshotError: no such folder, no trials in it, or a file in it missing, damaged or contradictory.
        """
        path = Path(path)
        if not path.is_dir():
            raise EarshotError(f"{path}: no such folder; expected the run folder of a sweep")
        folders = sorted(file.parent for file in path.glob("trials/*/trial.json"))
        if not folders:
            raise EarshotError(
                f"{path}: expected the record of at least one trial (trials/*/trial.json), found none;"
                " name the folder that the sweep wrote to"
            )
        trials: dict[str, TrialRecord] = {}
        scores: dict[tuple[str, str, str], ChainScores] = {}
        for folder in folders:
            record = TrialRecord.load(folder)
            _check_record(record, folder)
            trials[record.trial] = record
            for (head, split), chain in _score_trial(record, folder).items():
                scores[record.trial, head, split] = chain
        _check_comparable(path, list(trials.values()))
        return cls(path, _load_sweep(path / "sweep.json"), trials, scores)

    @property
    def planned_sessions(self) -> int:
        """Sessions that every chain of the run was to have."""
        return next(iter(self.trials.values())).planned_sessions

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, sorted."""
        return tuple(sorted({record.method for record in self.trials.values()}))

    def configurations(self, method: str | None = None) -> tuple[str, ...]:
        """Names of the configurations (of a method), sorted."""
        records = self.trials.values()
        return tuple(sorted({r.configuration for r in records if method is None or r.method == method}))

    def of(self, configuration: str) -> tuple[TrialRecord, ...]:
        """The trials of a configuration, by name."""
        return self._by_configuration[configuration]

    @functools.cached_property
    def _by_configuration(self) -> dict[str, tuple[TrialRecord, ...]]:
        groups: dict[str, list[TrialRecord]] = {}
        for record in sorted(self.trials.values(), key=lambda record: record.trial):
            groups.setdefault(record.configuration, []).append(record)
        return {name: tuple(records) for name, records in groups.items()}

    @functools.cached_property
    def _seeds(self) -> dict[str, set[SeedTriple]]:
        """The seeds that any configuration of a method was given."""
        methods = self.methods
        return {m: {r.seeds for r in self.trials.values() if r.method == m} for m in methods}

    def heads(self, method: str) -> tuple[str, ...]:
        """The heads of a method, its default head first."""
        records = [record for record in self.trials.values() if record.method == method]
        names = dict.fromkeys(record.default_head for record in records)
        names.update(dict.fromkeys(head for record in records for head in record.heads))
        return tuple(names)

    @functools.cached_property
    def sessions(self) -> pd.DataFrame:
        """One row per trial, head, split and finished session, with `SESSION_METRICS` as fractions of one."""
        rows = []
        for (trial, head, split), chain in self.scores.items():
            record = self.trials[trial]
            seen = np.cumsum([len(session.classes) for session in record.sessions])
            columns = {name: getattr(chain, name) for name in SESSION_METRICS}
            for t in range(len(record.sessions)):
                measured = {name: float(values[t]) for name, values in columns.items()}
                place = {"head": head, "split": split, "session": t, "classes_seen": int(seen[t])}
                rows.append({**_identity(record), **place, "clips": int(chain.clips[t]), **measured})
        return pd.DataFrame(rows, columns=[*_TRIAL, *_SESSION, *SESSION_METRICS])

    @functools.cached_property
    def chains(self) -> pd.DataFrame:
        """One row per trial, head and split, with `CHAIN_METRICS`: NaN without all planned sessions."""
        rows = []
        for (trial, head, split), chain in self.scores.items():
            record = self.trials[trial]
            last = record.sessions[-1]
            state = {
                "status": record.status,
                "sessions": len(record.sessions),
                "planned": record.planned_sessions,
                "complete": has_finished(record),
                "seconds": sum(session.seconds for session in record.sessions),
                "parameters_stored": last.parameters_stored,
                "parameters_used": last.parameters_used,
            }
            summary = dataclasses.asdict(metrics.summarise(chain))
            rows.append({**_identity(record), "head": head, "split": split, **state, **summary})
        return pd.DataFrame(rows, columns=[*_TRIAL, "head", "split", *_STATE, *CHAIN_METRICS])

    def default_head(self, configuration: str) -> str:
        """The head by which a configuration is judged."""
        return self.of(configuration)[0].default_head

    def reached(self, configuration: str) -> int:
        """Sessions that the furthest chain of a configuration has finished."""
        return max(len(record.sessions) for record in self.of(configuration))

    def stopped(self, configuration: str) -> int:
        """Chains of a configuration that were stopped early."""
        return sum(record.status == "stopped" for record in self.of(configuration))

    def count(self, configuration: str, n: int) -> str:
        """Chains behind a number: '3', or '2/3' while one of three trials lacks it."""
        trials = len(self.of(configuration))
        return str(n) if n == trials else f"{n}/{trials}"

    def matrices(self, configuration: str, head: str, split: str = "test") -> NDArray[np.float64]:
        """a[t, j] of the chains of a configuration that have predictions: float64 [chains, T + 1, T + 1]."""
        size = self.planned_sessions
        found = [self.scores.get((record.trial, head, split)) for record in self.of(configuration)]
        kept = [chain.matrix for chain in found if chain is not None]
        return np.stack(kept) if kept else np.empty((0, size, size))

    def is_complete(self, configuration: str) -> bool:
        """Whether every seed that any configuration of the method was given has a finished chain here."""
        records = self.of(configuration)
        return {r.seeds for r in records if has_finished(r)} == self._seeds[records[0].method]

    def best(self, method: str) -> Choice:
        """Chooses a configuration by the mean over seeds of validation AA of the default head; never by test.

        Configurations of which a seed is unfinished do not compete, unless none is complete: then all with a
        finished session do, on as many sessions as each of them has finished, so that a chain that stopped
        before its hard sessions has no advantage, and with every chain that was stopped early, so that the better
        seeds of a configuration do not speak for it alone. Ties, and no validation clips at all: the first by name.

        Raises:
            KeyError: the run has no such method.
        """
        names = self.configurations(method)
        if not names:
            raise KeyError(method)
        complete = [name for name in names if self.is_complete(name)]
        reached = {name: self.reached(name) for name in names}
        started = [name for name in names if reached[name]]
        candidates = complete or started or list(names)
        depth = self.planned_sessions if complete else min(map(self._comparable, started), default=0)
        values = {name: self._validation(name, depth) for name in candidates}
        means = {name: float(np.mean(v)) if v else float("nan") for name, v in values.items()}
        # Twelve digits: the same accuracies summed in another order of seeds must tie.
        chosen = min(candidates, key=lambda name: (np.isnan(means[name]), -round(means[name], 12), name))
        return Choice(method, chosen, means[chosen], len(values[chosen]), len(candidates), not complete, depth)

    def _comparable(self, configuration: str) -> int:
        """Sessions that the furthest chain of a configuration has, and every one that was stopped early."""
        stopped = [len(r.sessions) for r in self.of(configuration) if r.status == "stopped" and r.sessions]
        return min([self.reached(configuration), *stopped])

    def _validation(self, configuration: str, depth: int) -> list[float]:
        """Validation AA of the default head over the first `depth` sessions, of each chain that has them."""
        chains = (self.scores.get((r.trial, r.default_head, "val")) for r in self.of(configuration))
        values = (metrics.average_accuracy(chain.micro[:depth]) for chain in chains if chain is not None)
        return [value for value in values if not np.isnan(value)]


def has_finished(record: TrialRecord) -> bool:
    """Whether a trial has finished with all its planned sessions (one that was stopped early has not)."""
    return record.status == "finished" and len(record.sessions) == record.planned_sessions


def _identity(record: TrialRecord) -> dict[str, Any]:
    seeds = record.seeds
    return {
        "trial": record.trial,
        "configuration": record.configuration,
        "method": record.method,
        "seeds": str(seeds),
        "order_seed": seeds.order,
        "support_seed": seeds.support,
        "initialisation_seed": seeds.initialisation,
    }


def _load_sweep(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EarshotError(f"{path}: expected JSON, found {_one_line(error)}; run the sweep again") from None
    if not isinstance(content, dict):
        raise EarshotError(f"{path}: expected a JSON object, found {type(content).__name__}; run the sweep again")
    return content


def _check_record(record: TrialRecord, folder: Path) -> None:
    """Checks what the types of a record cannot say."""
    where, again = folder / "trial.json", "delete the folder and run the sweep again"
    if record.trial != folder.name:
        raise EarshotError(f"{where}: trial: expected the folder's name, found {record.trial!r}; {again}")
    if record.default_head not in record.heads:
        raise EarshotError(
            f"{where}: default_head: expected one of {list(record.heads)}, found {record.default_head!r}; {again}"
        )
    indices = [session.index for session in record.sessions]
    if indices != list(range(len(indices))) or len(indices) > record.planned_sessions:
        raise EarshotError(
            f"{where}: sessions: expected 0, 1, ... of {record.planned_sessions} planned, found {indices}; {again}"
        )
    labels = [label for session in record.sessions for label in session.classes]
    if len(set(labels)) != len(labels) or not all(0 <= label < len(record.class_names) for label in labels):
        raise EarshotError(
            f"{where}: sessions: expected each of the labels 0 to {len(record.class_names) - 1} at most once,"
            f" found {labels}; {again}"
        )
    for session in record.sessions:
        if not _PREDICTIONS_FILE.fullmatch(session.predictions):
            raise EarshotError(
                f"{where}: predictions: expected a name like session-00.parquet, found {session.predictions!r}; {again}"
            )


def _check_comparable(path: Path, records: list[TrialRecord]) -> None:
    """A run has one benchmark and one number of sessions; means over anything else would say nothing."""
    first = records[0]
    for record in records[1:]:
        for key in ("benchmark_fingerprint", "planned_sessions"):
            ours, theirs = getattr(first, key), getattr(record, key)
            if ours != theirs:
                raise EarshotError(
                    f"{path}: {key}: expected the same for all trials, found {ours!r} in {first.trial} and"
                    f" {theirs!r} in {record.trial}; keep each benchmark and protocol in its own run folder"
                )


def _score_trial(record: TrialRecord, folder: Path) -> dict[tuple[str, str], ChainScores]:
    """Scores every (head, split) of a trial that has predictions."""
    classes = [session.classes for session in record.sessions]
    tables = [
        _read_predictions(folder / session.predictions, record, [label for c in classes[: t + 1] for label in c])
        for t, session in enumerate(record.sessions)
    ]
    nothing = (np.empty(0, np.int64), np.empty(0, np.int64))
    found: dict[tuple[str, str], ChainScores] = {}
    for head in record.heads:
        for split in SPLITS:
            if any((head, split) in table for table in tables):
                pairs = [table.get((head, split), nothing) for table in tables]
                found[head, split] = metrics.score_chain(pairs, classes, record.planned_sessions)
    return found


def _read_predictions(
    path: Path, record: TrialRecord, seen: list[int]
) -> dict[tuple[str, str], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Reads predictions: (head, split) -> labels and predictions, [clips] each."""
    again = "delete the folder of the trial and run the sweep again"
    try:
        schema = pq.read_schema(path)
        for field in PREDICTIONS:
            kind = schema.field(field.name).type if field.name in schema.names else "no such column"
            if kind != field.type:
                raise EarshotError(f"{path}: {field.name}: expected {field.type}, found {kind}; {again}")
        table = pq.read_table(
            path,
            columns=["split", "label", "head", "prediction"],
            partitioning=None,
            page_checksum_verification=True,
        )
    except FileNotFoundError:
        raise EarshotError(f"{path}: expected the predictions of a finished session, found no file; {again}") from None
    except (OSError, pa.ArrowException) as error:
        raise EarshotError(f"{path}: expected a Parquet file, found {_one_line(error)}; {again}") from None
    for name in table.column_names:
        if table[name].null_count:
            raise EarshotError(f"{path}: {name}: expected a value in every row, found empty ones; {again}")
    for name, allowed in (("split", SPLITS), ("head", record.heads), ("label", seen)):
        strange = [value for value in pc.unique(table[name]).to_pylist() if value not in allowed]
        if strange:
            raise EarshotError(
                f"{path}: {name}: expected one of {list(allowed)}, found {strange[0]!r}; {again}",
            )
    found = {}
    for head in record.heads:
        for split in SPLITS:
            rows = table.filter(pc.and_(pc.equal(table["head"], head), pc.equal(table["split"], split)))
            if rows.num_rows:
                labels, predictions = rows["label"].to_numpy(), rows["prediction"].to_numpy()
                found[head, split] = (labels.astype(np.int64), predictions.astype(np.int64))
    if (record.default_head, "test") not in found:
        raise EarshotError(f"{path}: expected test clips of head {record.default_head!r}, found none; {again}")
    return found


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__} ({' '.join(str(error).split())})"
