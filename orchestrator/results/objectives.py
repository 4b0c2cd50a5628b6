"""What a search improves: numbers about a chain, from validation clips and parameter counts alone.

Test clips are never looked at. A number exists in two places that agree: in the result that a trial reports to Tune
(`Objective.key`, trainables/trial.py), and in the table of a run's chains (`Objective.column`, rows of the default
head and the `val` split).
"""

from dataclasses import dataclass
from typing import Literal

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
