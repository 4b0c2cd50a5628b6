"""A run folder as plain data: the records of its trials, and metrics computed from the stored predictions.

    RUN/sweep.json                       what the sweep was asked to do; every key is optional here
    RUN/trials/TRIAL/trial.json          the record of a trial
    RUN/trials/TRIAL/session-00.parquet  its predictions after session 0

Nothing else is read. A run may be unfinished: trials that run, failed or were stopped early count for the
sessions that they finished, and only for those. Several comparable runs become one by `Run.merged`.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datasets.utils.errors import EarshotError
from orchestrator.results.chain_metrics import (
    CHAIN_METRICS,
    COST,
    SESSION_METRICS,
    chain_table,
    has_finished,
    session_table,
)
from orchestrator.results.loading import SCORED_SPLITS, Pair, load_record, load_sweep, read_session, score_trial
from trainables import metrics
from trainables.metrics import ChainScores
from trainables.records import SeedTriple, TrialRecord

__all__ = ["CHAIN_METRICS", "COST", "SCORED_SPLITS", "SESSION_METRICS", "Choice", "Run", "has_finished"]

JOINT = "joint"
"""The method that intransigence is measured against."""


_WHY = {
    "running": "not finished: it runs, or was interrupted",
    "finished": "lacks sessions",
    "failed": "failed",
    "stopped": "stopped early",
    "asha": "stopped early: behind others of its method with the same seeds (ASHA)",
    "budget": "stopped early: the budget was used up",
}


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
        path: the folder; of several merged runs that of the first.
        sweep: contents of sweep.json; empty where there is none.
        trials: the records, by name of the trial.
        scores: (trial, head, split) -> accuracies of that chain; splits without predictions are absent.
        folders: the folder of each trial.
        name: of the folder; of several 'a + b'.
    """

    path: Path
    sweep: dict[str, Any]
    trials: dict[str, TrialRecord]
    scores: dict[tuple[str, str, str], ChainScores]
    folders: dict[str, Path]
    name: str

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
            record = load_record(folder)
            trials[record.trial] = record
            for (head, split), chain in score_trial(record, folder).items():
                scores[record.trial, head, split] = chain
        _check_comparable(str(path), list(trials.values()), ("benchmark_fingerprint", "planned_sessions"))
        places = {folder.name: folder for folder in folders}
        return cls(path, load_sweep(path / "sweep.json"), trials, scores, places, path.resolve().name)

    @classmethod
    def merged(cls, runs: "Sequence[Run]") -> "Run":
        """Several runs as one: all their trials; of a trial that several hold, the furthest.

        Args:
            runs: at least one.

        Raises:
            EarshotError: they differ in data, protocol or number of sessions, or hold a trial of one name (so of one
                configuration and the same seeds) with other predictions.
        """
        first = runs[0]
        if len(runs) == 1:
            return first
        trials: dict[str, TrialRecord] = {}
        folders: dict[str, Path] = {}
        scores: dict[tuple[str, str, str], ChainScores] = {}
        for run in runs:
            taken = set()
            for name, record in run.trials.items():
                if name in trials:
                    _check_same(trials[name], scores, folders[name], run)
                if name not in trials or len(record.sessions) > len(trials[name].sessions):
                    taken.add(name)
            trials |= {name: run.trials[name] for name in taken}
            folders |= {name: run.folders[name] for name in taken}
            scores |= {key: chain for key, chain in run.scores.items() if key[0] in taken}
        where = ", ".join(str(run.path) for run in runs)
        _check_comparable(where, list(trials.values()), ("benchmark_fingerprint", "planned_sessions", "protocol"))
        names = " + ".join(dict.fromkeys(run.name for run in runs))
        return cls(first.path, _shared([run.sweep for run in runs]), trials, scores, folders, names)

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
        return session_table(self.trials, self.scores)

    @functools.cached_property
    def chains(self) -> pd.DataFrame:
        """One row per trial, head and split, with `CHAIN_METRICS` and `COST`: NaN without all planned sessions."""
        joint: dict[tuple[SeedTriple, str], ChainScores] = {}
        if JOINT in self.methods:
            for record in self.of(self.best(JOINT).configuration):
                found = {split: self.scores.get((record.trial, record.default_head, split)) for split in SCORED_SPLITS}
                joint |= {(record.seeds, split): chain for split, chain in found.items() if chain is not None}
        return chain_table(self.trials, self.scores, joint)

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

    def confusion(self, configuration: str, head: str, session: int, split: str = "test") -> NDArray[np.int64]:
        """Counts of clips by true and predicted label, summed over the chains: int64 [classes, classes].

        Rows are true labels, columns predicted ones. Reads the predictions again.

        Args:
            configuration: its name.
            head: its name.
            session: after which session; chains that have not finished it are left out.
            split: of the clips.

        Raises:
            EarshotError: a file of predictions has gone or was damaged since the run was loaded.
        """
        classes = len(next(iter(self.trials.values())).class_names)
        counts = np.zeros((classes, classes), np.int64)
        for labels, predictions in self._pairs(configuration, head, session, split):
            counts += metrics.confusion(labels, predictions, classes)
        return counts

    def class_accuracies(self, configuration: str, head: str, split: str = "test") -> NDArray[np.float64]:
        """Accuracy of each class after each session: float64 [sessions, classes].

        The mean over the chains that have seen the class by then; NaN where none has. Reads the predictions again.

        Args:
            configuration: its name.
            head: its name.
            split: of the clips.

        Raises:
            EarshotError: a file of predictions has gone or was damaged since the run was loaded.
        """
        classes = len(next(iter(self.trials.values())).class_names)
        sums, chains = (np.zeros((self.planned_sessions, classes)) for _ in range(2))
        for t in range(self.reached(configuration)):
            for pair in self._pairs(configuration, head, t, split):
                for label, accuracy in metrics.class_accuracies(*pair).items():
                    sums[t, label] += accuracy
                    chains[t, label] += 1
        return np.divide(sums, chains, out=np.full_like(sums, np.nan), where=chains > 0)

    def _pairs(self, configuration: str, head: str, session: int, split: str) -> list[Pair]:
        """Labels and predictions of each chain that has finished the session."""
        found = (self._read(r.trial, session) for r in self.of(configuration) if session < len(r.sessions))
        return [table[head, split] for table in found if (head, split) in table]

    @functools.cached_property
    def _read(self) -> Callable[[str, int], dict[tuple[str, str], Pair]]:
        """Reads the predictions of a trial after a session; remembers the last few, as heads are asked for in turn."""
        return functools.lru_cache(maxsize=64)(
            lambda trial, session: read_session(self.trials[trial], self.folders[trial], session)
        )

    def told(self, key: str) -> str:
        """A field of the records that all share, or each value with the methods that have it."""
        values: dict[str, set[str]] = {}
        for record in self.trials.values():
            values.setdefault(str(getattr(record, key)), set()).add(record.method)
        if len(values) == 1:
            return next(iter(values))
        return "; ".join(f"{value} ({', '.join(sorted(methods))})" for value, methods in sorted(values.items()))

    def unfinished(self) -> list[tuple[str, str, str, str]]:
        """Trials that lack something: name, status, '2 of 5' sessions, and why, as far as that is known."""
        return [
            (
                one.trial,
                one.status,
                f"{len(one.sessions)} of {one.planned_sessions}",
                one.error or _WHY[one.stopped_by or one.status],
            )
            for one in self.trials.values()
            if one.status != "finished" or len(one.sessions) < one.planned_sessions
        ]

    def is_complete(self, configuration: str) -> bool:
        """Whether every seed that any configuration of the method was given has a finished chain here."""
        records = self.of(configuration)
        return {r.seeds for r in records if has_finished(r)} == self._seeds[records[0].method]

    def validation_aa(self, configuration: str) -> float:
        """Mean over chains of the validation AA of the default head; NaN where none has all sessions."""
        values = self._validation(configuration, self.planned_sessions)
        return float(np.mean(values)) if values else float("nan")

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


def _check_comparable(where: str, records: Sequence[TrialRecord], keys: Sequence[str]) -> None:
    """A run has one benchmark and one number of sessions; means over anything else would say nothing."""
    first = records[0]
    for record in records[1:]:
        for key in keys:
            ours, theirs = getattr(first, key), getattr(record, key)
            if ours != theirs:
                if isinstance(ours, dict):
                    field = next(name for name in (*ours, *theirs) if ours.get(name) != theirs.get(name))
                    key, ours, theirs = f"{key}.{field}", ours.get(field), theirs.get(field)
                raise EarshotError(
                    f"{where}: {key}: expected the same for all trials, found {ours!r} in {first.trial} and"
                    f" {theirs!r} in {record.trial}; keep each benchmark and protocol in its own run folder"
                )


def _check_same(known: TrialRecord, scores: dict[tuple[str, str, str], ChainScores], where: Path, run: Run) -> None:
    """Two runs may hold the same trial, as far as each got; the same name over other predictions is two trials."""
    name = known.trial
    shared = min(len(known.sessions), len(run.trials[name].sessions))
    for head, split in itertools.product(known.heads, SCORED_SPLITS):
        one, other = scores.get((name, head, split)), run.scores.get((name, head, split))
        if one and other and not np.array_equal(one.matrix[:shared], other.matrix[:shared], equal_nan=True):
            raise EarshotError(
                f"{run.folders[name]}: expected the predictions of {where}, whose configuration and seeds are the"
                " same, found others: the code or the weights differ; report these runs apart"
            )


def _shared(values: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What all say alike, keys within keys."""
    kept: dict[str, Any] = {}
    for key, value in values[0].items():
        if isinstance(value, dict):
            kept[key] = _shared(
                [value, *(other if isinstance(other := one.get(key), dict) else {} for one in values[1:])]
            )
        elif all(one.get(key) == value for one in values):
            kept[key] = value
    return kept
