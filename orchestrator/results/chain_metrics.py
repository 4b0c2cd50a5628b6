"""What is measured of sessions and of chains: names of the columns, and the tables that hold them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables import metrics
from trainables.metrics import ChainScores
from trainables.records import SeedTriple, TrialRecord

SESSION_METRICS = ("micro", "macro", "base", "novel", "harmonic")
COST = ("seconds", "parameters_stored", "parameters_used")

_TRIAL = ("trial", "configuration", "method", "seeds", "order_seed", "support_seed", "initialisation_seed")
_SESSION = ("head", "split", "session", "classes_seen", "clips")
_STATE = ("status", "sessions", "planned", "complete", *COST)


@dataclass(frozen=True)
class Measure:
    """A number about a chain, a fraction of one that is shown in percent or in points.

    Attributes:
        name: column of the table of chains.
        title: in tables and sentences.
        up: whether more is better.
    """

    name: str
    title: str
    up: bool


_MEASURES = (
    Measure("aa", "AA", up=True),
    Measure("aa_macro", "AA macro", up=True),
    Measure("pd", "PD", up=False),
    Measure("pd_macro", "PD macro", up=False),
    Measure("final", "final", up=True),
    Measure("final_macro", "final macro", up=True),
    Measure("final_base", "final base", up=True),
    Measure("final_novel", "final novel", up=True),
    Measure("final_harmonic", "final harmonic", up=True),
    Measure("forgetting", "forgetting (Chaudhry 2018)", up=False),
    Measure("forgetting_including_last", "forgetting (l = T included)", up=False),
    Measure("forgetting_avalanche", "forgetting (Avalanche)", up=False),
    Measure("bwt", "BWT", up=True),
    Measure("ar", "AR", up=False),
    Measure("msr", "MSR", up=True),
    Measure("cpi", "CPI", up=True),
    Measure("intransigence", "intransigence", up=False),
)
MEASURES = {measure.name: measure for measure in _MEASURES}
CHAIN_METRICS = tuple(MEASURES)

FORMULAE = (
    (
        "A_t",
        "accuracy after session t over the test clips of all classes seen so far, counted over clips (micro) or as the"
        " mean of the accuracies of the classes (macro)",
    ),
    ("AA, final, PD", "mean of A_0 to A_T; A_T; performance drop A_0 - A_T; micro where it does not say macro"),
    ("a[t, j]", "accuracy after session t on the classes that session j brought, among all classes seen by then"),
    (
        "forgetting (Chaudhry 2018)",
        "mean over j < T of (max over j <= l < T of a[l, j]) - a[T, j]; may be negative; the one meant where no other"
        " is named",
    ),
    ("forgetting (l = T included)", "the same with the maximum over j <= l <= T, as some have it; never negative"),
    ("forgetting (Avalanche)", "mean over j < T of a[j, j] - a[T, j]; is -BWT"),
    ("BWT", "backward transfer, mean over j < T of a[T, j] - a[j, j]"),
    ("base, novel, harmonic", "accuracies B_t on the classes of session 0 and N_t on all later ones; 2 B N / (B + N)"),
    ("AR, MSR, CPI", "(B_0 - B_T) / B_0; 1 - AR; (MSR + mean over t >= 1 of N_t) / 2"),
    (
        "intransigence",
        "mean over t >= 1 of a*[t, t] - a[t, t], where a* is that of the method joint with the same seeds; undefined"
        " where the run has none",
    ),
    ("interval", "95 % t interval of the mean over chains"),
)
"""The metrics, each with its definition."""

Scores = Mapping[tuple[str, str, str], ChainScores]
"""(trial, head, split) -> accuracies of that chain."""


def has_finished(record: TrialRecord) -> bool:
    """Whether a trial has finished with all its planned sessions (one that was stopped early has not)."""
    return record.status == "finished" and len(record.sessions) == record.planned_sessions


def session_table(trials: Mapping[str, TrialRecord], scores: Scores) -> pd.DataFrame:
    """One row per trial, head, split and finished session, with `SESSION_METRICS` as fractions of one.

    Args:
        trials: the records, by name of the trial.
        scores: of their chains.
    """
    rows = []
    for (trial, head, split), chain in scores.items():
        record = trials[trial]
        seen = np.cumsum([len(session.classes) for session in record.sessions])
        columns = {name: getattr(chain, name) for name in SESSION_METRICS}
        for t in range(len(record.sessions)):
            measured = {name: float(values[t]) for name, values in columns.items()}
            place = {"head": head, "split": split, "session": t, "classes_seen": int(seen[t])}
            rows.append({**_identity(record), **place, "clips": int(chain.clips[t]), **measured})
    return pd.DataFrame(rows, columns=[*_TRIAL, *_SESSION, *SESSION_METRICS])


def chain_table(
    trials: Mapping[str, TrialRecord], scores: Scores, joint: Mapping[tuple[SeedTriple, str], ChainScores]
) -> pd.DataFrame:
    """One row per trial, head and split, with `CHAIN_METRICS` and `COST`; metrics are NaN without all planned sessions.

    Args:
        trials: the records, by name of the trial.
        scores: of their chains.
        joint: (seeds, split) -> scores of the chain that is retrained on all data, which intransigence is against.
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
        reference = joint.get((record.seeds, split))
        against = float("nan") if reference is None else metrics.intransigence(chain.matrix, reference.matrix)
        place = {**_identity(record), "head": head, "split": split}
        rows.append({**place, **state, **summary, "intransigence": against})
    return pd.DataFrame(rows, columns=[*_TRIAL, "head", "split", *_STATE, *CHAIN_METRICS])


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


def mean_matrix(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each a[t, j] over the chains that have it, [T + 1, T + 1]."""
    there = ~np.isnan(matrices)
    counts = there.sum(axis=0)
    sums = np.where(there, matrices, 0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
