"""The figures of a run: fills `orchestrator.reporting.figures` with its results."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from datasets.utils.text import one_line, plural
from orchestrator.reporting import figures
from orchestrator.reporting.facts import (
    classes_counted,
    classes_leave,
    limiting_ceilings,
    name_with_track,
    prominent,
)
from orchestrator.reporting.series_styles import SeriesStyle, entry_style, head_style
from orchestrator.results.chain_metrics import mean_matrix
from orchestrator.results.objectives import Objective
from orchestrator.results.run import Choice, Run
from orchestrator.statistics.estimates import Estimates
from orchestrator.statistics.pareto import Candidate


def figures_of(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> dict[str, Figure]:
    """File name without suffix -> figure; methods without a finished session are left out.

    Args:
        run: the run.
        estimates: estimates of the run.
        choices: the configuration of each method.
    """
    shown = [choice for choice in choices if run.reached(choice.configuration)]
    if not shown:
        return {}
    sessions = [str(t) for t in range(run.planned_sessions)]
    chains = f"over {_chains(run, shown)}"
    panels = [(c.label, _head_curves(run, estimates, c)) for c in shown]
    few = len(prominent(choices))
    spread = f"mean, band of one std{f' for the best {few} by validation' if few < len(shown) else ''},"
    clips_of = "present" if classes_leave(run) else "seen"
    drawn = {
        "accuracy": figures.accuracy_curves(
            _method_curves(run, estimates, choices),
            [t if seen is None else f"{t}\n({seen})" for t, seen in zip(sessions, run.classes_seen, strict=True)],
            "Accuracy after each session",
            f"test clips of all classes {clips_of}, default head; {spread} {chains}",
            classes_counted(run),
        ),
        "heads": figures.head_panels(
            panels,
            sessions,
            "Accuracy per head",
            f"test clips of all classes {clips_of}; mean, band of one std, {chains}",
        ),
    }
    for index, choice in enumerate(shown):
        head = run.default_head(choice.configuration)
        matrices = run.matrices(choice.configuration, head)
        name = f"matrix-{re.sub(r'[^A-Za-z0-9._-]', '_', choice.label)}"
        drawn[name if name not in drawn else f"matrix-{index}"] = figures.accuracy_matrix(
            mean_matrix(matrices),
            sessions[: run.planned(choice.configuration)],
            f"{one_line(choice.label)}: accuracy matrix a[t, j]",
            f"{one_line(head)} head, test clips, mean over {plural(len(matrices), 'chain')}",
        )
    return drawn


def trade_off(compared: Sequence[Candidate], objectives: Sequence[Objective]) -> Figure:
    """The first objective over the second.

    Args:
        compared: the complete configurations.
        objectives: at least two.
    """
    vertical, horizontal = objectives[:2]
    clouds = []
    for entry in dict.fromkeys(candidate.entry for candidate in compared):
        members = [candidate for candidate in compared if candidate.entry == entry]
        y, x = (
            np.array([candidate.values[k].mean * (100 if objective.share else 1) for candidate in members])
            for k, objective in enumerate((vertical, horizontal))
        )
        optimal = np.array([candidate.optimal for candidate in members])
        clouds.append(figures.Cloud(entry.label, x, y, optimal, entry_style(entry)))
    which = "both objectives" if len(objectives) == 2 else f"all {len(objectives)} objectives"
    return figures.trade_off(
        clouds,
        _axis(horizontal),
        _axis(vertical),
        "Trade-off between objectives",
        f"means over seeds on validation clips; filled: no other configuration of the method is as good in {which}",
        line=len(objectives) == 2,
    )


def _axis(objective: Objective) -> figures.Axis:
    return figures.Axis(objective.title + (" (%)" if objective.share else ""), objective.up, objective.share)


def _method_curves(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> list[figures.Curve]:
    """A curve per method with a finished session, the prominent ones last and with bands, and the ceiling, if any."""
    few = prominent(choices)
    curves = []
    for c in sorted(choices, key=lambda choice: choice in few):
        if run.reached(c.configuration):
            head, name, style = run.default_head(c.configuration), name_with_track(c.entry), entry_style(c.entry)
            curves.append(replace(_curve(run, estimates, c.configuration, head, name, style), faint=c not in few))
    if limits := limiting_ceilings(run):
        values = np.array(limits.values)
        curves.append(figures.Curve("ceiling", values, np.full(len(values), np.nan), figures.CEILING))
    return curves


def _head_curves(run: Run, estimates: Estimates, choice: Choice) -> list[figures.Curve]:
    """A curve per head of a method."""
    heads = run.heads(choice.label)
    return [_curve(run, estimates, choice.configuration, head, head, head_style(head)) for head in heads]


def _curve(
    run: Run, estimates: Estimates, configuration: str, head: str, name: str, style: SeriesStyle
) -> figures.Curve:
    values = [estimates.session(configuration, head, "test", t)["micro"] for t in range(run.planned_sessions)]
    return figures.Curve(name, np.array([v.mean for v in values]), np.array([v.std for v in values]), style)


def _chains(run: Run, choices: Sequence[Choice]) -> str:
    """Number of chains behind the figures: '3 chains', '2 to 3 chains', 'up to 3 chains'."""
    counts = sorted({sum(1 for r in run.of(choice.configuration) if r.sessions) for choice in choices})
    complete = all(len(r.sessions) in (0, r.planned_sessions) for c in choices for r in run.of(c.configuration))
    if not complete:
        return f"up to {plural(counts[-1], 'chain')}"
    return plural(counts[0], "chain") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} chains"
