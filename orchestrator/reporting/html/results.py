"""What the sections of the page are made from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.results.benchmark import Benchmarks
from orchestrator.results.run import Choice, Run
from orchestrator.statistics.estimates import Estimates


@dataclass(frozen=True)
class Results:
    """A run, its estimates, and its methods as plain data.

    Attributes:
        run: the run.
        estimates: estimates of the run.
        choices: the configuration of each method.
        methods: from `plain_methods`.
        audio: bytes that clips of the benchmark may take in the page; 0 for none.
        progress: of a sweep that is running, so that the page is written often; None for a run that is not.
    """

    run: Run
    estimates: Estimates
    choices: list[Choice]
    methods: list[dict[str, Any]]
    audio: int = 0
    progress: Mapping[str, Any] | None = None

    @property
    def heads(self) -> Iterator[dict[str, Any]]:
        """Every head of every method."""
        return (head for method in self.methods for head in method["heads"].values())

    @property
    def any_session(self) -> bool:
        """Whether a chosen configuration has finished a session."""
        return any(self.run.reached(method["configuration"]) for method in self.methods)

    @cached_property
    def benchmarks(self) -> Benchmarks:
        """The benchmarks of the trials."""
        return Benchmarks(self.run)
