"""The progress view on the console, and the estimate of the remaining time."""

import io
import math
import re
from collections.abc import Iterator

from rich.console import Console

from orchestrator.monitoring.listener import RunningTraining, TrialState
from orchestrator.monitoring.progress import ROWS, SweepProgress
from orchestrator.monitoring.remaining_time import RemainingTime, TimeLeft
from orchestrator.monitoring.sweep_state import SweepState
from tests.support.interleaving import between_steps
from tests.support.trial_events import TrialEvents, curve, finish
from trainables.networks.specs import DEFAULT, BackboneSpec

EDE = ("ede", BackboneSpec(DEFAULT))


def progress_of(trials: int = 4, *, terminal: bool = False, height: int = 40) -> tuple[SweepProgress, Console]:
    console = Console(file=io.StringIO(), width=110, height=height, force_terminal=terminal, color_system=None)
    return SweepProgress(console, {EDE: trials}, sessions=3, attempts=4), console


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def view(progress: SweepProgress) -> list[str]:
    console = Console(file=io.StringIO(), width=110, color_system=None)
    console.print(progress._view())
    return [line.rstrip() for line in printed(console).splitlines()]


def test_without_a_terminal_each_trial_that_ends_is_a_line() -> None:
    progress, console = progress_of()
    with progress:
        finish(TrialEvents(progress))
        TrialEvents(progress, seed=1).start().session(0, cached=True).session(1).end("stopped")
        TrialEvents(progress, seed=2).start().end("failed", "[NaN] in the loss")
        TrialEvents(progress, seed=3).start().worker_dies().start().session(0).session(1).session(2).end()
    lines = [re.sub(r"  \d+ s(, (about|at least) \d+ s left)?$", "", line) for line in printed(console).splitlines()]
    assert lines == [
        "   1/4  ede-1f0c22d4-s0                  validation  50.0 %",
        "   2/4  ede-1f0c22d4-s1                  validation  50.0 %, 1 of 2 sessions cached, "
        "stopped after 2 of 3 sessions",
        "   3/4  failed  ede-1f0c22d4-s2: [NaN] in the loss",
        "retried ede-1f0c22d4-s3: its worker died; attempt 2 of 4",
        "   4/4  ede-1f0c22d4-s3                  validation  50.0 %",
    ]


def test_the_view_shows_running_trials_counts_and_the_time_left() -> None:
    progress, _ = progress_of(terminal=True)
    finish(TrialEvents(progress))
    TrialEvents(progress, seed=1).start().session(0, cached=True, seconds=90).session(1, value=0.25)
    TrialEvents(progress, seed=2).start().session(0).worker_dies().start()
    head, counts, *rows = view(progress)
    assert re.search(r"sessions .* 6/12 0 s, about \d+ s left", head)
    assert counts == "1 of 4 trials ended, 2 running; 5 sessions computed, 1 cached (saved 90 s); 1 retried"
    assert [re.sub(r" +", " ", row) for row in rows] == [
        " ede-1f0c22d4-s1 session 3 of 3 0 s validation 25.0 %",
        " ede-1f0c22d4-s2 session 2 of 3 0 s validation 50.0 %, attempt 2 of 4",
    ]


def test_the_view_shows_how_far_a_training_is() -> None:
    progress, _ = progress_of(terminal=True)
    for seed, (session, shown) in enumerate(
        [
            (1, curve(100, 40, "session 1")),
            (1, curve(5, 1, "session 1, boosting")),
            (0, curve(3, 2, "base session")),  # again, as its weights are no longer in the store
        ]
    ):
        trial = TrialEvents(progress, seed=seed).start().session(0)
        trial.state.training = RunningTraining(session, shown)
    assert [re.sub(r" +", " ", row).partition("%, ")[2] for row in view(progress)[2:]] == [
        "epoch 40 of 100, loss 0.025",
        "boosting epoch 1 of 5, loss 1",
        "session 1 again, epoch 2 of 3, loss 0.5",
    ]


def test_the_sessions_that_a_stopped_trial_will_not_reach_count_as_done() -> None:
    progress, console = progress_of(2)
    TrialEvents(progress).start().end("stopped")
    TrialEvents(progress, seed=1).start().session(0).end("failed", "its worker process died 2 times")
    assert "stopped after 0 of 3 sessions" in printed(console)
    assert "failed  ede-1f0c22d4-s1: its worker process died 2 times" in printed(console)
    assert " 6/6 " in view(progress)[0]


def test_a_restart_of_the_sweep() -> None:
    progress, console = progress_of(2)
    finish(TrialEvents(progress))
    second = TrialEvents(progress, seed=1).start().session(0)
    progress.sweep_restarted("a node ran out of [memory]")
    second.state.attempt += 1
    assert "1 of 2 trials ended, 0 running; 4 sessions computed, 0 cached; 1 retried" in view(progress)[1]
    second.start()
    assert "attempt 2 of 4" in view(progress)[2]
    second.session(1).session(2).end()
    assert "2 of 2 trials ended, 0 running; 6 sessions computed, 0 cached" in view(progress)[1]
    lines = printed(console).splitlines()
    assert lines[1] == "restarted a node ran out of [memory]; trials resume from their completed sessions"
    assert len(lines) == 3


def test_hundreds_of_running_trials_fit_on_the_screen() -> None:
    progress, _ = progress_of(400, terminal=True)
    for seed in range(300):
        TrialEvents(progress, seed=seed).start()
    lines = view(progress)
    assert len(lines) == 2 + ROWS + 1
    assert lines[-1] == f"  and {300 - ROWS} more"
    small, _ = progress_of(400, terminal=True, height=10)
    for seed in range(300):
        TrialEvents(small, seed=seed).start()
    assert len(view(small)) < 10


def test_the_time_left_is_that_of_trials_which_computed() -> None:
    remaining = RemainingTime({"ede": 10}, sessions=2)
    assert remaining.estimate([]) is None
    remaining.trial_ended("ede", 0.1, computed=0)  # all sessions were cached: not counted
    assert remaining.estimate([("ede", 0.0)]) is None
    remaining.session_computed("ede", 1, 4.0)  # the base session was cached
    assert remaining.estimate([("ede", 1.0)]) == TimeLeft(3 + 8 * 4, at_least=True)
    remaining.session_computed("ede", 0, 14.0)
    assert remaining.estimate([("ede", 5.0)]) == TimeLeft(13 + 8 * 18, at_least=False)
    remaining.trial_ended("ede", 12.0, computed=1)  # one session was shared: 12 s is what a trial costs
    assert remaining.estimate([("ede", 2.0), ("ede", 7.0)]) == TimeLeft((10 + 5 + 6 * 12) / 2, at_least=False)


def test_the_time_left_is_a_lower_bound_until_every_method_has_run() -> None:
    """A floor that takes a second says nothing about a method that trains for an hour."""
    remaining = RemainingTime({"mfcc-ncm": 3, "ede": 2}, sessions=5)
    remaining.trial_ended("mfcc-ncm", 1.0, computed=5)
    assert str(TimeLeft(0.4, at_least=True)) == "time left unknown"
    left = remaining.estimate([("mfcc-ncm", 0.5)])
    assert left == TimeLeft(0.5 + 1, at_least=True)
    assert str(left) == "at least 2 s left"
    remaining.trial_ended("ede", 5400.0, computed=5)
    assert str(remaining.estimate([("ede", 0.0)])) == "about 90 min left"


def test_the_slowest_trial_bounds_the_time_left() -> None:
    remaining = RemainingTime({"ede": 4}, sessions=1)
    remaining.trial_ended("ede", 60.0, computed=1)
    assert remaining.estimate([("ede", 1.0), ("ede", 55.0), ("ede", 58.0)]) == TimeLeft(59, at_least=False)


def test_without_validation_clips_no_validation_accuracy_is_shown() -> None:
    progress, console = progress_of(1)
    TrialEvents(progress).start().session(0, value=math.nan).end("stopped")
    assert "validation" not in printed(console)


def test_the_page_may_be_written_at_any_moment_of_a_training() -> None:
    """Another thread sets `training` to None while the state is read."""
    state = SweepState({EDE: 1}, sessions=3, attempts=4)
    trial = TrialEvents(state).start().state
    texts, step = [], 0
    while not texts or trial.training is None:
        trial.training = RunningTraining(0, curve(5, 1, "base session"))
        steps = iter(range(step))
        with between_steps(SweepState._cells.__code__, lambda left=steps: _end_training(trial, left)):  # type: ignore[misc]
            texts.append(state.describe(1)["running"][0][3])
        step += 1
    assert set(texts) == {"", "epoch 1 of 5, loss 1"} and len(texts) > 20


def _end_training(trial: TrialState, steps_before: Iterator[int]) -> None:
    if next(steps_before, None) is None:
        trial.training = None


def test_the_time_left_may_be_read_while_a_session_is_added() -> None:
    remaining, estimates = RemainingTime({EDE: 2}, sessions=2), []
    for index in range(2):
        with between_steps(
            RemainingTime.session_computed.__code__, lambda: estimates.append(str(remaining.estimate([])))
        ):
            remaining.session_computed(EDE, index, 10.0)
    assert {*estimates} == {"None", "at least 20 s left", "about 40 s left"}
    assert str(remaining.estimate([])) == "about 40 s left"
