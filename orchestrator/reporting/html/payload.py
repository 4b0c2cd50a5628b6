"""A run as plain data for the page.

Accuracies are fractions of one; a value that is undefined or not available yet is None.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets.utils.json_values import json_values
from orchestrator.reporting.facts import (
    FEW,
    MANY,
    benchmark_names,
    choices_of,
    classes_leave,
    classes_used,
    protocol_line,
    ranked,
)
from orchestrator.reporting.html.methods import plain_methods
from orchestrator.reporting.html.results import Results
from orchestrator.reporting.html.sections import SECTIONS
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates


def payload(
    run: Run, estimates: Estimates, audio: int = 0, progress: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The data of all charts and tables of the page, in JSON types.

    Args:
        run: the run.
        estimates: estimates of the run.
        audio: bytes that clips of the benchmark may take; 0 for none.
        progress: of a sweep that is running: what takes long is left out.

    Returns:
        What all sections share, and the data of each section that has any, under its name.
    """
    first = next(iter(run.trials.values()))
    orders = {tuple(s.classes for s in record.sessions) for record in run.trials.values() if record.sessions}
    longest = max(orders, key=len, default=())
    choices = choices_of(run)
    methods = plain_methods(run, estimates, choices)
    heads = list(dict.fromkeys(head for method in methods for head in method["heads"]))
    shared = {
        "name": run.name,
        "benchmark": benchmark_names(run),
        "protocol": protocol_line(run),
        "several_protocols": run.has_several_protocols,
        "class_names": list(first.class_names),
        "planned_sessions": run.planned_sessions,
        "session_classes": [list(labels) for labels in longest],
        "seen": run.classes_seen,
        "counted": "present" if classes_leave(run) else "seen",
        "orders": sum(not any(_is_prefix(order, other) for other in orders) for order in orders),
        "methods": methods,
        "several_backbones": run.has_several_backbones,
        "has_transductive": run.has_transductive,
        "heads": heads,
        "order": {
            head: [choice.label for choice in ranked(run, estimates, choices, head or None)] for head in ("", *heads)
        },
        "many": MANY,
        "few": FEW,
        "classes_used": classes_used(run),
    }
    results = Results(run, estimates, choices, methods, audio, progress)
    sections = {section.name: section.data(results) for section in SECTIONS}
    values: dict[str, Any] = json_values(shared | {name: data for name, data in sections.items() if data is not None})
    return values


def _is_prefix(shorter: Sequence[Any], longer: Sequence[Any]) -> bool:
    return longer != shorter and longer[: len(shorter)] == shorter
