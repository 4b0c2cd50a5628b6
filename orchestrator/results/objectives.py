"""What a search improves: numbers about a chain, from validation clips and parameter counts alone.

Test clips are never looked at. A number exists in two places that agree: in the result that a trial reports to Tune
(`Objective.key`, trainables/trial.py), and in the table of a run's chains (`Objective.column`, rows of the default
head and the `val` split).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

ObjectiveName = Literal["aa", "final", "pd", "forgetting", "parameters"]


@dataclass(frozen=True)
class Objective:
    """One number that a search improves.

    Attributes:
        name: on the command line.
        key: in the result of a trial.
        column: of `orchestrator.results.run.Run.chains`.
        up: whether more is better.
        share: whether it is a fraction of one, shown in percent; else a count.
        title: in tables and figures.
    """

    name: ObjectiveName
    key: str
    column: str
    up: bool
    share: bool
    title: str

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """As Optuna calls it."""
        return "maximize" if self.up else "minimize"


_ALL = (
    Objective("aa", "validation_accuracy_mean", "aa", up=True, share=True, title="validation AA"),
    Objective("final", "validation/final", "final", up=True, share=True, title="validation A_T"),
    Objective("pd", "validation/pd", "pd", up=False, share=True, title="validation PD"),
    Objective("forgetting", "validation/forgetting", "forgetting", up=False, share=True, title="validation forgetting"),
    Objective("parameters", "parameters_used", "parameters_used", up=False, share=False, title="parameters used"),
)
OBJECTIVES: dict[str, Objective] = {objective.name: objective for objective in _ALL}
DEFAULT = (OBJECTIVES["aa"],)


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
