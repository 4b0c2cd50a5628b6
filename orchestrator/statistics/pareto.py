"""The Pareto set of a run that had several objectives: what no other configuration of a method beats in all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from orchestrator.results.objectives import DEFAULT, OBJECTIVES, Objective
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimate, Estimates


@dataclass(frozen=True)
class Candidate:
    """A configuration of which every seed has finished.

    Attributes:
        method: its method.
        configuration: its name.
        values: over seeds, on validation clips; one per objective.
        kept: whether it is in the Pareto set of its method, by the means.
    """

    method: str
    configuration: str
    values: tuple[Estimate, ...]
    kept: bool


def objectives_of(run: Run) -> tuple[Objective, ...]:
    """What the sweep of a run improved, from its sweep.json.

    Raises:
        EarshotError: it names an objective that there is not.
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
    """The complete configurations by method, the best by the first objective first.

    Args:
        run: the run.
        estimates: its means.
        objectives: what is compared.
    """
    found = []
    for method in run.methods:
        names = [name for name in run.configurations(method) if run.is_complete(name)]
        values = [
            tuple(estimates.chain(name, run.default_head(name), "val")[one.column] for one in objectives)
            for name in names
        ]
        means = np.array([[value.mean for value in row] for row in values])
        kept = non_dominated(means, objectives)
        rows = [Candidate(method, *row) for row in zip(names, values, map(bool, kept), strict=True)]
        sign = -1 if objectives[0].up else 1
        rows.sort(key=lambda row: (np.isnan(row.values[0].mean), sign * row.values[0].mean, row.configuration))
        found += rows
    return found


def non_dominated(values: ArrayLike, objectives: Sequence[Objective]) -> NDArray[np.bool_]:
    """Which points form the Pareto set: no other is at least as good in all objectives and better in one.

    Equal points are all in it. Values are compared to twelve digits: the same accuracies summed in another order of
    seeds must tie.

    Args:
        values: float [points, objectives]; a row with a NaN is not in the set and dominates nothing.
        objectives: one per column.
    """
    signs = np.array([1.0 if objective.up else -1.0 for objective in objectives])
    gains = np.round(np.asarray(values, dtype=float).reshape(-1, len(signs)), 12) * signs
    whole = ~np.isnan(gains).any(axis=1)
    kept = whole.copy()
    for index in np.flatnonzero(whole):
        at_least = (gains[whole] >= gains[index]).all(axis=1)
        better = (gains[whole] > gains[index]).any(axis=1)
        kept[index] = not (at_least & better).any()
    return kept
