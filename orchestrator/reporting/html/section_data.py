"""What single sections of the page need beside the methods: configurations, costs, ceilings.

Each function takes `Results` and gives data in JSON types, or None if the section would be empty.
"""

import dataclasses
from typing import Any

import numpy as np

from orchestrator.reporting.facts import formulae, incomplete_trials, what_ran
from orchestrator.reporting.html.numbers import plain_estimate, rounded
from orchestrator.reporting.html.results import Results
from orchestrator.reporting.sentences import answer, answer_verdict, notes
from orchestrator.results.ceilings import ceilings
from orchestrator.results.objectives import Objective
from orchestrator.results.run import Run, has_finished
from orchestrator.statistics.estimates import Estimates
from orchestrator.statistics.hyperparameter_importance import importances
from orchestrator.statistics.pareto import candidates, objectives_of


def answers(results: Results) -> dict[str, Any]:
    """Head, '' for the default of each method -> the answer with that head; the notes are those of the default."""
    run, estimates, choices = results.run, results.estimates, results.choices
    heads = dict.fromkeys(head for method in results.methods for head in method["heads"])
    shown = {
        head: {
            "text": answer(run, estimates, choices, head or None),
            "verdict": answer_verdict(run, estimates, choices, head or None),
        }
        for head in ("", *heads)
    }
    return shown | {"": {**shown[""], "notes": notes(run, estimates, choices)}}


def leaderboard(results: Results) -> dict[str, Any]:
    """The scale of the bars of the intervals: around all means, so that a narrow interval can be seen."""
    means = [head["chain"]["aa"]["mean"] for head in results.heads if head["chain"]["aa"]["n"]]
    if not means:
        return {"low": 0.0, "high": 1.0}
    room = max(0.02, 0.1 * (max(means) - min(means)))
    return {"low": max(0.0, min(means) - room), "high": min(1.0, max(means) + room)}


def curves(results: Results) -> dict[str, Any] | None:
    """The ceilings of the accuracies, where they are known."""
    limits = ceilings(results.run)
    return {"ceilings": limits and dataclasses.asdict(limits)} if results.any_session else None


def sides(results: Results) -> dict[str, Any] | None:
    """Nothing more."""
    return {} if results.any_session and results.run.planned_sessions > 1 else None


def forgetting(results: Results) -> dict[str, Any] | None:
    """Nothing more."""
    return {} if any(value["n"] for head in results.heads for value in head["forgetting"]) else None


def of_one_method(results: Results) -> dict[str, Any] | None:
    """Nothing more."""
    return {} if results.any_session else None


def seeds(results: Results) -> dict[str, Any] | None:
    """Nothing more."""
    return {} if any(head["chains"] for head in results.heads) else None


def importance(results: Results) -> dict[str, dict[str, float]] | None:
    """Method -> hyperparameter -> its share of the differences."""
    return {name: shares for name in results.run.entries if (shares := importances(results.run, name))} or None


def configurations(results: Results) -> list[dict[str, Any]] | None:
    """All configurations; None if no method has two that differ."""
    found = [_configuration(results.run, results.estimates, name) for name in results.run.configurations()]
    with_settings = [c["method"] for c in found if c["validation"]["n"] and c["varied"]]
    return found if len(with_settings) > len(set(with_settings)) else None


def pareto(results: Results) -> dict[str, Any] | None:
    """The complete configurations by the objectives of the search."""
    run, estimates = results.run, results.estimates
    objectives = objectives_of(run)
    if len(objectives) < 2:
        return None
    return {
        "objectives": [_objective(objective) for objective in objectives],
        "candidates": [
            {
                "method": candidate.entry.label,
                "configuration": candidate.configuration,
                "values": [rounded(value.mean) for value in candidate.values],
                "optimal": candidate.optimal,
            }
            for candidate in candidates(run, estimates, objectives)
        ],
    }


def cost(results: Results) -> list[dict[str, Any]] | None:
    """Of the chosen configuration of each method, in the order of the methods."""
    costs = [_cost(results.run, method["configuration"]) for method in results.methods]
    return costs if results.any_session else None


def ran(results: Results) -> dict[str, Any]:
    """What ran, and what is incomplete."""
    return {
        "facts": what_ran(results.run),
        "incomplete": [dataclasses.asdict(trial) for trial in incomplete_trials(results.run)],
    }


def definitions(results: Results) -> list[tuple[str, str]]:
    """(name, definition) of each metric."""
    return formulae(results.run)


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
        "validation": plain_estimate(estimates.chain(name, head, "val")["aa"]),
        "test": plain_estimate(estimates.chain(name, head, "test")["aa"]),
    }


def _objective(objective: Objective) -> dict[str, Any]:
    return {"title": objective.title, "share": objective.share, "up": objective.up}


def _cost(run: Run, configuration: str) -> dict[str, Any]:
    """Cost of a configuration: seconds are means over its chains, the others maxima."""
    records = [record for record in run.of(configuration) if record.sessions]
    return {
        "seconds": [
            rounded(np.mean([r.sessions[t].seconds for r in records if len(r.sessions) > t] or [np.nan]))
            for t in range(run.planned_sessions)
        ],
        "memory": max((s.peak_bytes for r in records for s in r.sessions if s.peak_bytes is not None), default=None),
        "used": max((r.sessions[-1].parameters_used for r in records), default=None),
        "stored": max((r.sessions[-1].parameters_stored for r in records), default=None),
    }
