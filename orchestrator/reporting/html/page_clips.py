"""Clips of the benchmark inside the page, within a budget of bytes."""

import base64
from typing import Any

from datasets.audio.web_audio import encode_for_web
from datasets.utils.errors import EarshotError
from datasets.utils.humanize import format_size
from orchestrator.results.benchmark import Benchmarks, ReadBenchmark
from orchestrator.results.run import Run


class PageClips:
    """Clips that a page contains; each once, however many rows refer to it.

    Args:
        run: the run.
        benchmarks: of its trials.
        budget: bytes that their audio may take in the page; with 0 no benchmark is opened.

    Attributes:
        clips: name of the clip, its audio as a data URI if it is in the page, and its sample rate (Hz).
        used: bytes of the audio.
    """

    def __init__(self, run: Run, benchmarks: Benchmarks, budget: int) -> None:
        self.clips: list[dict[str, Any]] = []
        self.used = 0
        self._run = run
        self._budget = budget
        self._error: str | None = None
        self._first_size = 0  # bytes of the first clip
        self._indices: dict[tuple[str, str], int] = {}
        self._tried: set[int] = set()  # indices of clips whose audio was added, did not fit or could not be read
        self._benchmarks = benchmarks

    @property
    def reason(self) -> str | None:
        """Why there is no audio of a benchmark, or none at all; None if all could be read and some is in the page."""
        if self._error is None and self._first_size > 0 == self.used:
            return f"the first clip needs {format_size(self._first_size)}, more than --audio"
        return self._error

    def add(self, trial: str, clip: str) -> int:
        """The index of a clip that a trial has scored."""
        benchmark = self._benchmark(trial)
        return self._add(trial, clip, None if benchmark is None else benchmark.position(clip))

    def add_support(self, trial: str, label: int) -> int | None:
        """The index of the first clip that a trial has learned a class from; None if it is unknown."""
        benchmark = self._benchmark(trial)
        if benchmark is None:
            return None
        try:
            support = benchmark.support(self._run.trials[trial], label)
        except EarshotError as error:
            self._error = str(error)
            return None
        return self._add(trial, benchmark.shards.table.clip_ids[support[0]], support[0]) if support else None

    def _add(self, trial: str, clip: str, position: int | None) -> int:
        key = (self._run.trials[trial].benchmark_digest, clip)
        if key not in self._indices:
            self._indices[key] = len(self.clips)
            self.clips.append({"name": clip})
        index = self._indices[key]
        benchmark = self._benchmark(trial)
        if benchmark is not None and position is not None and index not in self._tried:
            self._tried.add(index)
            self.clips[index] |= self._audio(benchmark, position)
        return index

    def _audio(self, benchmark: ReadBenchmark, position: int) -> dict[str, Any]:
        """The audio of a clip and its sample rate; empty if it cannot be read, or does not fit: a later one may."""
        try:
            samples = benchmark.shards.audio([position])[0]
        except EarshotError as error:
            self._error = str(error)
            return {}
        content, kind = encode_for_web(samples, benchmark.shards.sample_rate)
        uri = f"data:{kind};base64,{base64.b64encode(content).decode()}"
        self._first_size = self._first_size or len(uri)
        if self.used + len(uri) > self._budget:
            return {}
        self.used += len(uri)
        return {"audio": uri, "rate": benchmark.shards.sample_rate}

    def _benchmark(self, trial: str) -> ReadBenchmark | None:
        """The benchmark of a trial; None if it cannot be read, or no audio is wanted."""
        if not self._budget:
            return None
        try:
            return self._benchmarks.of(trial)
        except EarshotError as error:
            self._error = str(error)
            return None
