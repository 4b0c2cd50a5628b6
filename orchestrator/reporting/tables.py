"""The tables of a report as plain data.

A `Grid` is a header and rows of numbers and names; accuracies are fractions of one, NaN is a value that is undefined or
not available yet. `method_rows` has the usual layout of papers: one row per method, one column per session, AA, PD.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.reporting.facts import chain_count, choices_of
from orchestrator.reporting.formatting import MISSING
from orchestrator.results.backbones import Entry
from orchestrator.results.clip_sources import ClipSources
from orchestrator.results.measures import CHAIN_METRICS, COST, SESSION_METRICS
from orchestrator.results.mistakes import confident_mistakes, trial_of
from orchestrator.results.objectives import Objective
from orchestrator.results.run import SCORED_SPLITS, Choice, Run
from orchestrator.statistics.estimates import Estimate, Estimates
from orchestrator.statistics.pareto import Candidate


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        header: names of the columns.
        rows: cells: text, integers, and fractions of one as float.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]

    def only(self, column: str, values: Collection[object]) -> "Grid":
        """The rows whose value in a column is one of `values`."""
        index = self.header.index(column)
        return Grid(self.header, tuple(row for row in self.rows if row[index] in values))


def with_protocol(run: Run, grid: Grid) -> Grid:
    """A table of configurations with a last column `protocol`: the protocol hash of each row, or 'unknown'."""
    column = grid.header.index("configuration")
    rows = tuple((*row, run.protocols[run.of(str(row[column]))[0].trial]) for row in grid.rows)
    return Grid((*grid.header, "protocol"), rows)


@dataclass(frozen=True)
class MethodRow:
    """A row of the table of methods: the chosen configuration, default head, test clips.

    Attributes:
        choice: the configuration, chosen on validation clips.
        head: its default head.
        n: number of chains behind AA and PD, as `chain_count` formats it.
        sessions: A_t of each session.
        aa: mean of A_t.
        pd: A_0 - A_T.
    """

    choice: Choice
    head: str
    n: str
    sessions: tuple[Estimate, ...]
    aa: Estimate
    pd: Estimate


def method_rows(run: Run, estimates: Estimates) -> list[MethodRow]:
    """One row per method, and per backbone where the run has several."""
    rows = []
    for choice in choices_of(run):
        name, head = choice.configuration, run.default_head(choice.configuration)
        sessions = tuple(estimates.session(name, head, "test", t)["micro"] for t in range(run.planned_sessions))
        chain = estimates.chain(name, head, "test")
        count = chain_count(run, name, chain["aa"].n)
        rows.append(MethodRow(choice, head, count, sessions, chain["aa"], chain["pd"]))
    return rows


def method_grid(run: Run, estimates: Estimates) -> Grid:
    """`method_rows` with mean, std and n of every value."""
    sessions = range(run.planned_sessions)
    header = [*_header(run), "configuration", "head", "candidates", "provisional", "validation_aa"]
    header += [f"{name}_{part}" for name in (*(f"a{t}" for t in sessions), "aa", "pd") for part in _PARTS]
    header += ["aa_low", "aa_high"]
    rows = []
    for row in method_rows(run, estimates):
        choice = row.choice
        names = _cells(run, choice.entry)
        first = [*names, choice.configuration, row.head, choice.candidates, _yes(choice.provisional)]
        values = [part for value in (*row.sessions, row.aa, row.pd) for part in _mean_std_n(value)]
        rows.append((*first, choice.validation_aa, *values, row.aa.low, row.aa.high))
    return Grid(tuple(header), tuple(rows))


def summary_grid(run: Run, estimates: Estimates) -> Grid:
    """One row per configuration and head: every metric of a chain, over chains."""
    header = ["configuration", *_header(run), "varied", "head", "default_head", "selected"]
    header += ["trials", "complete", "stopped"]
    header += [f"validation_aa_{part}" for part in _PARTS]
    header += [f"{name}_{part}" for name in CHAIN_METRICS for part in _PARTS]
    header += ["aa_low", "aa_high", *(f"{name}_mean" for name in COST)]
    rows = []
    chosen = {run.best(label).configuration for label in run.entries}  # reads every chain of the method
    for configuration in run.configurations():
        first, entry = run.of(configuration)[0], run.entry(configuration)
        for head in run.heads(entry.label):
            test = estimates.chain(configuration, head, "test")
            varied = json.dumps(first.varied, sort_keys=True)
            row: list[object] = [configuration, *_cells(run, entry), varied, head]
            row += [_yes(head == first.default_head), _yes(configuration in chosen), len(run.of(configuration))]
            row += [_yes(run.is_complete(configuration)), run.stopped(configuration)]
            row += _mean_std_n(estimates.chain(configuration, head, "val")["aa"])
            row += [part for name in CHAIN_METRICS for part in _mean_std_n(test[name])]
            rows.append((*row, test["aa"].low, test["aa"].high, *(test[name].mean for name in COST)))
    return Grid(tuple(header), tuple(rows))


def session_grid(run: Run, estimates: Estimates) -> Grid:
    """One row per configuration, head, split and session: accuracies over chains."""
    header = ["configuration", *_header(run), "head", "split", "session"]
    header += [f"{name}_{part}" for name in SESSION_METRICS for part in _PARTS]
    rows = []
    for configuration in run.configurations():
        entry = run.entry(configuration)
        for head in run.heads(entry.label):
            for split in SCORED_SPLITS:
                for t in range(run.planned_sessions):
                    accuracies = estimates.session(configuration, head, split, t)
                    if accuracies["micro"].n:
                        parts = [part for name in SESSION_METRICS for part in _mean_std_n(accuracies[name])]
                        rows.append((configuration, *_cells(run, entry), head, split, t, *parts))
    return Grid(tuple(header), tuple(rows))


def class_grid(run: Run) -> Grid:
    """One row per method and class: its accuracy after each session.

    Chosen configurations, default head, test clips.
    """
    header = (
        *_header(run),
        "configuration",
        "head",
        "label",
        "class",
        *(f"a{t}" for t in range(run.planned_sessions)),
    )
    rows = []
    for choice in choices_of(run):
        names = run.class_names(choice.configuration)
        head = run.default_head(choice.configuration)
        accuracies = run.class_accuracies(choice.configuration, head)
        for label in np.flatnonzero(~np.isnan(accuracies).all(axis=0)):
            key = (*_cells(run, choice.entry), choice.configuration, head, int(label), names[label])
            rows.append((*key, *map(float, accuracies[:, label])))
    return Grid(header, tuple(rows))


def confusion_grid(run: Run) -> Grid:
    """Number of clips by true and predicted class after the last session, summed over chains; without zeros.

    Chosen configurations, default head, test clips.
    """
    header = (*_header(run), "configuration", "head", "label", "class", "predicted", "predicted_class", "clips")
    rows = []
    for choice in choices_of(run):
        names = run.class_names(choice.configuration)
        head = run.default_head(choice.configuration)
        counts = run.confusion(choice.configuration, head, run.planned(choice.configuration) - 1)
        for label, predicted in np.argwhere(counts):
            key = (*_cells(run, choice.entry), choice.configuration, head, int(label), names[label])
            rows.append((*key, int(predicted), names[predicted], int(counts[label, predicted])))
    return Grid(header, tuple(rows))


def mistake_grid(run: Run) -> Grid:
    """One row per confident mistake of each chain after the last session; see `confident_mistakes` and `ClipSources`.

    Chosen configurations, default head, test clips.
    """
    header = (*_header(run), "configuration", "head", "order_seed", "support_seed", "initialisation_seed")
    header += ("clip_id", "label", "class", "predicted", "predicted_class", "confidence", "source", "start_seconds")
    rows = []
    sources = ClipSources(run)
    for choice in choices_of(run):
        names = run.class_names(choice.configuration)
        head = run.default_head(choice.configuration)
        for mistake in confident_mistakes(run, choice.configuration, head):
            seeds = mistake.seeds
            row: list[object] = [*_cells(run, choice.entry), choice.configuration, head]
            row += [seeds.order, seeds.support, seeds.initialisation]
            row += [mistake.clip, mistake.label, names[mistake.label]]
            row += [mistake.prediction, names[mistake.prediction], mistake.confidence]
            rows.append((*row, *sources.of(trial_of(run, choice.configuration, mistake), mistake.clip)))
    return Grid(header, tuple(rows))


def pareto_grid(run: Run, compared: Sequence[Candidate], objectives: Sequence[Objective]) -> Grid:
    """One row per configuration of the Pareto set of its method.

    Args:
        run: the run.
        compared: the complete configurations.
        objectives: the objectives of the search.
    """
    header = [*_header(run), "configuration", "varied"]
    header += [f"{objective.name}_{part}" for objective in objectives for part in _PARTS]
    rows = []
    for candidate in compared:
        if candidate.optimal:
            varied = json.dumps(run.of(candidate.configuration)[0].varied, sort_keys=True)
            parts = [part for value in candidate.values for part in _mean_std_n(value)]
            rows.append((*_cells(run, candidate.entry), candidate.configuration, varied, *parts))
    return Grid(tuple(header), tuple(rows))


_PARTS = ("mean", "std", "n")


def _header(run: Run) -> list[str]:
    return ["method", *["backbone"] * run.has_several_backbones, *["track"] * run.has_transductive]


def _cells(run: Run, entry: Entry) -> list[str]:
    backbone = [entry.backbone or MISSING] if run.has_several_backbones else []
    return [entry.method, *backbone, *([entry.track] if run.has_transductive else [])]


def _mean_std_n(value: Estimate) -> list[object]:
    return [value.mean, value.std, value.n]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
