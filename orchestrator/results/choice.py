"""The configuration that represents a method, chosen on validation clips."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.results.backbones import Entry
from trainables import metrics
from trainables.records import Track

if TYPE_CHECKING:
    from orchestrator.results.run import Run


@dataclass(frozen=True)
class Choice:
    """The selected configuration of a method, on one backbone where a run has several.

    Attributes:
        entry: the method and its backbone.
        configuration: name of the selected configuration.
        validation_aa: mean over seeds of the validation AA of the default head; NaN without validation predictions.
        n: number of seeds in that mean.
        candidates: number of configurations that were compared.
        provisional: whether no configuration of the method is complete, so that those with any finished session were
            compared, by the mean of A_t over the first `sessions` sessions.
        sessions: number of sessions that were compared.
    """

    entry: Entry
    configuration: str
    validation_aa: float
    n: int
    candidates: int
    provisional: bool
    sessions: int

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.entry.method

    @property
    def backbone(self) -> str:
        """Name of the backbone; empty where the run has one, or the method uses none."""
        return self.entry.backbone

    @property
    def track(self) -> Track:
        """Of the method."""
        return self.entry.track

    @property
    def label(self) -> str:
        """Name of the method, with that of the backbone where the run has several."""
        return self.entry.label


def rank(choice: Choice) -> tuple[str, Track, int, bool, float, str]:
    """Sorts the choices of a run, in all of its outputs: by validation AA, ties by name.

    Each protocol is apart, and in it the inductive methods come first. Those with more sessions come before others: the
    AA over fewer sessions is that of the easier ones.
    """
    unknown = choice.n == 0
    value = 0.0 if unknown else -round(choice.validation_aa, 12)
    return choice.entry.protocol, choice.track, -choice.sessions, unknown, value, choice.label


def select(run: "Run", label: str) -> Choice:
    """Selects a configuration by the mean over seeds of the validation AA of the default head; never by test clips.

    Only complete configurations are compared. If none is complete, all with a finished session are, over the sessions
    that all of them have finished: a chain that stopped before its hard sessions gains no advantage, and chains that
    were stopped early count, so that a configuration is not represented by its better seeds alone. Ties, and a run
    without validation clips: the first by name.

    Raises:
        KeyError: the run has no such entry.
    """
    entry, names = run.entries[label], run.configurations(label)
    complete = [name for name in names if run.is_complete(name)]
    started = [name for name in names if run.reached(name)]
    candidates = complete or started or list(names)
    depth = run.planned(names[0]) if complete else min((_comparable(run, name) for name in started), default=0)
    values = {name: validation_values(run, name, depth) for name in candidates}
    means = {name: float(np.mean(v)) if v else float("nan") for name, v in values.items()}
    # Twelve digits: the same accuracies summed in another order of seeds must tie.
    selected = min(candidates, key=lambda name: (np.isnan(means[name]), -round(means[name], 12), name))
    return Choice(entry, selected, means[selected], len(values[selected]), len(candidates), not complete, depth)


def validation_values(run: "Run", configuration: str, depth: int) -> list[float]:
    """Validation AA of the default head over the first `depth` sessions, for each chain that has them."""
    chains = (run.scores.get((r.trial, r.default_head, "val")) for r in run.of(configuration))
    values = (metrics.average_accuracy(chain.micro[:depth]) for chain in chains if chain is not None)
    return [value for value in values if not np.isnan(value)]


def _comparable(run: "Run", configuration: str) -> int:
    """Sessions that the longest chain of a configuration and each of its chains that were stopped early have."""
    stopped = [len(r.sessions) for r in run.of(configuration) if r.status == "stopped" and r.sessions]
    return min([run.reached(configuration), *stopped])
