"""A run as plain data for the page: numbers, names and nothing to read between the lines.

Accuracies are fractions of one; a value that is undefined or not there yet is None.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from orchestrator.reporting import style
from orchestrator.results.ceilings import ceilings
from orchestrator.results.chain_metrics import mean_matrix
from orchestrator.results.objectives import Objective
from orchestrator.results.run import SESSION_METRICS, Run, has_finished
from orchestrator.statistics.estimates import Estimate, Estimates, estimate
from orchestrator.statistics.hyperparameter_importance import importances
from orchestrator.statistics.pareto import candidates, objectives_of
from orchestrator.statistics.variance_components import split

DIGITS = 5
PALETTE = (*style.PALETTE[:-1], "#7F7F7F")  # black cannot be seen on a dark page
CHAIN = ("aa", "aa_macro", "final", "pd", "forgetting", "bwt")


def payload(run: Run, estimates: Estimates) -> dict[str, Any]:
    """Everything that the charts and tables of the page show.

    Args:
        run: the run.
        estimates: its means.
    """
    first = next(iter(run.trials.values()))
    orders = {tuple(s.classes for s in record.sessions) for record in run.trials.values() if record.sessions}
    longest = max(orders, key=len, default=())
    methods = [_method(run, estimates, name, place) for place, name in enumerate(run.methods)]
    order = sorted(methods, key=lambda m: (m["validation"] is None, -(m["validation"] or 0), m["name"]))
    for rank, method in enumerate(order):
        method["rank"] = rank
    return {
        "name": run.name,
        "benchmark": first.benchmark,
        "classes": list(first.class_names),
        "palette": PALETTE,
        "sessions": run.planned_sessions,
        "brought": [list(labels) for labels in longest],
        "seen": _seen(run),
        "orders": len({order for order in orders if not any(_begins(other, order) for other in orders)}),
        "methods": methods,
        "heads": list(dict.fromkeys(head for method in methods for head in method["heads"])),
        "configurations": [_configuration(run, estimates, name) for name in run.configurations()],
        "pareto": _pareto(run, estimates),
        "importance": {name: found for name in run.methods if (found := importances(run, name))},
        "ceilings": ceilings(run),
        "cost": [_cost(run, method["configuration"]) for method in methods],
        "work": _work(run),
    }


def _method(run: Run, estimates: Estimates, name: str, place: int) -> dict[str, Any]:
    choice = run.best(name)
    chosen = choice.configuration
    return {
        "name": name,
        "colour": place,
        "configuration": chosen,
        "varied": dict(run.of(chosen)[0].varied),
        "head": run.default_head(chosen),
        "heads": {head: _head(run, estimates, chosen, head) for head in run.heads(name)},
        "trials": len(run.of(chosen)),
        "provisional": choice.provisional,
        "validation": _number(choice.validation_aa),
        "candidates": choice.candidates,
    }


def _head(run: Run, estimates: Estimates, chosen: str, head: str) -> dict[str, Any]:
    sessions = [estimates.session(chosen, head, "test", t) for t in range(run.planned_sessions)]
    chain = estimates.chain(chosen, head, "test")
    matrices = run.matrices(chosen, head)
    return {
        "sessions": {name: [_estimate(found[name]) for found in sessions] for name in SESSION_METRICS},
        "chain": {name: _estimate(chain[name]) for name in CHAIN},
        "validation": _estimate(estimates.chain(chosen, head, "val")["aa"]),
        "matrix": _rows(mean_matrix(matrices)),
        "forgetting": [_estimate(one) for one in _forgetting(matrices)],
        "classes": _rows(run.class_accuracies(chosen, head)),
        "confusion": [_sparse(run.confusion(chosen, head, t)) for t in range(run.reached(chosen))],
        "chains": _chains(run, chosen, head),
        "variance": _variance(run, chosen, head),
    }


def _chains(run: Run, configuration: str, head: str) -> list[dict[str, Any]]:
    """AA of each whole chain, with its seeds."""
    rows = run.chains
    rows = rows[(rows["configuration"] == configuration) & (rows["head"] == head) & (rows["split"] == "test")]
    seeds = ("order_seed", "support_seed", "initialisation_seed")
    return [
        {"seeds": [int(row[seed]) for seed in seeds], "aa": _number(row["aa"])}
        for row in rows[rows["complete"].astype(bool)].to_dict("records")
    ]


def _variance(run: Run, configuration: str, head: str) -> dict[str, Any] | None:
    found = split(run, configuration, head)
    if found is None:
        return None
    return {"shares": {name: _number(share) for name, share in found.shares.items()}, "fixed": list(found.fixed)}


def _configuration(run: Run, estimates: Estimates, name: str) -> dict[str, Any]:
    records = run.of(name)
    head = run.default_head(name)
    return {
        "name": name,
        "method": records[0].method,
        "varied": dict(records[0].varied),
        "trials": len(records),
        "finished": sum(map(has_finished, records)),
        "stopped": run.stopped(name),
        "complete": run.is_complete(name),
        "validation": _estimate(estimates.chain(name, head, "val")["aa"]),
        "test": _estimate(estimates.chain(name, head, "test")["aa"]),
    }


def _pareto(run: Run, estimates: Estimates) -> dict[str, Any] | None:
    objectives = objectives_of(run)
    if len(objectives) < 2:
        return None
    return {
        "objectives": [_objective(one) for one in objectives],
        "candidates": [
            {
                "method": one.method,
                "configuration": one.configuration,
                "values": [_number(value.mean) for value in one.values],
                "kept": one.kept,
            }
            for one in candidates(run, estimates, objectives)
        ],
    }


def _objective(objective: Objective) -> dict[str, Any]:
    return {"title": objective.title, "share": objective.share, "up": objective.up}


def _cost(run: Run, configuration: str) -> dict[str, Any]:
    """Of the chosen configuration: means over its chains."""
    records = [record for record in run.of(configuration) if record.sessions]
    return {
        "seconds": [
            _number(np.mean([r.sessions[t].seconds for r in records if len(r.sessions) > t] or [np.nan]))
            for t in range(run.planned_sessions)
        ],
        "memory": max((s.peak_bytes for r in records for s in r.sessions if s.peak_bytes is not None), default=None),
        "used": max((r.sessions[-1].parameters_used for r in records), default=None),
        "stored": max((r.sessions[-1].parameters_stored for r in records), default=None),
    }


def _work(run: Run) -> dict[str, Any]:
    """What was computed and what was found: a stage that several trials name was computed once at most."""
    sessions = [session for record in run.trials.values() for session in record.sessions]
    computed = [session for session in sessions if not session.cached]
    return {
        "sessions": len(sessions),
        "computed": len(computed),
        "seconds": _number(sum(session.seconds for session in computed)),
        "saved": _number(sum(session.seconds for session in sessions if session.cached)),
    }


def _seen(run: Run) -> list[int | None]:
    """Classes seen after each session, where all chains agree on it."""
    found: list[set[int]] = [set() for _ in range(run.planned_sessions)]
    for record in run.trials.values():
        for place, total in enumerate(np.cumsum([len(session.classes) for session in record.sessions])):
            found[place].add(int(total))
    return [next(iter(totals)) if len(totals) == 1 else None for totals in found]


def _forgetting(matrices: np.ndarray) -> list[Estimate]:
    """What is forgotten of each session's classes by the end: best before less last, over whole chains."""
    whole = matrices[~np.isnan(matrices[:, -1, 0])] if matrices.size else matrices
    last = matrices.shape[1] - 1
    return [estimate(np.max(whole[:, j:last, j], axis=1) - whole[:, last, j]) for j in range(last)]


def _begins(longer: Sequence[Any], shorter: Sequence[Any]) -> bool:
    return longer != shorter and tuple(longer[: len(shorter)]) == tuple(shorter)


def _sparse(counts: np.ndarray) -> list[list[int]]:
    """[true, predicted, clips] of the cells that are not empty."""
    return [[int(i), int(j), int(counts[i, j])] for i, j in np.argwhere(counts)]


def _estimate(value: Estimate) -> dict[str, Any]:
    return {
        "mean": _number(value.mean),
        "std": _number(value.std),
        "n": value.n,
        "low": _number(value.low),
        "high": _number(value.high),
    }


def _rows(values: np.ndarray) -> list[list[float | None]]:
    return [[_number(value) for value in row] for row in values]


def _number(value: float | np.floating[Any] | Iterable[Any]) -> float | None:
    number = float(value)  # type: ignore[arg-type]
    return round(number, DIGITS) if math.isfinite(number) else None
