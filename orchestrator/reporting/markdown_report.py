"""The report of a run as one Markdown document that embeds the figures beside it."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from datasets.utils.errors import EarshotError
from orchestrator.reporting.facts import (
    by_track,
    chain_count,
    choices_of,
    entry_cells,
    entry_header,
    formulae,
    incomplete_trials,
    name_with_track,
    protocol_line,
    what_ran,
)
from orchestrator.reporting.formatting import MISSING, interval, mean_std, number, percent, settings
from orchestrator.reporting.markdown import escape, table
from orchestrator.reporting.sentences import (
    APART,
    DIFFERENCES,
    HOW_COUNTED,
    NO_SPREAD,
    PROVISIONAL_MARK,
    SPREAD,
    methods_caption,
    notes,
    sentence,
    verdict,
)
from orchestrator.reporting.tables import MethodRow
from orchestrator.results.measures import ACCURACIES, MEASURES
from orchestrator.results.objectives import Objective
from orchestrator.results.run import Choice, Run
from orchestrator.statistics.comparison import compare, compared_methods, count_tested
from orchestrator.statistics.estimates import Estimate, Estimates
from orchestrator.statistics.hyperparameter_importance import MIN_CONFIGURATIONS, importances
from orchestrator.statistics.pareto import candidates, objectives_of
from orchestrator.statistics.variance_components import split_variance
from trainables.records import TrialRecord

_MOST_NAMES = 12  # class names per session, before "and 48 more"


def markdown_report(run: Run, estimates: Estimates, figures: Mapping[str, str]) -> str:
    """The report.

    Args:
        run: the run.
        estimates: estimates of the run.
        figures: name of the figure -> its file, beside the document.
    """
    choices = choices_of(run)
    matrices = {name: f"Accuracy matrix, {name[7:]}" for name in figures if name.startswith("matrix-")}
    parts = [
        f"# Report of {escape(run.name)}",
        "## What ran",
        table(["", ""], what_ran(run)),
        *_incomplete(run),
        "## Methods",
        *map(escape, notes(run, estimates, choices)),
        "Methods in descending order of validation AA. Test clips, default head, in percent; AA with its std (ddof 1)"
        " and 95 % t interval, cut to [0, 100].",
        _methods(run, estimates, choices),
        *_embed(figures, {"accuracy": "Accuracy after each session, per method"}),
        *_differences(run, choices),
        "## Heads",
        "Every head of the chosen configurations, on test clips, in percent.",
        _heads(run, estimates, choices),
        *_embed(figures, {"heads": "Accuracy after each session, per head"}),
        "## All metrics",
        "Chosen configurations, test clips, default head, in percent; mean and std over chains.",
        _all_metrics(run, estimates, choices),
        *_unknown(run, estimates, choices),
        *_recency(run, estimates, choices),
        *(["## Accuracy matrices", *_embed(figures, matrices)] if matrices else []),
        "## Configurations",
        "Default head, in percent; the chosen configurations are in bold.",
        _configurations(run, estimates, choices),
        *_hyperparameters(run),
        *_pareto(run, estimates, figures),
        "## Spread over seeds",
        _spread(run, choices),
        "## Sessions",
        _sessions(run),
        "## Definitions",
        "\n".join(f"- {escape(name)}: {escape(text)}" for name, text in formulae(run)),
        escape(HOW_COUNTED),
    ]
    return "\n\n".join(parts) + "\n"


def methods_markdown(run: Run, rows: Sequence[MethodRow]) -> str:
    """The table of methods alone, in the usual layout of papers.

    Args:
        run: the run.
        rows: one per method.
    """
    header = [*entry_header(run), ">n", *(f">{t}" for t in range(run.planned_sessions)), ">AA", ">PD"]
    cells = [
        [
            *_marked(entry_cells(run, row.choice.entry), provisional=row.choice.provisional),
            row.n,
            *(percent(value.mean) for value in row.sessions),
            mean_std(row.aa),
            mean_std(row.pd),
        ]
        for row in rows
    ]
    mark = [escape(PROVISIONAL_MARK) + "."] if any(row.choice.provisional for row in rows) else []
    apart = [escape(APART)] if run.has_transductive else []
    return "\n\n".join([escape(methods_caption(run, "n chains")), table(header, cells), *mark, *apart]) + "\n"


def _marked(cells: list[str], *, provisional: bool) -> list[str]:
    """The cells that name a row, with a star behind the method where its choice is provisional."""
    return [cells[0] + "*" * provisional, *cells[1:]]


def _results(
    run: Run, header: Sequence[str], rows: Sequence[Sequence[object]], bold: Sequence[tuple[int, int]] = ()
) -> str:
    """A table of results, with the protocol hash under it."""
    return f"{table(header, rows, bold)}\n\n{sentence(protocol_line(run))}"


def _incomplete(run: Run) -> list[str]:
    rows = [[trial.trial, trial.status, trial.sessions, trial.reason] for trial in incomplete_trials(run)]
    return ["### Incomplete trials", table(["trial", "status", "sessions", "reason"], rows)] if rows else []


def _methods(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> str:
    sessions = range(run.planned_sessions)
    header = [*entry_header(run), "configuration", "head", ">n", *(f">A_{t}" for t in sessions)]
    header += [">AA", ">95 % interval", ">PD", ">forgetting", ">final", ">validation AA"]
    rows = []
    for choice in choices:
        name, head = choice.configuration, run.default_head(choice.configuration)
        chain = estimates.chain(name, head, "test")
        row: list[object] = [*entry_cells(run, choice.entry), name, head, chain_count(run, name, chain["aa"].n)]
        row += [_session_cell(run, name, estimates.session(name, head, "test", t)["micro"]) for t in sessions]
        row += [mean_std(chain["aa"]), interval(chain["aa"].low, chain["aa"].high)]
        row += [percent(chain[metric].mean) for metric in ("pd", "forgetting", "final")]
        rows.append([*row, percent(estimates.chain(name, head, "val")["aa"].mean)])
    return _results(run, header, rows)


def _session_cell(run: Run, configuration: str, value: Estimate) -> str:
    """The mean; with n if a chain has not finished the session."""
    partial = value.n not in (0, len(run.of(configuration)))
    return percent(value.mean) + (f" (n {chain_count(run, configuration, value.n)})" if partial else "")


def _differences(run: Run, choices: Sequence[Choice]) -> list[str]:
    """Each method against the best one of its track on validation clips."""
    parts = [part for of_track in by_track(choices) for part in _differences_within(run, of_track)]
    return ["### Differences", *parts] if parts else []


def _differences_within(run: Run, choices: Sequence[Choice]) -> list[str]:
    validated = [choice for choice in choices if not np.isnan(choice.validation_aa)]
    if len(choices) < 2 or not validated:
        return []
    best = max(validated, key=lambda choice: round(choice.validation_aa, 12)).label
    measure = MEASURES["aa"]
    try:
        compared = [one for one in compared_methods([run], mixed=True) if one.choice in choices]
        comparisons = compare(compared, measure, against=best)
    except EarshotError:  # no seed in common yet
        return []
    lines = [f"- {escape(verdict(comparison, measure, count_tested(comparisons)))}" for comparison in comparisons]
    return [escape(DIFFERENCES.format(best=best)), "\n".join(lines)]


def _heads(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> str:
    last = run.planned_sessions - 1
    header = [*entry_header(run), "head", ">n", ">AA", ">AA macro", ">PD", ">forgetting", ">BWT"]
    header += [f">{name} A_{last}" if name in ACCURACIES[:2] else f">{name}" for name in ACCURACIES]
    rows: list[list[object]] = []
    bold: list[tuple[int, int]] = []
    for choice in choices:
        for head in run.heads(choice.label):
            chain = estimates.chain(choice.configuration, head, "test")
            session = estimates.session(choice.configuration, head, "test", last)
            if head == run.default_head(choice.configuration):
                bold.append((len(rows), len(entry_header(run))))
            names = entry_cells(run, choice.entry)
            row: list[object] = [*names, head, chain_count(run, choice.configuration, chain["aa"].n)]
            row += [mean_std(chain[name]) for name in ("aa", "aa_macro", "pd", "forgetting", "bwt")]
            rows.append([*row, *(percent(session[name].mean) for name in ACCURACIES)])
    text = f"Base, novel and harmonic accuracy after session {last}; the default head is in bold."
    return f"{text}\n\n{_results(run, header, rows, bold)}"


def _all_metrics(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> str:
    """One row per metric, one column per method."""
    chains = [estimates.chain(c.configuration, run.default_head(c.configuration), "test") for c in choices]
    rows = [
        [measure.title, "up" if measure.up else "down", *(mean_std(chain[measure.name]) for chain in chains)]
        for measure in MEASURES.values()
    ]
    return _results(run, ["metric", "better", *(f">{name_with_track(choice.entry)}" for choice in choices)], rows)


def _unknown(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> list[str]:
    """AUROC of the unknown score after each session; nothing for runs of earlier versions."""
    sessions = range(run.planned_sessions - 1)
    rows: list[list[object]] = []
    for choice in choices:
        name, head = choice.configuration, run.default_head(choice.configuration)
        values = [estimates.session(name, head, "test", t)["unknown_auroc"] for t in sessions]
        if any(value.n for value in values):
            mean = mean_std(estimates.chain(name, head, "test")["unknown_auroc"])
            rows.append([*entry_cells(run, choice.entry), head, *(percent(value.mean) for value in values), mean])
    if not rows:
        return []
    text = (
        "AUROC of the unknown score after each session, in percent: test clips of the known classes against those"
        " of the classes that come next; 50 is chance. Default head; the mean over sessions with its std over chains."
    )
    return [
        "## Classes still to come",
        text,
        _results(run, [*entry_header(run), "head", *(f">session {t}" for t in sessions), ">mean"], rows),
    ]


def _recency(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> list[str]:
    """Share of the errors that go to the newest classes, after the last session; nothing without later sessions."""
    rows: list[list[object]] = []
    for choice in choices:
        name, head = choice.configuration, run.default_head(choice.configuration)
        last = estimates.session(name, head, "test", run.planned(name) - 1)
        if last["recency"].n:
            count = chain_count(run, name, last["recency"].n)
            values = [mean_std(last["recency"]), percent(last["recency_expected"].mean)]
            rows.append([*entry_cells(run, choice.entry), head, count, *values])
    if not rows:
        return []
    text = (
        "Errors after the last session that go to the newest classes, in percent of all errors, and what would be"
        " expected if errors had no preference. Default head, test clips; mean and std over chains."
    )
    header = [*entry_header(run), "head", ">n", ">to the newest classes", ">expected"]
    return ["## Recency bias", text, _results(run, header, rows)]


def _hyperparameters(run: Run) -> list[str]:
    """Importance of the hyperparameters, for methods with enough configurations."""
    rows = [
        [*entry_cells(run, entry), key, percent(share)]
        for label, entry in run.entries.items()
        for key, share in importances(run, label).items()
    ]
    if not rows:
        return []
    text = (
        "Importance for the validation AA (PED-ANOVA, Watanabe et al. 2023): how much the distribution of the values"
        " among the best configurations differs from that among all configurations. For methods with at least"
        f" {MIN_CONFIGURATIONS} complete configurations."
    )
    return ["### Hyperparameters", text, _results(run, [*entry_header(run), "hyperparameter", ">importance (%)"], rows)]


def _spread(run: Run, choices: Sequence[Choice]) -> str:
    """Variance components of AA over the seeds."""
    rows = []
    for choice in choices:
        variance = split_variance(run, choice.configuration, run.default_head(choice.configuration))
        for part in variance.components if variance else ():
            std, clipped = percent(np.sqrt(part.variance)), "estimate was negative" if part.clipped else ""
            values = [part.name, part.levels or MISSING, std, percent(part.share), clipped]
            rows.append([*entry_cells(run, choice.entry), *values])
    if not rows:
        return escape(NO_SPREAD)
    header = [*entry_header(run), "source", ">seeds", ">std (points)", ">share (%)", ""]
    return escape(SPREAD) + "\n\n" + _results(run, header, rows)


def _configurations(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> str:
    chosen = {choice.configuration for choice in choices}
    header = ["configuration", *entry_header(run)[1:], "varied", ">n", ">validation AA"]
    header += [">AA", ">PD", ">forgetting", ">final", ">seconds"]
    header += [">parameters used", ">parameters stored"]
    any_stopped = any(record.status == "stopped" for record in run.trials.values())
    header += [">stopped"] if any_stopped else []
    rows: list[list[object]] = []
    bold: list[tuple[int, int]] = []
    for name in run.configurations():
        head = run.default_head(name)
        chain = estimates.chain(name, head, "test")
        if name in chosen:
            bold.append((len(rows), 0))
        row: list[object] = [name, *entry_cells(run, run.entry(name))[1:]]
        row += [settings(run.of(name)[0].varied), chain_count(run, name, chain["aa"].n)]
        row += [mean_std(estimates.chain(name, head, "val")["aa"])]
        row += [mean_std(chain[metric]) for metric in ("aa", "pd", "forgetting", "final")]
        row += [number(chain["seconds"].mean, ".1f")]
        row += [number(chain[key].mean, ",.0f") for key in ("parameters_used", "parameters_stored")]
        rows.append([*row, *([run.stopped(name) or MISSING] if any_stopped else [])])
    return _results(run, header, rows, bold)


def _pareto(run: Run, estimates: Estimates, figures: Mapping[str, str]) -> list[str]:
    """The Pareto set of each method, if the sweep had several objectives."""
    objectives = objectives_of(run)
    if len(objectives) < 2:
        return []
    rows = [
        [*entry_cells(run, c.entry), c.configuration, settings(run.of(c.configuration)[0].varied), c.values[0].n]
        + [_value(value, objective) for value, objective in zip(c.values, objectives, strict=True)]
        for c in candidates(run, estimates, objectives)
        if c.optimal
    ]
    header = [*entry_header(run), "configuration", "varied", ">n", *(f">{objective.title}" for objective in objectives)]
    directions = ", ".join(f"{objective.title} {'up' if objective.up else 'down'}" for objective in objectives)
    return [
        "## Pareto set",
        f"Objectives of the search: {directions}. The non-dominated complete configurations of each method: no other"
        " one is at least as good in all objectives and better in one. Means over seeds, validation clips.",
        _results(run, header, rows) if rows else "No configuration has finished all its seeds.",
        *_embed(figures, {"pareto": "Configurations by the first two objectives"}),
    ]


def _value(value: Estimate, objective: Objective) -> str:
    return mean_std(value) if objective.share else number(value.mean, ",.0f")


def _sessions(run: Run) -> str:
    """The classes of each session; of every protocol, if there are several."""
    if not run.has_several_protocols:
        return _sessions_of(run.trials.values())
    parts = []
    for protocol in run.protocol_hashes:
        records = [record for record in run.trials.values() if run.protocols[record.trial] == protocol]
        parts += [f"### Protocol {protocol}", _sessions_of(records)]
    return "\n\n".join(parts)


def _sessions_of(records: Collection[TrialRecord]) -> str:
    """The classes of each session, in the order of a chain with the most sessions."""
    orders = {tuple((s.classes, s.left) for s in record.sessions): record for record in records if record.sessions}
    if not orders:
        return "No session is finished yet."
    longest = max(len(order) for order in orders)
    order, record = next((o, r) for o, r in orders.items() if len(o) == longest)
    rows = []
    for index, (labels, left) in enumerate(order):
        names = [_names(record, labels)] if labels else []
        names += [f"leave: {_names(record, left)}"] if left else []
        rows.append([index, len(labels), "; ".join(names)])
    different = [o for o in orders if not any(o != other and other[: len(o)] == o for other in orders)]
    several = f" in {escape(record.trial)}; the run has {len(different)} orders" if len(different) > 1 else ""
    leaving = ", and those that leave" if any(left for labels, left in order) else ""
    return f"The classes introduced in each session{leaving}{several}.\n\n" + table(
        [">session", ">classes", "names"], rows
    )


def _names(record: TrialRecord, labels: Sequence[int]) -> str:
    more = f" and {len(labels) - _MOST_NAMES} more" if len(labels) > _MOST_NAMES else ""
    return ", ".join(record.class_names[label] for label in labels[:_MOST_NAMES]) + more


def _embed(figures: Mapping[str, str], titles: Mapping[str, str]) -> list[str]:
    files = [(title, figures[name]) for name, title in titles.items() if name in figures]
    return [f"{'' if file.endswith('.pdf') else '!'}[{escape(title)}]({file})" for title, file in files]
