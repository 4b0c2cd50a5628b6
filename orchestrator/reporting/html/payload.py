"""A run as plain data for the page.

Accuracies are fractions of one; a value that is undefined or not available yet is None.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from datasets.utils.json_values import json_values
from orchestrator.reporting import style
from orchestrator.reporting.facts import benchmark_names, choices_of, classes_leave, protocol_line, work
from orchestrator.results.ceilings import ceilings
from orchestrator.results.chain_metrics import mean_matrix
from orchestrator.results.measures import MEASURES, SESSION_METRICS
from orchestrator.results.mistakes import Mistake, confident_mistakes
from orchestrator.results.objectives import Objective
from orchestrator.results.run import Run, has_finished
from orchestrator.statistics.estimates import Estimate, Estimates, estimate
from orchestrator.statistics.hyperparameter_importance import importances
from orchestrator.statistics.pareto import candidates, objectives_of
from orchestrator.statistics.variance_components import split_variance

DIGITS = 5
PALETTE = (*style.PALETTE[:-1], "#7F7F7F")  # black is invisible on a dark page
MISTAKES_SHOWN = 5  # of a method
CHAIN_METRICS_SHOWN = ("aa", "aa_macro", "final", "pd", "forgetting", "bwt")


def payload(run: Run, estimates: Estimates) -> dict[str, Any]:
    """The data of all charts and tables of the page, in JSON types.

    Args:
        run: the run.
        estimates: estimates of the run.
    """
    first = next(iter(run.trials.values()))
    orders = {tuple(s.classes for s in record.sessions) for record in run.trials.values() if record.sessions}
    longest = max(orders, key=len, default=())
    methods = [_method(run, estimates, name, index) for index, name in enumerate(run.entries)]
    ranks = {choice.label: rank for rank, choice in enumerate(choices_of(run))}
    for method in methods:
        method["rank"] = ranks[method["name"]]
    order = sorted(methods, key=lambda method: ranks[method["name"]])
    limits = ceilings(run)
    data = {
        "name": run.name,
        "benchmark": benchmark_names(run),
        "protocol": protocol_line(run),
        "several_protocols": run.has_several_protocols,
        "classes": list(first.class_names),
        "palette": PALETTE,
        "sessions": run.planned_sessions,
        "session_classes": [list(labels) for labels in longest],
        "seen": run.classes_seen,
        "counted": "present" if classes_leave(run) else "seen",
        "orders": sum(not any(_is_prefix(order, other) for other in orders) for order in orders),
        "methods": methods,
        "several_backbones": run.has_several_backbones,
        "has_transductive": run.has_transductive,
        "heads": list(dict.fromkeys(head for method in methods for head in method["heads"])),
        "configurations": [_configuration(run, estimates, name) for name in run.configurations()],
        "pareto": _pareto(run, estimates),
        "importance": {name: shares for name in run.entries if (shares := importances(run, name))},
        "ceilings": limits and dataclasses.asdict(limits),
        "mistakes": [mistake for method in order for mistake in _mistakes(run, method)],
        "cost": [_cost(run, method["configuration"]) for method in methods],
        "work": dataclasses.asdict(work(run)),
    }
    values: dict[str, Any] = json_values(data)
    return values


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
        "validation": _rounded(choice.validation_aa),
        "candidates": choice.candidates,
    }


def _head(run: Run, estimates: Estimates, chosen: str, head: str) -> dict[str, Any]:
    sessions = [estimates.session(chosen, head, "test", t) for t in range(run.planned_sessions)]
    chain = estimates.chain(chosen, head, "test")
    matrices = run.matrices(chosen, head)
    return {
        "sessions": {name: [_estimate(session[name]) for session in sessions] for name in SESSION_METRICS},
        "chain": {name: _estimate(chain[name]) for name in CHAIN_METRICS_SHOWN},
        "validation": _estimate(estimates.chain(chosen, head, "val")["aa"]),
        "matrix": np.round(mean_matrix(matrices), DIGITS),
        "forgetting": [_estimate(value) for value in _forgetting(matrices)],
        "classes": np.round(run.class_accuracies(chosen, head), DIGITS),
        "confusion": [_sparse(run.confusion(chosen, head, t)) for t in range(run.reached(chosen))],
        "chains": _chains(run, chosen, head),
        "variance": _variance(run, chosen, head),
    }


def _chains(run: Run, configuration: str, head: str) -> list[dict[str, Any]]:
    """AA of each complete chain, with its seeds."""
    rows = run.chains
    rows = rows[(rows["configuration"] == configuration) & (rows["head"] == head) & (rows["split"] == "test")]
    seeds = ("order_seed", "support_seed", "initialisation_seed")
    return [
        {"seeds": [int(row[seed]) for seed in seeds], "aa": _rounded(row["aa"])}
        for row in rows[rows["complete"].astype(bool)].to_dict("records")
    ]


def _variance(run: Run, configuration: str, head: str) -> dict[str, Any] | None:
    variance = split_variance(run, configuration, head)
    if variance is None:
        return None
    return {"shares": {name: _rounded(share) for name, share in variance.shares.items()}, "fixed": variance.fixed}


def _configuration(run: Run, estimates: Estimates, name: str) -> dict[str, Any]:
    records = run.of(name)
    head = run.default_head(name)
    return {
        "name": name,
        "method": run.entry(name).label,
        "varied": dict(records[0].varied),
        "trials": len(records),
        "finished": sum(map(has_finished, records)),
        "stopped": run.stopped(name),
        "complete": run.is_complete(name),
        "validation": _estimate(estimates.chain(name, head, "val")["aa"]),
        "test": _estimate(estimates.chain(name, head, "test")["aa"]),
    }


def _mistakes(run: Run, method: dict[str, Any]) -> list[dict[str, Any]]:
    """The most confident mistakes of a method, and in how many chains each occurs; the first chain is the one shown."""
    names = run.class_names(method["configuration"])
    chains: dict[tuple[str, int], list[Mistake]] = {}
    for mistake in confident_mistakes(run, method["configuration"], method["head"]):
        chains.setdefault((mistake.clip, mistake.prediction), []).append(mistake)
    return [
        {
            "method": method["name"],
            "seeds": str(mistake.seeds),
            "clip": mistake.clip,
            "class": names[mistake.label],
            "predicted": names[mistake.prediction],
            "confidence": _rounded(mistake.confidence),
            "chains": count,
        }
        for mistake, count in [(found[0], len(found)) for found in chains.values()][:MISTAKES_SHOWN]
    ]


def _pareto(run: Run, estimates: Estimates) -> dict[str, Any] | None:
    objectives = objectives_of(run)
    if len(objectives) < 2:
        return None
    return {
        "objectives": [_objective(objective) for objective in objectives],
        "candidates": [
            {
                "method": candidate.entry.label,
                "configuration": candidate.configuration,
                "values": [_rounded(value.mean) for value in candidate.values],
                "optimal": candidate.optimal,
            }
            for candidate in candidates(run, estimates, objectives)
        ],
    }


def _objective(objective: Objective) -> dict[str, Any]:
    return {"title": objective.title, "share": objective.share, "up": objective.up}


def _cost(run: Run, configuration: str) -> dict[str, Any]:
    """Cost of a configuration: seconds are means over its chains, the others maxima."""
    records = [record for record in run.of(configuration) if record.sessions]
    return {
        "seconds": [
            _rounded(np.mean([r.sessions[t].seconds for r in records if len(r.sessions) > t] or [np.nan]))
            for t in range(run.planned_sessions)
        ],
        "memory": max((s.peak_bytes for r in records for s in r.sessions if s.peak_bytes is not None), default=None),
        "used": max((r.sessions[-1].parameters_used for r in records), default=None),
        "stored": max((r.sessions[-1].parameters_stored for r in records), default=None),
    }


def _forgetting(matrices: np.ndarray) -> list[Estimate]:
    """Forgetting of the classes of each session at the end: best earlier minus last accuracy, over complete chains."""
    complete = matrices[~np.isnan(matrices[:, -1, 0])] if matrices.size else matrices
    last = matrices.shape[1] - 1
    best = [np.max(complete[:, j:last, j], axis=1) for j in range(last)]
    within = MEASURES["forgetting"].range
    return [estimate(best[j] - complete[:, last, j], within=within) for j in range(last)]


def _is_prefix(shorter: Sequence[Any], longer: Sequence[Any]) -> bool:
    return longer != shorter and longer[: len(shorter)] == shorter


def _sparse(counts: np.ndarray) -> list[list[int]]:
    """[true label, predicted label, clips] of the nonzero cells."""
    return [[int(i), int(j), int(counts[i, j])] for i, j in np.argwhere(counts)]


def _estimate(value: Estimate) -> dict[str, Any]:
    return {name: number if name == "n" else _rounded(number) for name, number in dataclasses.asdict(value).items()}


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), DIGITS)
