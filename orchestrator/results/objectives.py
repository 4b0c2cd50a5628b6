"""Objectives of a search: metrics of a chain on validation clips, and parameter counts; imports nothing heavy.

Test clips are never used. An objective is stored in two places that agree: in the result that a trial reports to Tune
(`Objective.key`, trainables/trial.py), and in the table of a run's chains (`Objective.column`, rows of the default
head and the `val` split).
"""

from dataclasses import dataclass
from typing import Literal

ObjectiveName = Literal["aa", "final", "pd", "forgetting", "parameters"]


@dataclass(frozen=True)
class Objective:
    """A number that a search optimises.

    Attributes:
        name: on the command line.
        key: in the result of a trial.
        column: of `orchestrator.results.run.Run.chains`.
        up: whether higher is better.
        share: whether it is a fraction of one, shown in percent; otherwise a count.
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
        """The direction as Optuna names it."""
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
