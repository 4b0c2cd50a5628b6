"""What the page says in sentences: the answer, how it was chosen, what ran, what is missing."""

import json
from typing import Any

import numpy as np

from datasets.utils.humanize import format_duration
from datasets.utils.text import one_line, plural
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimate, Estimates, percent
from orchestrator.statistics.paired_tests import CLAIM


def spoken(run: Run, estimates: Estimates, data: dict[str, Any]) -> dict[str, Any]:
    """The texts of the page, as plain text.

    Args:
        run: the run.
        estimates: its means.
        data: what `numbers.payload` made of it.
    """
    return {
        "answer": _answer(run, estimates),
        "notes": _notes(run, estimates, data),
        "facts": _facts(run, data),
        "unfinished": run.unfinished(),
    }


def _answer(run: Run, estimates: Estimates) -> str:
    """The best method by validation, in a sentence; what is there so far where nothing is whole."""
    choices = sorted(map(run.best, run.methods), key=lambda c: (np.isnan(c.validation_aa), -c.validation_aa))
    whole = [choice for choice in choices if not choice.provisional]
    if not whole:
        done = sum(len(record.sessions) for record in run.trials.values())
        return f"No configuration has finished all its seeds yet: {plural(done, 'session')} so far."
    best = whole[0]
    head = run.default_head(best.configuration)
    found = estimates.chain(best.configuration, head, "test")
    text = f"{one_line(best.method)} reaches an average accuracy of {_interval(found['aa'])}"
    text += f" and ends at {percent(found['final'].mean)} % after {plural(run.planned_sessions, 'session')}"
    if len(whole) > 1:
        second = whole[1]
        other = estimates.chain(second.configuration, run.default_head(second.configuration), "test")
        text += f"; next by validation is {one_line(second.method)} with {_interval(other['aa'])}"
    return text + "."


def _interval(value: Estimate) -> str:
    over = f"over {plural(value.n, 'chain')}"
    if value.n < 2:
        return f"{percent(value.mean)} % ({over})"
    return f"{percent(value.mean)} % [{percent(value.low)}, {percent(value.high)}] {over}"


def _notes(run: Run, estimates: Estimates, data: dict[str, Any]) -> list[str]:
    """How the winners were chosen, and what a reader should keep in mind."""
    choices = [run.best(method) for method in run.methods]
    compared = sum(choice.candidates for choice in choices)
    notes = [
        f"Of each method the configuration with the highest validation accuracy is shown ({compared} competed); its"
        " test accuracy is reported once and was never looked at to choose. Methods are ordered by validation, too."
    ]
    if provisional := [one_line(choice.method) for choice in choices if choice.provisional]:
        notes.append(
            f"Provisional: no configuration of {', '.join(provisional)} has finished all its seeds, so the choice is by"
            " the sessions that all competing configurations have reached."
        )
    if blind := [one_line(choice.method) for choice in choices if np.isnan(choice.validation_aa)]:
        notes.append(f"Without validation predictions the first configuration by name stands for: {', '.join(blind)}.")
    if (limits := data["ceilings"]) and min(limits["values"]) < 1:
        notes.append(
            f"Audit of the benchmark: {limits['labels']} labels share test clips with another label; after the last"
            f" session no classifier can exceed {percent(limits['values'][-1])} % (dotted in the curves)."
        )
    chains = [
        estimates.chain(choice.configuration, run.default_head(choice.configuration), "test")["aa"].n
        for choice in choices
    ]
    if min(chains) < CLAIM:
        notes.append(f"A claim needs at least {CLAIM} draws of the seeds; the least here is {min(chains)}.")
    return notes


def _facts(run: Run, data: dict[str, Any]) -> list[tuple[str, str]]:
    records = list(run.trials.values())
    first = records[0]
    states: list[str] = [record.status for record in records]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    seeds = sorted({record.seeds for record in records}, key=lambda s: (s.order, s.support, s.initialisation))
    work = data["work"]
    reused = work["sessions"] - work["computed"]
    return [
        ("benchmark", f"{first.benchmark}, {len(first.class_names)} classes"),
        ("fingerprint of the data", first.benchmark_fingerprint[:16]),
        ("protocol", "; ".join(dict.fromkeys(_settings(record.protocol) for record in records))),
        ("seeds (order.support.initialisation)", f"{len(seeds)}: {', '.join(map(str, seeds))}"),
        ("backbone", run.told("backbone")),
        ("front end", run.told("frontend")),
        ("configurations", str(len(run.configurations()))),
        ("trials", f"{len(records)}: {counts}"),
        (
            "sessions",
            f"{work['sessions']}: {work['computed']} computed in {format_duration(work['seconds'] or 0)}, {reused} "
            "cached"
            f" ({format_duration(work['saved'] or 0)} of computing spared)",
        ),
        *_told(run),
    ]


def _told(run: Run) -> list[tuple[str, str]]:
    """What the sweep wrote down about itself, where it did."""
    made = run.sweep.get("made", {})
    names = {"commit": "code", "machine": "machine", "began": "began", "seconds": "wall time", "python": "python"}
    if not isinstance(made, dict):
        return []
    return [
        (name, format_duration(float(made[key])) if key == "seconds" else str(made[key]))
        for key, name in names.items()
        if made.get(key) is not None
    ]


def _settings(values: dict[str, Any]) -> str:
    shown = (f"{key} {v if isinstance(v, str) else json.dumps(v)}" for key, v in values.items() if v is not None)
    return ", ".join(shown)
