"""The methods of a run as plain data: what all sections of the page draw from.

Accuracies are fractions of one; a value that is undefined or not available yet is NaN.
"""

import math
from typing import Any

import numpy as np

from orchestrator.reporting.html.numbers import DIGITS, plain_estimate, rounded
from orchestrator.results.chain_metrics import mean_matrix
from orchestrator.results.measures import ACCURACIES, MEASURES
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimate, Estimates, estimate
from orchestrator.statistics.variance_components import split_variance

SESSION_METRICS_SHOWN = (*ACCURACIES, "unknown_auroc")
CHAIN_METRICS_SHOWN = ("aa", "aa_macro", "final", "pd", "forgetting", "bwt")


def plain_methods(run: Run, estimates: Estimates) -> list[dict[str, Any]]:
    """The chosen configuration of each method with all its heads, by name; `rank` counts from 0, by validation AA."""
    methods = [_method(run, estimates, name, index) for index, name in enumerate(run.entries)]
    order = sorted(
        methods,
        key=lambda m: (m["protocol"], m["track"], math.isnan(m["validation"]), -m["validation"], m["name"]),
    )
    for rank, method in enumerate(order):
        method["rank"] = rank
    return methods


def _method(run: Run, estimates: Estimates, name: str, index: int) -> dict[str, Any]:
    choice = run.best(name)
    chosen = choice.configuration
    return {
        "name": name,
        "method": choice.method,
        "backbone": choice.backbone,
        "track": choice.track,
        "protocol": choice.entry.protocol,
        **({"classes": list(run.class_names(chosen))} if run.has_several_protocols else {}),
        "colour": index,
        "configuration": chosen,
        "varied": dict(run.of(chosen)[0].varied),
        "head": run.default_head(chosen),
        "heads": {head: _head(run, estimates, chosen, head) for head in run.heads(name)},
        "trials": len(run.of(chosen)),
        "provisional": choice.provisional,
        "validation": rounded(choice.validation_aa),
        "candidates": choice.candidates,
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
    seeds = ("order_seed", "support_seed", "initialisation_seed")
    return [
        {"seeds": [int(row[seed]) for seed in seeds], "aa": rounded(row["aa"])}
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
