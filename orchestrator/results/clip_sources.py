"""Where the clips of a run come from: recording and start, from its benchmark if that is on this machine."""

from datasets.utils.errors import EarshotError
from orchestrator.results.benchmark import Benchmarks
from orchestrator.results.run import Run

UNKNOWN = ("", float("nan"))


class ClipSources:
    """Where clips come from, by trial: the trials of merged runs may have been trained on several benchmarks.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self._benchmarks = Benchmarks(run)

    def of(self, trial: str, clip: str) -> tuple[str, float]:
        """The recording in which a clip starts, and its start in the stream that it was cut from, in seconds.

        `UNKNOWN` where the benchmark of the trial is not on this machine, was made again otherwise, or is damaged: a
        report is written all the same.
        """
        try:
            benchmark = self._benchmarks.of(trial)
            position = benchmark.position(clip)
        except (EarshotError, OSError):
            return UNKNOWN
        if position is None:
            return UNKNOWN
        shards = benchmark.shards
        return shards.sources[position], float(shards.starts[position] / shards.manifest.sample_rate)
