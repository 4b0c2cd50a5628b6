"""The configuration that represents a method, chosen on validation clips."""

from dataclasses import dataclass

from orchestrator.results.backbones import Entry
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
