"""A run folder as plain data: the records of its trials, and metrics computed from the stored predictions.

    RUN/sweep.json                       configuration of the sweep; every key is optional here
    RUN/trials/TRIAL/trial.json          record of a trial
    RUN/trials/TRIAL/session-00.parquet  its predictions after session 0

No other file is read. A run may be unfinished: trials that are running, failed or were stopped early count for the
sessions that they finished, and only for those. `Run.merged` combines several comparable runs.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datasets.utils.errors import EarshotError
from orchestrator.results.backbones import Entry, backbones_of, entries_of
from orchestrator.results.chain_metrics import chain_table, has_finished, mean_class_accuracies, session_table
from orchestrator.results.choice import Candidate, Choice, select
from orchestrator.results.find_run import is_chain
from orchestrator.results.loading import SCORED_SPLITS, load_record, load_sweep, read_session, score_trial
from orchestrator.results.merging import (
    ambiguous,
    check_comparable,
    check_same_backbones,
    check_same_predictions,
    shared_entries,
    with_protocol_in_name,
)
from orchestrator.results.protocols import check_one_protocol, protocols_of
from trainables import metrics
from trainables.metrics import ChainScores, SessionPredictions
from trainables.records import TRANSDUCTIVE, SeedTriple, TrialRecord

__all__ = ["SCORED_SPLITS", "Choice", "Run", "has_finished"]

JOINT = "joint"
"""The reference method of intransigence."""


@dataclass(frozen=True)
class Run:
    """Contents of a run folder.

    Attributes:
        path: the folder; of merged runs, that of the first.
        sweep: contents of sweep.json; empty without that file.
        trials: name of the trial -> its record.
        scores: (trial, head, split) -> accuracies of that chain; splits without predictions are absent.
        folders: name of the trial -> its folder.
        name: name of the folder; of merged runs 'a + b'.
        backbones: name of the trial -> its backbone with its options; empty if its method uses none.
        protocols: name of the trial -> its protocol hash, or 'unknown'.
    """

    path: Path
    sweep: dict[str, Any]
    trials: dict[str, TrialRecord]
    scores: dict[tuple[str, str, str], ChainScores]
    folders: dict[str, Path]
    name: str
    backbones: dict[str, str]
    protocols: dict[str, str]

    @classmethod
    def load(cls, path: Path | str) -> "Run":
        """Reads a run folder; or the folder of one chain (`earshot chain --out`), as a run of one trial.

        Raises:
            EarshotError: the folder does not exist or has no trials, or a file in it is missing, damaged or
                inconsistent.
        """
        path = Path(path)
        if not path.is_dir():
            raise EarshotError(f"{path}: no such folder; expected the run folder of a sweep")
        alone = is_chain(path)
        folders = [path] if alone else sorted(file.parent for file in path.glob("trials/*/trial.json"))
        if not folders:
            raise EarshotError(
                f"{path}: expected the record of at least one trial (trials/*/trial.json), found none;"
                " name the folder that the sweep wrote to"
            )
        trials: dict[str, TrialRecord] = {}
        by_name: dict[str, Path] = {}
        scores: dict[tuple[str, str, str], ChainScores] = {}
        for folder in folders:
            record = load_record(folder, named=not alone)
            trials[record.trial] = record
            by_name[record.trial] = folder
            for (head, split), chain in score_trial(record, folder).items():
                scores[record.trial, head, split] = chain
        check_comparable(str(path), list(trials.values()), ("benchmark_fingerprint", "planned_sessions"))
        sweep = load_sweep(path / "sweep.json")
        name, backbones = path.resolve().name, backbones_of(sweep, trials)
        return cls(path, sweep, trials, scores, by_name, name, backbones, protocols_of(trials))

    @classmethod
    def merged(cls, runs: "Sequence[Run]", *, mixed: bool = False) -> "Run":
        """Combines runs: the union of their trials; of a trial in several runs, the one with the most sessions.

        Args:
            runs: at least one.
            mixed: whether the runs may have different protocol hashes; their methods are then separate entries.

        Raises:
            EarshotError: the runs have different protocol hashes, or a trial of the same name (thus of the same
                configuration and seeds) has different predictions.
        """
        first = runs[0]
        if len(runs) == 1:
            return first
        runs = [run.beside(runs) for run in runs]
        if not mixed:
            check_one_protocol([(r, run.protocols[name], run.path) for run in runs for name, r in run.trials.items()])
        unclear = ambiguous([run.protocols for run in runs], [run.trials for run in runs])
        runs = [run._renamed(unclear) for run in runs]
        trials: dict[str, TrialRecord] = {}
        folders: dict[str, Path] = {}
        scores: dict[tuple[str, str, str], ChainScores] = {}
        backbones: dict[str, str] = {}
        protocols: dict[str, str] = {}
        for run in runs:
            taken = set()
            for name, record in run.trials.items():
                if name in trials:
                    check_same_predictions(trials[name], scores, folders[name], record, run.scores, run.folders[name])
                if name not in trials or len(record.sessions) > len(trials[name].sessions):
                    taken.add(name)
            trials |= {name: run.trials[name] for name in taken}
            folders |= {name: run.folders[name] for name in taken}
            backbones |= {name: run.backbones[name] for name in taken}
            protocols |= {name: run.protocols[name] for name in taken}
            scores |= {key: chain for key, chain in run.scores.items() if key[0] in taken}
        where = ", ".join(str(run.path) for run in runs)
        check_same_backbones(where, [run.backbone_facts for run in runs])
        names = " + ".join(dict.fromkeys(run.name for run in runs))
        sweep = shared_entries([run.sweep for run in runs])
        if facts := {name: facts for run in runs for name, facts in run.backbone_facts.items()}:
            sweep["backbones"] = facts
        return cls(first.path, sweep, trials, scores, folders, names, backbones, protocols)

    def beside(self, runs: "Iterable[Run]") -> "Run":
        """The run in a table with other runs, whose records may say which clips those of earlier versions have."""
        protocols = protocols_of(self.trials, (record for run in runs for record in run.trials.values()))
        return self if protocols == self.protocols else dataclasses.replace(self, protocols=protocols)

    def _renamed(self, configurations: Collection[str]) -> "Run":
        """The run with the protocol hash in the names of some configurations and of their trials."""
        trials = {
            name: with_protocol_in_name(record, self.protocols[name], configurations)
            for name, record in self.trials.items()
        }
        return dataclasses.replace(
            self,
            trials={record.trial: record for record in trials.values()},
            scores={(trials[name].trial, head, split): chain for (name, head, split), chain in self.scores.items()},
            folders={trials[name].trial: folder for name, folder in self.folders.items()},
            backbones={trials[name].trial: backbone for name, backbone in self.backbones.items()},
            protocols={trials[name].trial: protocol for name, protocol in self.protocols.items()},
        )

    @functools.cached_property
    def planned_sessions(self) -> int:
        """Number of sessions of a complete chain; of several protocols, the most."""
        return max(record.planned_sessions for record in self.trials.values())

    def planned(self, configuration: str) -> int:
        """Number of sessions of a complete chain of a configuration."""
        return self.of(configuration)[0].planned_sessions

    def class_names(self, configuration: str) -> tuple[str, ...]:
        """Names of the classes by label, of the benchmark of a configuration."""
        return self.of(configuration)[0].class_names

    @property
    def protocol_hashes(self) -> tuple[str, ...]:
        """The distinct protocol hashes, sorted; one, unless several protocols are in one table."""
        return tuple(sorted(set(self.protocols.values())))

    @property
    def has_several_protocols(self) -> bool:
        """Whether trials have different protocol hashes, which tables then show in a column."""
        return len(self.protocol_hashes) > 1

    @functools.cached_property
    def classes_seen(self) -> tuple[int | None, ...]:
        """Number of classes seen after each session; None where chains differ, or none has finished the session."""
        totals: list[set[int]] = [set() for _ in range(self.planned_sessions)]
        for record in self.trials.values():
            present = (len(session.classes) - len(session.left) for session in record.sessions)
            for t, total in enumerate(itertools.accumulate(present)):
                totals[t].add(total)
        return tuple(next(iter(counts)) if len(counts) == 1 else None for counts in totals)

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, sorted."""
        return tuple(sorted({record.method for record in self.trials.values()}))

    @property
    def backbone_facts(self) -> dict[str, dict[str, Any]]:
        """What each backbone is, by its name, as the sweep has recorded it: family, dim, sample_rate, digest."""
        facts = self.sweep.get("backbones")
        return {n: f for n, f in facts.items() if isinstance(f, dict)} if isinstance(facts, dict) else {}

    @functools.cached_property
    def _entries(self) -> dict[str, Entry]:
        """Trial -> its method and backbone."""
        return entries_of(self.backbones, self.protocols, self.trials)

    @functools.cached_property
    def entries(self) -> dict[str, Entry]:
        """Label -> method and backbone: one per method, and per backbone where the run has several.

        Sorted, with transductive methods behind all others.
        """
        entries = sorted(set(self._entries.values()), key=lambda entry: (entry.track, entry.label))
        return {entry.label: entry for entry in entries}

    @property
    def has_several_backbones(self) -> bool:
        """Whether methods ran on several backbones, which tables then show."""
        return any(entry.backbone for entry in self.entries.values())

    @property
    def has_transductive(self) -> bool:
        """Whether a method is transductive, so that tables show the track of each."""
        return any(entry.track == TRANSDUCTIVE for entry in self.entries.values())

    def labels(self, method: str) -> tuple[str, ...]:
        """The labels that a name stands for: of all backbones of a method, or the label itself; empty if unknown."""
        if method in self.entries:
            return (method,)
        return tuple(label for label, entry in self.entries.items() if entry.method == method)

    def entry(self, configuration: str) -> Entry:
        """Method and backbone of a configuration."""
        return self._entries[self.of(configuration)[0].trial]

    def configurations(self, label: str | None = None) -> tuple[str, ...]:
        """Names of the configurations (of one entry, or of all), sorted."""
        records = self.trials.values()
        return tuple(
            sorted({r.configuration for r in records if label is None or self._entries[r.trial].label == label})
        )

    def of(self, configuration: str) -> tuple[TrialRecord, ...]:
        """The trials of a configuration, sorted by name."""
        return self._by_configuration[configuration]

    @functools.cached_property
    def _by_configuration(self) -> dict[str, tuple[TrialRecord, ...]]:
        groups: dict[str, list[TrialRecord]] = {}
        for record in sorted(self.trials.values(), key=lambda record: record.trial):
            groups.setdefault(record.configuration, []).append(record)
        return {name: tuple(records) for name, records in groups.items()}

    @functools.cached_property
    def _seeds(self) -> dict[str, set[SeedTriple]]:
        """Label -> seeds of all of its configurations."""
        seeds: dict[str, set[SeedTriple]] = {}
        for name, record in self.trials.items():
            seeds.setdefault(self._entries[name].label, set()).add(record.seeds)
        return seeds

    def heads(self, label: str) -> tuple[str, ...]:
        """Names of the heads of an entry, its default head first."""
        records = [record for name, record in self.trials.items() if self._entries[name].label == label]
        names = dict.fromkeys(record.default_head for record in records)
        names.update(dict.fromkeys(head for record in records for head in record.heads))
        return tuple(names)

    @functools.cached_property
    def sessions(self) -> pd.DataFrame:
        """One row per trial, head, split and finished session, with `SESSION_METRICS` as fractions of one."""
        return session_table(self.trials, self.scores, self._entries, self.protocols)

    @functools.cached_property
    def chains(self) -> pd.DataFrame:
        """One row per trial, head and split, with `CHAIN_METRICS` (NaN without all planned sessions) and `COST`."""
        joint: dict[tuple[str, str, SeedTriple, str], ChainScores] = {}
        for label in self.labels(JOINT):
            choice = self.best(label)
            for record in self.of(choice.configuration):
                by_split = {
                    split: self.scores.get((record.trial, record.default_head, split)) for split in SCORED_SPLITS
                }
                joint |= {
                    (choice.backbone, choice.entry.protocol, record.seeds, split): chain
                    for split, chain in by_split.items()
                    if chain is not None
                }
        return chain_table(self.trials, self.scores, self._entries, self.protocols, joint)

    def default_head(self, configuration: str) -> str:
        """The head that is evaluated unless another one is named."""
        return self.of(configuration)[0].default_head

    def reached(self, configuration: str) -> int:
        """Most sessions that any chain of a configuration has finished."""
        return max(len(record.sessions) for record in self.of(configuration))

    def stopped(self, configuration: str) -> int:
        """Number of chains of a configuration that were stopped early."""
        return sum(record.status == "stopped" for record in self.of(configuration))

    def matrices(self, configuration: str, head: str, split: str = "test") -> NDArray[np.float64]:
        """a[t, j] of the chains of a configuration that have predictions: float64 [chains, T + 1, T + 1]."""
        size = self.planned(configuration)
        chains = [self.scores.get((record.trial, head, split)) for record in self.of(configuration)]
        matrices = [chain.matrix for chain in chains if chain is not None]
        return np.stack(matrices) if matrices else np.empty((0, size, size))

    def confusion(self, configuration: str, head: str, session: int, split: str = "test") -> NDArray[np.int64]:
        """Number of clips by true and predicted label, summed over the chains: int64 [classes, classes].

        Rows are true labels, columns predicted ones. Reads the predictions again.

        Args:
            configuration: name of the configuration.
            head: name of the head.
            session: index of the session after which to count; chains that have not finished it are left out.
            split: split of the clips.

        Raises:
            EarshotError: a file of predictions was removed or damaged since the run was loaded.
        """
        classes = len(self.class_names(configuration))
        counts = np.zeros((classes, classes), np.int64)
        for _, tables in self.predictions(configuration, session):
            if scored := tables.get((head, split)):
                counts += metrics.confusion(scored.labels, scored.predictions, classes)
        return counts

    def class_accuracies(self, configuration: str, head: str, split: str = "test") -> NDArray[np.float64]:
        """Accuracy of each class after each session: float64 [sessions, classes].

        The mean over the chains that have seen the class by then; NaN where none has. Reads the predictions again.

        Args:
            configuration: name of the configuration.
            head: name of the head.
            split: split of the clips.

        Raises:
            EarshotError: a file of predictions was removed or damaged since the run was loaded.
        """
        shape = self.planned_sessions, len(self.class_names(configuration))
        return self._class_accuracies(configuration).get((head, split), np.full(shape, np.nan)).copy()

    @functools.cached_property
    def _class_accuracies(self) -> Callable[[str], dict[tuple[str, str], NDArray[np.float64]]]:
        """Configuration -> `class_accuracies` by head and split: each file is read once for all of them."""

        def read(configuration: str) -> dict[tuple[str, str], NDArray[np.float64]]:
            sessions = range(self.reached(configuration))
            tables = ((t, table) for t in sessions for _, table in self.predictions(configuration, t))
            return mean_class_accuracies(tables, self.planned_sessions, len(self.class_names(configuration)))

        return functools.cache(read)

    def predictions(
        self, configuration: str, session: int
    ) -> Iterator[tuple[TrialRecord, dict[tuple[str, str], SessionPredictions]]]:
        """The record of each chain that has finished the session, and its predictions by head and split: no scores.

        Read again from the run folder, one chain after the other.

        Raises:
            EarshotError: a file of predictions was removed or damaged since the run was loaded.
        """
        for record in self.of(configuration):
            if session < len(record.sessions):
                yield record, read_session(record, self.folders[record.trial], session, with_scores=False)

    def is_complete(self, configuration: str) -> bool:
        """Whether a configuration has a finished chain for every seed of its method and backbone."""
        records = self.of(configuration)
        return {r.seeds for r in records if has_finished(r)} == self._seeds[self.entry(configuration).label]

    def validation_aa(self, configuration: str) -> float:
        """Mean over chains of the validation AA of the default head; NaN if no chain has all sessions."""
        values = self._candidate(configuration).values(self.planned(configuration))
        return float(np.mean(values)) if values else float("nan")

    def best(self, label: str) -> Choice:
        """The configuration that represents a method: see `orchestrator.results.choice.select`.

        Raises:
            KeyError: the run has no such entry.
        """
        return select(self.entries[label], [self._candidate(name) for name in self.configurations(label)])

    def _candidate(self, name: str) -> Candidate:
        records = self.of(name)
        chains = (self.scores.get((record.trial, record.default_head, "val")) for record in records)
        return Candidate(
            name,
            planned=self.planned(name),
            reached=self.reached(name),
            complete=self.is_complete(name),
            stopped=tuple(len(r.sessions) for r in records if r.status == "stopped" and r.sessions),
            accuracies=tuple(tuple(chain.micro) for chain in chains if chain is not None),
        )
