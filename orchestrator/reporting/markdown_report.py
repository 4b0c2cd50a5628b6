"""The report of a run as one Markdown document, with its figures beside it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from datasets.utils.errors import EarshotError
from datasets.utils.text import plural
from orchestrator.reporting.markdown import escape, table
from orchestrator.reporting.tables import PaperRow, ceiling
from orchestrator.results.chain_metrics import FORMULAE, MEASURES
from orchestrator.results.objectives import Objective
from orchestrator.results.run import SESSION_METRICS, Choice, Run
from orchestrator.statistics.comparison import compare, contenders, sentence
from orchestrator.statistics.estimates import NOTHING, Estimate, Estimates, mean_std, percent
from orchestrator.statistics.hyperparameter_importance import FEWEST, importances
from orchestrator.statistics.paired_tests import CLAIM
from orchestrator.statistics.pareto import candidates, objectives_of
from orchestrator.statistics.variance_components import split

_SHOWN = 12  # class names per session, before "and 48 more"
_COUNTING = """\
AA, PD, final, forgetting, BWT and cost are computed for chains with all planned sessions only; accuracies
of a session for all chains that finished it. A session that is missing counts nowhere. `n` is the number of
chains behind a value, written 2/3 where one of three trials lacks it. Values are means over chains, std is
the sample standard deviation (ddof 1), `-` stands for a value that is undefined or not there yet. The CSV
files hold fractions of one."""


def document(run: Run, estimates: Estimates, pictures: Mapping[str, str]) -> str:
    """The report.

    Args:
        run: the run.
        estimates: its means.
        pictures: figure -> the file that shows it, beside the document.
    """
    choices = [run.best(method) for method in run.methods]
    parts = [
        f"# Report of {escape(run.name)}",
        "## What ran",
        _what_ran(run),
        *_unfinished(run),
        "## Methods",
        _how_chosen(run, estimates, choices),
        _methods(run, estimates, choices),
        *_ceiling(run),
        *_embed(pictures, {"accuracy": "Accuracy after each session, per method"}),
        *_differences(run, choices),
        "## Heads",
        "Every head of the chosen configurations, on test clips, in percent.",
        _heads(run, estimates, choices),
        *_embed(pictures, {"heads": "Accuracy after each session, per head"}),
        "## All metrics",
        "Of the chosen configurations: test clips, default head, in percent; mean and std over chains.",
        _all_metrics(run, estimates, choices),
        "## Accuracy matrices",
        *_embed(pictures, {name: f"Accuracy matrix, {name[7:]}" for name in pictures if name.startswith("matrix-")}),
        "## Configurations",
        "Default head, in percent; the chosen ones are in bold.",
        _configurations(run, estimates, choices),
        *_hyperparameters(run),
        *_pareto(run, estimates, pictures),
        "## Spread over seeds",
        _spread(run, choices),
        "## Sessions",
        _sessions(run),
        "## How to read it",
        "\n".join(f"- {escape(name)}: {escape(text)}" for name, text in FORMULAE),
        _COUNTING,
    ]
    if not pictures:
        parts.remove("## Accuracy matrices")
    return "\n\n".join(parts) + "\n"


def methods_document(run: Run, rows: Sequence[PaperRow]) -> str:
    """The table of methods alone, in the layout of the field's papers.

    Args:
        run: the run.
        rows: one per method.
    """
    header = ["method", ">n", *(f">{t}" for t in range(run.planned_sessions)), ">AA", ">PD"]
    cells = [
        [
            row.choice.method + ("*" if row.choice.provisional else ""),
            row.n,
            *(percent(value.mean) for value in row.sessions),
            mean_std(row.aa),
            mean_std(row.pd),
        ]
        for row in rows
    ]
    first = next(iter(run.trials.values()))
    told = (
        f"Accuracy (%) on {escape(first.benchmark)} after each session over all classes seen so far; mean over n"
        " chains, of AA and PD with the sample standard deviation. The configuration of each method was chosen by"
        " validation AA."
    )
    stars = (
        ["\\* provisional: no configuration has finished all its seeds."] if any("*" in row[0] for row in cells) else []
    )
    return "\n\n".join([told, table(header, cells), *stars]) + "\n"


def _what_ran(run: Run) -> str:
    records = list(run.trials.values())
    first = records[0]
    states: list[str] = [record.status for record in records]
    told = ["finished", "running", "failed", *(["stopped"] if "stopped" in states else [])]
    counts = ", ".join(f"{states.count(state)} {state}" for state in told)
    seeds = sorted({record.seeds for record in records}, key=lambda s: (s.order, s.support, s.initialisation))
    protocols = list(dict.fromkeys(_settings(record.protocol) for record in records))
    return table(
        ["", ""],
        [
            [
                "benchmark",
                f"{first.benchmark}, {plural(len(first.class_names), 'class').replace('classs', 'classes')}",
            ],
            ["fingerprint of the data", first.benchmark_fingerprint[:16]],
            ["protocol", "; ".join(protocols)],
            ["sessions planned", run.planned_sessions],
            ["seeds (order.support.initialisation)", f"{len(seeds)}: {', '.join(map(str, seeds))}"],
            ["backbone", run.told("backbone")],
            ["front end", run.told("frontend")],
            ["methods", ", ".join(run.methods)],
            ["configurations", len(run.configurations())],
            ["trials", f"{len(records)}: {counts}"],
        ],
    )


def _unfinished(run: Run) -> list[str]:
    """Trials that lack sessions, with the reason where it is known."""
    rows = [list(row) for row in run.unfinished()]
    return ["### Trials that lack something", table(["trial", "status", "sessions", "reason"], rows)] if rows else []


def _how_chosen(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> str:
    text = (
        "Of each method the configuration with the highest validation AA is shown: the mean over its seeds,"
        " default head, `val` clips alone; test accuracy is never looked at to choose, and that of the winner is"
        " reported once. Only configurations of which every seed has finished compete; ties go to the first by name."
    )
    provisional = [c for c in choices if c.provisional]
    if provisional:
        told = ", ".join(f"{escape(c.method)} (first {plural(c.sessions, 'session')})" for c in provisional)
        text += (
            "\n\n**Provisional:** no configuration has finished all its seeds, so the choice is by mean"
            f" validation accuracy over the sessions that all competing configurations have reached: {told}."
        )
    blind = [c.method for c in choices if np.isnan(c.validation_aa)]
    if blind:
        told = ", ".join(map(escape, blind))
        text += f"\n\nWithout validation predictions, the first by name is shown: {told}."
    heads = [run.default_head(choice.configuration) for choice in choices]
    fewest = min(estimates.chain(c.configuration, h, "test")["aa"].n for c, h in zip(choices, heads, strict=True))
    if fewest < CLAIM:
        text += f"\n\nA claim needs at least {CLAIM} draws of the seeds; the least here is {fewest}."
    return text + "\n\nTest clips, default head, in percent; AA with its std (ddof 1) and 95 % t interval."


def _methods(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> str:
    sessions = range(run.planned_sessions)
    header = ["method", "configuration", "head", ">n", *(f">A_{t}" for t in sessions)]
    header += [">AA", ">95 % interval", ">PD", ">forgetting", ">final", ">validation AA"]
    rows = []
    for choice in choices:
        name, head = choice.configuration, run.default_head(choice.configuration)
        whole = estimates.chain(name, head, "test")
        row: list[object] = [choice.method, name, head, run.count(name, whole["aa"].n)]
        row += [_session_cell(run, name, estimates.session(name, head, "test", t)["micro"]) for t in sessions]
        row += [mean_std(whole["aa"]), _interval(whole["aa"])]
        row += [percent(whole[metric].mean) for metric in ("pd", "forgetting", "final")]
        rows.append([*row, percent(estimates.chain(name, head, "val")["aa"].mean)])
    return table(header, rows)


def _ceiling(run: Run) -> list[str]:
    limit = " / ".join(map(percent, ceiling(run)))
    return [f"**Ceiling:** identical clips under several labels allow no more than {limit}."] if limit else []


def _session_cell(run: Run, configuration: str, value: Estimate) -> str:
    """The mean; with n where a chain has not reached the session."""
    short = value.n not in (0, len(run.of(configuration)))
    return percent(value.mean) + (f" (n {run.count(configuration, value.n)})" if short else "")


def _interval(value: Estimate) -> str:
    return f"{percent(value.low)} to {percent(value.high)}" if value.n > 1 else NOTHING


def _differences(run: Run, choices: Sequence[Choice]) -> list[str]:
    """Every method against the one that is best on validation clips, in words."""
    told = [choice for choice in choices if not np.isnan(choice.validation_aa)]
    if len(choices) < 2 or not told:
        return []
    best = max(told, key=lambda choice: round(choice.validation_aa, 12)).method
    measure = MEASURES["aa"]
    try:
        found = compare(contenders([run]), measure, against=best)
    except EarshotError:  # too early, or several protocols in one folder
        return []
    lines = [f"- {escape(sentence(one, measure, len(found)))}" for one in found]
    head = (
        f"On the same seeds, each method against {escape(best)}, which is best on validation clips: paired differences"
        " of AA on test clips with their 95 % intervals; p values with Holm's correction. Others are compared by"
        " `python -m orchestrator.compare`."
    )
    return ["### Differences", head, "\n".join(lines)]


def _heads(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> str:
    last = run.planned_sessions - 1
    header = ["method", "head", ">n", ">AA", ">AA macro", ">PD", ">forgetting", ">BWT"]
    header += [f">{name} A_{last}" if name in SESSION_METRICS[:2] else f">{name}" for name in SESSION_METRICS]
    rows: list[list[object]] = []
    bold: list[tuple[int, int]] = []
    for choice in choices:
        for head in run.heads(choice.method):
            whole = estimates.chain(choice.configuration, head, "test")
            end = estimates.session(choice.configuration, head, "test", last)
            if head == run.default_head(choice.configuration):
                bold.append((len(rows), 1))
            row: list[object] = [choice.method, head, run.count(choice.configuration, whole["aa"].n)]
            row += [mean_std(whole[name]) for name in ("aa", "aa_macro", "pd", "forgetting", "bwt")]
            rows.append([*row, *(percent(end[name].mean) for name in SESSION_METRICS)])
    return f"Base, novel and harmonic after session {last}; the default head is in bold.\n\n" + table(
        header, rows, bold
    )


def _all_metrics(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> str:
    """A row per metric, a column per method."""
    found = [estimates.chain(c.configuration, run.default_head(c.configuration), "test") for c in choices]
    rows = [
        [measure.title, "up" if measure.up else "down", *(mean_std(one[measure.name]) for one in found)]
        for measure in MEASURES.values()
    ]
    return table(["metric", "better", *(f">{choice.method}" for choice in choices)], rows)


def _hyperparameters(run: Run) -> list[str]:
    """Importance of the hyperparameters, of methods with enough configurations."""
    found = {method: importances(run, method) for method in run.methods}
    rows = [[method, key, percent(share)] for method, shares in found.items() for key, share in shares.items()]
    if not rows:
        return []
    told = (
        "Share of what decides over the validation AA (PED-ANOVA, Watanabe et al. 2023): how far the values among the"
        f" best configurations are distributed otherwise than among all. Of methods with at least {FEWEST} complete"
        " configurations."
    )
    return ["### Hyperparameters", told, table(["method", "hyperparameter", ">importance (%)"], rows)]


def _spread(run: Run, choices: Sequence[Choice]) -> str:
    """The variance of AA over the seeds, by source."""
    rows = []
    for choice in choices:
        head = run.default_head(choice.configuration)
        if found := split(run, choice.configuration, head):
            rows += [
                [
                    choice.method,
                    one.name,
                    one.levels or NOTHING,
                    percent(np.sqrt(one.variance)),
                    percent(one.share),
                    "estimate was below 0" if one.clipped else "",
                ]
                for one in found.components
            ]
    if not rows:
        return (
            "What class order, support draw and initialisation add to the std of AA cannot be told: it takes seeds"
            " that are crossed, not such that change together (seeds of a sweep in YAML, as triples)."
        )
    told = (
        "Where the variance of AA over the chains comes from: variance components by fitting constants (analysis of"
        " variance); the interaction is what the seeds do together. Few seeds give rough estimates. Methods whose"
        " seeds change together are left out."
    )
    return told + "\n\n" + table(["method", "source", ">seeds", ">std (points)", ">share (%)", ""], rows)


def _configurations(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> str:
    chosen = {choice.configuration for choice in choices}
    header = [
        "configuration",
        "varied",
        ">n",
        ">validation AA",
        ">AA",
        ">PD",
        ">forgetting",
        ">final",
        ">seconds",
    ]
    header += [">parameters used", ">parameters stored"]
    any_stopped = any(record.status == "stopped" for record in run.trials.values())
    header += [">stopped"] if any_stopped else []
    rows: list[list[object]] = []
    bold: list[tuple[int, int]] = []
    for name in run.configurations():
        head = run.default_head(name)
        whole = estimates.chain(name, head, "test")
        if name in chosen:
            bold.append((len(rows), 0))
        row: list[object] = [name, _settings(run.of(name)[0].varied), run.count(name, whole["aa"].n)]
        row += [mean_std(estimates.chain(name, head, "val")["aa"])]
        row += [mean_std(whole[metric]) for metric in ("aa", "pd", "forgetting", "final")]
        row += [_number(whole["seconds"].mean, ".1f")]
        row += [_number(whole[key].mean, ",.0f") for key in ("parameters_used", "parameters_stored")]
        rows.append([*row, *([run.stopped(name) or NOTHING] if any_stopped else [])])
    return table(header, rows, bold)


def _pareto(run: Run, estimates: Estimates, pictures: Mapping[str, str]) -> list[str]:
    """The Pareto set of each method, where the sweep had several objectives."""
    objectives = objectives_of(run)
    if len(objectives) < 2:
        return []
    rows = [
        [one.method, one.configuration, _settings(run.of(one.configuration)[0].varied), one.values[0].n]
        + [_value(value, objective) for value, objective in zip(one.values, objectives, strict=True)]
        for one in candidates(run, estimates, objectives)
        if one.kept
    ]
    header = ["method", "configuration", "varied", ">n", *(f">{objective.title}" for objective in objectives)]
    wanted = ", ".join(f"{one.title} {'up' if one.up else 'down'}" for one in objectives)
    return [
        "## Pareto set",
        f"The search improved {wanted}. Of each method the configurations that no other is at least as good as in all"
        " of these and better in one: means over seeds, validation clips; of configurations with every seed finished.",
        table(header, rows) if rows else "No configuration has finished all its seeds.",
        *_embed(pictures, {"pareto": "Configurations by the first two objectives"}),
    ]


def _value(value: Estimate, objective: Objective) -> str:
    return mean_std(value) if objective.share else _number(value.mean, ",.0f")


def _number(value: float, form: str) -> str:
    return NOTHING if np.isnan(value) else format(value, form)


def _sessions(run: Run) -> str:
    orders = {tuple(s.classes for s in record.sessions): record for record in run.trials.values() if record.sessions}
    if not orders:
        return "No session is finished yet."
    longest = max(len(order) for order in orders)
    order, record = next((o, r) for o, r in orders.items() if len(o) == longest)
    rows = []
    for index, labels in enumerate(order):
        names = [record.class_names[label] for label in labels]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        rows.append([index, len(names), ", ".join(names[:_SHOWN]) + more])
    prefixes = {o for o in orders if not any(o != p and p[: len(o)] == o for p in orders)}
    several = f" (the order of {escape(record.trial)}; the run has {len(prefixes)} orders)" if len(prefixes) > 1 else ""
    return f"The classes that each session brought{several}.\n\n" + table([">session", ">classes", "names"], rows)


def _settings(values: dict[str, Any]) -> str:
    """'way 5, shot 5'; settings without a value are left out."""
    shown = (f"{key} {v if isinstance(v, str) else json.dumps(v)}" for key, v in values.items() if v is not None)
    return ", ".join(shown) or NOTHING


def _embed(pictures: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    shown = [(title, pictures[name]) for name, title in wanted.items() if name in pictures]
    return [f"{'' if file.endswith('.pdf') else '!'}[{escape(title)}]({file})" for title, file in shown]
