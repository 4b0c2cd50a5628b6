"""The figures of a run: what `orchestrator.reporting.figures` draws, filled with what was found."""

import re
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from datasets.utils.text import one_line, plural
from orchestrator.reporting import figures
from orchestrator.reporting.tables import ceiling
from orchestrator.results.chain_metrics import mean_matrix
from orchestrator.results.objectives import Objective
from orchestrator.results.run import Choice, Run
from orchestrator.statistics.estimates import Estimates
from orchestrator.statistics.pareto import Candidate


def figures_of(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> dict[str, Figure]:
    """File name without its ending -> figure; methods without a finished session are left out.

    Args:
        run: the run.
        estimates: its means.
        choices: the configuration of each method.
    """
    shown = [choice for choice in choices if run.reached(choice.configuration)]
    if not shown:
        return {}
    index, counted = _ticks(run)
    place = {choice.method: number for number, choice in enumerate(choices)}
    curves = [
        _curve(run, estimates, c.configuration, run.default_head(c.configuration), c.method, place[c.method])
        for c in shown
    ]
    if limit := ceiling(run):
        curves.append(figures.Curve("ceiling", np.array(limit), np.full(len(limit), np.nan), figures.CEILING))
    heads = list(dict.fromkeys(head for choice in choices for head in run.heads(choice.method)))
    panels = [
        (
            c.method,
            [_curve(run, estimates, c.configuration, h, h, heads.index(h)) for h in run.heads(c.method)],
        )
        for c in shown
    ]
    over = f"over {_chains_behind(run, shown)}"
    spread = "mean, band of one std," if figures.with_bands(len(shown)) else "mean"
    drawn = {
        "accuracy": figures.accuracy_curves(
            curves,
            counted,
            "Accuracy after each session",
            f"test clips of all classes seen, default head; {spread} {over}",
        ),
        "heads": figures.head_panels(
            panels, index, "Heads side by side", f"test clips of all classes seen; mean, band of one std, {over}"
        ),
    }
    for number, choice in enumerate(shown):
        head = run.default_head(choice.configuration)
        matrices = run.matrices(choice.configuration, head)
        name = f"matrix-{re.sub(r'[^A-Za-z0-9._-]', '_', choice.method)}"
        drawn[name if name not in drawn else f"matrix-{number}"] = figures.accuracy_matrix(
            mean_matrix(matrices),
            index,
            f"{one_line(choice.method)}: accuracy matrix a[t, j]",
            f"{one_line(head)} head, test clips, mean over {plural(len(matrices), 'chain')}",
        )
    return drawn


def trade_off(compared: Sequence[Candidate], objectives: Sequence[Objective]) -> Figure:
    """The first objective over the second.

    Args:
        compared: the complete configurations.
        objectives: at least two.
    """
    up, across = objectives[:2]
    clouds = []
    for style, method in enumerate(dict.fromkeys(one.method for one in compared)):
        own = [one for one in compared if one.method == method]
        y, x = (
            np.array([one.values[k].mean * (100 if objective.share else 1) for one in own])
            for k, objective in enumerate((up, across))
        )
        clouds.append(figures.Cloud(method, x, y, np.array([one.kept for one in own]), style))
    among = "both" if len(objectives) == 2 else f"all {len(objectives)} objectives"
    return figures.trade_off(
        clouds,
        figures.Axis(_label(across), across.up, across.share),
        figures.Axis(_label(up), up.up, up.share),
        "What is given up for what",
        f"means over seeds on validation clips; filled: no other of the method is as good in {among}",
        line=len(objectives) == 2,
    )


def _label(objective: Objective) -> str:
    return objective.title + (" (%)" if objective.share else "")


def _curve(run: Run, estimates: Estimates, configuration: str, head: str, name: str, style: int) -> figures.Curve:
    found = [estimates.session(configuration, head, "test", t)["micro"] for t in range(run.planned_sessions)]
    return figures.Curve(name, np.array([e.mean for e in found]), np.array([e.std for e in found]), style)


def _ticks(run: Run) -> tuple[list[str], list[str]]:
    """Labels of the sessions: plain, and with the classes seen so far where all chains agree on them."""
    seen: dict[int, set[int]] = {}
    for record in run.trials.values():
        for session, total in enumerate(np.cumsum([len(s.classes) for s in record.sessions])):
            seen.setdefault(session, set()).add(int(total))
    plain = [str(t) for t in range(run.planned_sessions)]
    return plain, [f"{t}\n({min(seen[int(t)])})" if len(seen.get(int(t), ())) == 1 else t for t in plain]


def _chains_behind(run: Run, choices: Sequence[Choice]) -> str:
    counts = sorted({sum(1 for r in run.of(choice.configuration) if r.sessions) for choice in choices})
    whole = all(len(r.sessions) in (0, r.planned_sessions) for c in choices for r in run.of(c.configuration))
    if not whole:
        return f"up to {plural(counts[-1], 'chain')}"
    return plural(counts[0], "chain") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} chains"
