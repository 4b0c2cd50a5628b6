"""Pareto sets of a run with several objectives: the non-dominated configurations of each method."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from orchestrator.results.backbones import Entry
from orchestrator.results.objectives import DEFAULT, OBJECTIVES, Objective
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimate, Estimates


@dataclass(frozen=True)
class Candidate:
    """A complete configuration.

    Attributes:
        entry: its method and backbone.
        configuration: name of the configuration.
        values: one estimate per objective, over seeds, on validation clips.
        optimal: whether it is in the Pareto set of its method and backbone, by the means.
    """

    entry: Entry
    configuration: str
    values: tuple[Estimate, ...]
    optimal: bool


def objectives_of(run: Run) -> tuple[Objective, ...]:
    """The objectives of the sweep of a run, from its sweep.json.

    Raises:
        EarshotError: sweep.json names an unknown objective.
    """
    where = run.sweep.get("where")
    names = where.get("objective") if isinstance(where, dict) else None
    if names is None:
        return DEFAULT
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and n in OBJECTIVES for n in names):
        raise EarshotError(
            f"{run.path / 'sweep.json'}: where.objective: expected some of {', '.join(OBJECTIVES)}, found "
            f"{printable(str(names))[:120]}; run the sweep again"
        )
    return tuple(OBJECTIVES[name] for name in names)


def candidates(run: Run, estimates: Estimates, objectives: Sequence[Objective]) -> list[Candidate]:
    """The complete configurations, grouped by method and backbone and sorted by the first objective, the best first.

    Args:
        run: the run.
        estimates: estimates of the run.
        objectives: the objectives to compare.
    """
    compared = []
    for label, entry in run.entries.items():
        names = [name for name in run.configurations(label) if run.is_complete(name)]
        values = [
            tuple(estimates.chain(name, run.default_head(name), "val")[objective.column] for objective in objectives)
            for name in names
        ]
        means = np.array([[value.mean for value in row] for row in values])
        optimal = non_dominated(means, objectives)
        rows = [Candidate(entry, *row) for row in zip(names, values, map(bool, optimal), strict=True)]
        sign = -1 if objectives[0].up else 1
        rows.sort(key=lambda row: (np.isnan(row.values[0].mean), sign * row.values[0].mean, row.configuration))
        compared += rows
    return compared


def non_dominated(values: ArrayLike, objectives: Sequence[Objective]) -> NDArray[np.bool_]:
    """Mask of the Pareto set: points than which no other is at least as good in all objectives and better in one.

    Equal points are all in the set. Values are rounded to twelve digits, so that the same accuracies summed in another
    order of seeds tie.

    Args:
        values: float [points, objectives]; a row with a NaN is not in the set and dominates no other.
        objectives: one per column.

    Returns:
        bool [points].
    """
    signs = np.array([1.0 if objective.up else -1.0 for objective in objectives])
    gains = np.round(np.asarray(values, dtype=float).reshape(-1, len(signs)), 12) * signs
    defined = ~np.isnan(gains).any(axis=1)
    optimal = defined.copy()
    for index in np.flatnonzero(defined):
        at_least = (gains[defined] >= gains[index]).all(axis=1)
        better = (gains[defined] > gains[index]).any(axis=1)
        optimal[index] = not (at_least & better).any()
    return optimal
