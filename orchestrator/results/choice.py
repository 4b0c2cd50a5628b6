"""The configuration that represents a method, chosen on validation clips."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.results.backbones import Entry
from trainables import metrics
from trainables.records import Track


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


@dataclass(frozen=True)
class Candidate:
    """A configuration, with what is known of its chains.

    Attributes:
        name: METHOD-CONFIG.
        planned: sessions of a chain.
        reached: sessions of its longest chain.
        complete: whether all its chains have finished all sessions.
        stopped: number of finished sessions of each chain that was stopped early and has some.
        accuracies: A_t on validation clips, by the default head, of each chain that has them.
    """

    name: str
    planned: int
    reached: int
    complete: bool
    stopped: tuple[int, ...]
    accuracies: tuple[tuple[float, ...], ...]

    @property
    def comparable(self) -> int:
        """Sessions that the longest chain and each of the chains that were stopped early have."""
        return min([self.reached, *self.stopped])

    def values(self, depth: int) -> list[float]:
        """Validation AA over the first `depth` sessions, for each chain that has them."""
        values = (metrics.average_accuracy(chain[:depth]) for chain in self.accuracies)
        return [value for value in values if not np.isnan(value)]


def select(entry: Entry, candidates: Sequence[Candidate]) -> Choice:
    """Selects a configuration by the mean over seeds of the validation AA of the default head; never by test clips.

    Only complete configurations are compared. If none is complete, all with a finished session are, over the sessions
    that all of them have finished: a chain that stopped before its hard sessions gains no advantage, and chains that
    were stopped early count, so that a configuration is not represented by its better seeds alone. Ties, and a run
    without validation clips: the first by name.
    """
    complete = [one for one in candidates if one.complete]
    started = [one for one in candidates if one.reached]
    depth = candidates[0].planned if complete else min((one.comparable for one in started), default=0)
    compared = complete or started or list(candidates)
    values = {one.name: one.values(depth) for one in compared}
    means = {name: float(np.mean(v)) if v else float("nan") for name, v in values.items()}
    # Twelve digits: the same accuracies summed in another order of seeds must tie.
    name = min(values, key=lambda name: (np.isnan(means[name]), -round(means[name], 12), name))
    return Choice(entry, name, means[name], len(values[name]), len(compared), not complete, depth)
