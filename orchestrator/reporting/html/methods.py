"""The methods of a run as plain data: what all sections of the page draw from.

Accuracies are fractions of one; a value that is undefined or not available yet is NaN.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from orchestrator.reporting.facts import incomplete_reason
from orchestrator.reporting.html.numbers import DIGITS, plain_estimate, rounded
from orchestrator.reporting.series_styles import entry_style
from orchestrator.results.chain_metrics import mean_matrix
from orchestrator.results.choice import rank as rank_of
from orchestrator.results.measures import ACCURACIES, MEASURES
from orchestrator.results.run import Choice, Run
from orchestrator.statistics.estimates import Estimate, Estimates, estimate
from orchestrator.statistics.variance_components import split_variance
from trainables.records import TrialRecord

SESSION_METRICS_SHOWN = (*ACCURACIES, "unknown_auroc")
CHAIN_METRICS_SHOWN = ("aa", "aa_macro", "final", "pd", "forgetting", "bwt")


def plain_methods(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> list[dict[str, Any]]:
    """The chosen configuration of each method with all its heads, by name; `rank` counts all from 0, by validation.

    Args:
        run: the run.
        estimates: estimates of the run.
        choices: the configuration of each method.
    """
    ranks = {choice.label: rank for rank, choice in enumerate(sorted(choices, key=rank_of))}
    by_name = sorted(choices, key=lambda choice: choice.label)
    return [_method(run, estimates, choice) | {"rank": ranks[choice.label]} for choice in by_name]


def _method(run: Run, estimates: Estimates, choice: Choice) -> dict[str, Any]:
    chosen = choice.configuration
    return {
        "name": choice.label,
        "method": choice.method,
        "backbone": choice.backbone,
        "track": choice.track,
        "protocol": choice.entry.protocol,
        "group": f"{choice.entry.protocol} {choice.track}",  # methods that are ranked together
        **({"classes": list(run.class_names(chosen))} if run.has_several_protocols else {}),
        **dataclasses.asdict(entry_style(choice.entry)),
        "configuration": chosen,
        "varied": dict(run.of(chosen)[0].varied),
        "head": run.default_head(chosen),
        "heads": {head: _head(run, estimates, chosen, head) for head in run.heads(choice.label)},
        "trials": [_trial(record) for record in run.of(chosen)],
        "provisional": choice.provisional,
        "candidates": choice.candidates,
        "validated": choice.n > 0,
    }


def _trial(record: TrialRecord) -> dict[str, Any]:
    """A trial as the leaderboard unfolds it."""
    computed = [session for session in record.sessions if not session.cached]
    return {
        "seeds": str(record.seeds),
        "status": record.status,
        "sessions": len(record.sessions),
        "planned": record.planned_sessions,
        "cached": len(record.sessions) - len(computed),
        "seconds": rounded(sum(session.seconds for session in record.sessions)),
        "reason": incomplete_reason(record),
    }


def _head(run: Run, estimates: Estimates, chosen: str, head: str) -> dict[str, Any]:
    sessions = [estimates.session(chosen, head, "test", t) for t in range(run.planned_sessions)]
    chain = estimates.chain(chosen, head, "test")
    matrices = run.matrices(chosen, head)
    return {
        "sessions": {name: [plain_estimate(session[name]) for session in sessions] for name in SESSION_METRICS_SHOWN},
        "chain": {name: plain_estimate(chain[name]) for name in CHAIN_METRICS_SHOWN},
        "validation": plain_estimate(estimates.chain(chosen, head, "val")["aa"]),
        "matrix": np.round(mean_matrix(matrices), DIGITS),
        "forgetting": [plain_estimate(value) for value in _forgetting(matrices)],
        "classes": np.round(run.class_accuracies(chosen, head), DIGITS),
        "chains": _chains(run, chosen, head),
        "variance": _variance(run, chosen, head),
    }


def _chains(run: Run, configuration: str, head: str) -> list[dict[str, Any]]:
    """AA of each complete chain, with its seeds."""
    rows = run.chains
    rows = rows[(rows["configuration"] == configuration) & (rows["head"] == head) & (rows["split"] == "test")]
    return [
        {"seeds": str(run.trials[row["trial"]].seeds), "aa": rounded(row["aa"])}
        for row in rows[rows["complete"].astype(bool)].to_dict("records")
    ]


def _variance(run: Run, configuration: str, head: str) -> dict[str, Any] | None:
    variance = split_variance(run, configuration, head)
    if variance is None:
        return None
    return {"shares": {name: rounded(share) for name, share in variance.shares.items()}, "fixed": variance.fixed}


def _forgetting(matrices: np.ndarray) -> list[Estimate]:
    """Forgetting of the classes of each session at the end: best earlier minus last accuracy, over complete chains."""
    complete = matrices[~np.isnan(matrices[:, -1, 0])] if matrices.size else matrices
    last = matrices.shape[1] - 1
    best = [np.max(complete[:, j:last, j], axis=1) for j in range(last)]
    within = MEASURES["forgetting"].range
    return [estimate(best[j] - complete[:, last, j], within=within) for j in range(last)]
