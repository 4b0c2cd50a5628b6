"""Tables of the metrics of a run: one row per session, one row per chain."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orchestrator.results.backbones import Entry
from orchestrator.results.measures import CHAIN_METRICS, COST, SESSION_METRICS
from trainables import metrics
from trainables.metrics import ChainScores, SessionPredictions
from trainables.records import SeedTriple, TrialRecord

_TRIAL = ("trial", "configuration", "method", "backbone", "protocol")
_SEEDS = ("seeds", "order_seed", "support_seed", "initialisation_seed")
_SESSION = ("head", "split", "session", "classes_seen", "clips")
_STATE = ("status", "sessions", "planned", "complete", *COST)

Scores = Mapping[tuple[str, str, str], ChainScores]
"""(trial, head, split) -> accuracies of that chain."""


def has_finished(record: TrialRecord) -> bool:
    """Whether a trial has finished all its planned sessions; False for one that was stopped early."""
    return record.status == "finished" and len(record.sessions) == record.planned_sessions


def session_table(
    trials: Mapping[str, TrialRecord], scores: Scores, entries: Mapping[str, Entry], protocols: Mapping[str, str]
) -> pd.DataFrame:
    """One row per trial, head, split and finished session, with `SESSION_METRICS` as fractions of one.

    Args:
        trials: name of the trial -> its record.
        scores: accuracies of their chains.
        entries: name of the trial -> its method and backbone.
        protocols: name of the trial -> its protocol hash.
    """
    rows = []
    for (trial, head, split), chain in scores.items():
        record = trials[trial]
        identity = _identity(record, entries[trial], protocols[trial])
        seen = np.cumsum([len(session.classes) - len(session.left) for session in record.sessions])
        columns = {name: getattr(chain, name) for name in SESSION_METRICS}
        for t in range(len(record.sessions)):
            measured = {name: float(values[t]) for name, values in columns.items()}
            key = {"head": head, "split": split, "session": t, "classes_seen": int(seen[t])}
            rows.append({**identity, **key, "clips": int(chain.clips[t]), **measured})
    return pd.DataFrame(rows, columns=[*_TRIAL, *_SEEDS, *_SESSION, *SESSION_METRICS])


def chain_table(
    trials: Mapping[str, TrialRecord],
    scores: Scores,
    entries: Mapping[str, Entry],
    protocols: Mapping[str, str],
    joint: Mapping[tuple[str, str, SeedTriple, str], ChainScores],
) -> pd.DataFrame:
    """One row per trial, head and split, with `CHAIN_METRICS` and `COST`; metrics are NaN without all planned sessions.

    Args:
        trials: name of the trial -> its record.
        scores: accuracies of their chains.
        entries: name of the trial -> its method and backbone.
        protocols: name of the trial -> its protocol hash.
        joint: (backbone, protocol, seeds, split) -> scores of the chain retrained on all data, the reference of
            intransigence.
    """
    rows = []
    for (trial, head, split), chain in scores.items():
        record = trials[trial]
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
        reference = joint.get((entries[trial].backbone, entries[trial].protocol, record.seeds, split))
        intransigence = float("nan") if reference is None else metrics.intransigence(chain.matrix, reference.matrix)
        key = {**_identity(record, entries[trial], protocols[trial]), "head": head, "split": split}
        rows.append({**key, **state, **summary, "intransigence": intransigence})
    return pd.DataFrame(rows, columns=[*_TRIAL, *_SEEDS, "head", "split", *_STATE, *CHAIN_METRICS])


def _identity(record: TrialRecord, entry: Entry, protocol: str) -> dict[str, Any]:
    seeds = record.seeds
    return {
        "trial": record.trial,
        "configuration": record.configuration,
        "method": record.method,
        "backbone": entry.backbone,
        "protocol": protocol,
        "seeds": str(seeds),
        "order_seed": seeds.order,
        "support_seed": seeds.support,
        "initialisation_seed": seeds.initialisation,
    }


def mean_matrix(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each a[t, j] over the chains that have it, [T + 1, T + 1]; NaN where no chain has it."""
    defined = ~np.isnan(matrices)
    counts = defined.sum(axis=0)
    sums = np.where(defined, matrices, 0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def mean_class_accuracies(
    tables: Iterable[tuple[int, Mapping[tuple[str, str], SessionPredictions]]], sessions: int, classes: int
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Accuracy of each class after each session, mean over chains, by head and split: float64 [sessions, classes].

    Args:
        tables: the session and the predictions by head and split, for each chain and session.
        sessions: number of planned sessions.
        classes: number of classes.

    Returns:
        The accuracies; NaN where no chain has clips of the class.
    """
    sums: dict[tuple[str, str], NDArray[np.float64]] = {}
    chains: dict[tuple[str, str], NDArray[np.float64]] = {}
    for t, table in tables:
        for key, scored in table.items():
            if key not in sums:
                sums[key], chains[key] = (np.zeros((sessions, classes)) for _ in range(2))
            for label, accuracy in metrics.class_accuracies(scored.labels, scored.predictions).items():
                sums[key][t, label] += accuracy
                chains[key][t, label] += 1
    return {
        key: np.divide(total, chains[key], out=np.full_like(total, np.nan), where=chains[key] > 0)
        for key, total in sums.items()
    }
