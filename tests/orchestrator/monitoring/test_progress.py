"""What the console shows, told by the calls that Tune makes."""

import io
import math
import re

import pytest
from rich.console import Console

from orchestrator.monitoring.progress import ROWS, SweepProgress
from orchestrator.monitoring.remaining_time import Estimate
from tests.support.trial_events import Telling, chain_of


def watch(trials: int = 4, *, terminal: bool = False, height: int = 40) -> tuple[SweepProgress, Console]:
    console = Console(file=io.StringIO(), width=110, height=height, force_terminal=terminal, color_system=None)
    return SweepProgress(console, {"ede": trials}, sessions=3, attempts=4), console


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def view(progress: SweepProgress) -> list[str]:
    console = Console(file=io.StringIO(), width=110, color_system=None)
    console.print(progress._view())
    return [line.rstrip() for line in printed(console).splitlines()]


def test_without_a_terminal_each_trial_that_ends_is_a_line() -> None:
    progress, console = watch()
    with progress:
        chain_of(Telling(progress))
        Telling(progress, seed=1).start().session(0, found=True).session(1).complete()
        Telling(progress, seed=2).start().fail("[NaN] in the loss").complete()
        Telling(progress, seed=3).start().die().start().session(0).session(1).session(2).complete()
    lines = [re.sub(r"  \d+ s(, about \d+ s left)?$", "", line) for line in printed(console).splitlines()]
    assert lines == [
        "   1/4  ede-1f0c22d4-s0                  validation  50.0 %",
        "   2/4  ede-1f0c22d4-s1                  validation  50.0 %, 1 of 2 sessions found, "
        "stopped after 2 of 3 sessions",
        "   3/4  failed  ede-1f0c22d4-s2: [NaN] in the loss",
        "retried ede-1f0c22d4-s3: its worker died; attempt 2 of 4",
        "   4/4  ede-1f0c22d4-s3                  validation  50.0 %",
    ]


def test_the_view_tells_what_runs_what_is_left_and_what_was_found() -> None:
    progress, _ = watch(terminal=True)
    chain_of(Telling(progress))
    Telling(progress, seed=1).start().session(0, found=True, seconds=90).session(1, value=0.25)
    Telling(progress, seed=2).start().session(0).die().start()
    head, counts, *rows = view(progress)
    assert re.search(r"sessions .* 6/12 0 s, about \d+ s left", head)
    assert counts == ("1 of 4 trials ended, 2 running; 5 sessions computed, 1 found (saved 90 s); 1 retried")
    assert [re.sub(r" +", " ", row) for row in rows] == [
        " ede-1f0c22d4-s1 session 3 of 3 0 s validation 25.0 %",
        " ede-1f0c22d4-s2 session 2 of 3 0 s validation 50.0 %, attempt 2 of 4",
    ]


def test_a_session_that_is_told_again_after_a_death_is_counted_once() -> None:
    progress, _ = watch(1, terminal=True)
    trial = Telling(progress).start().session(0).session(1).die().start()
    trial.session(0, found=True).session(1, found=True).session(2)
    assert "3 sessions computed, 0 found" in view(progress)[1]
    assert " 3/3 " in view(progress)[0]
    trial.complete()
    assert "1 of 1 trials ended, 0 running" in view(progress)[1]
    assert " 3/3 " in view(progress)[0]


def test_a_trial_that_never_began_counts_as_ended() -> None:
    progress, console = watch(2)
    Telling(progress).complete()
    Telling(progress, seed=1).die().die_for_good()
    assert "stopped after 0 of 3 sessions" in printed(console)
    assert "failed  ede-1f0c22d4-s1: its worker process died 2 times" in printed(console)
    assert " 6/6 " in view(progress)[0]


def test_what_had_ended_before_a_restart_is_not_told_again() -> None:
    progress, console = watch(2)
    first = chain_of(Telling(progress))
    second = Telling(progress, seed=1).start().session(0)
    second.taken_down()
    progress.restarted("a node ran out of [memory]")
    assert "1 of 2 trials ended, 0 running; 4 sessions computed, 0 found; 1 retried" in view(progress)[1]
    first.start().session(0, found=True).session(1, found=True).session(2, found=True).complete()
    second.start().session(0, found=True)
    assert "attempt 2 of 4" in view(progress)[2]
    second.session(1).session(2).complete()
    assert "2 of 2 trials ended, 0 running; 6 sessions computed, 0 found" in view(progress)[1]
    lines = printed(console).splitlines()
    assert lines[1] == "restarted a node ran out of [memory]; trials go on from their finished sessions"
    assert len(lines) == 3


def test_hundreds_of_trials_at_a_time_leave_room_on_the_screen() -> None:
    progress, _ = watch(400, terminal=True)
    for seed in range(300):
        Telling(progress, seed=seed).start()
    lines = view(progress)
    assert len(lines) == 2 + ROWS + 1
    assert lines[-1] == f"  and {300 - ROWS} more"
    small, _ = watch(400, terminal=True, height=10)
    for seed in range(300):
        Telling(small, seed=seed).start()
    assert len(view(small)) < 10


def test_trials_that_still_run_at_the_end_are_stopped() -> None:
    progress, console = watch(1)
    with progress:
        Telling(progress).start().session(0)
    assert "stopped after 1 of 3 sessions" in printed(console)


def test_the_time_left_is_that_of_trials_which_computed() -> None:
    estimate = Estimate({"ede": 10}, sessions=5)
    assert estimate.seconds_left([]) is None
    estimate.trial_ended("ede", 0.1, computed=0)  # found as a whole: tells nothing
    assert estimate.seconds_left([("ede", 0.0)]) is None
    estimate.session_computed("ede", 1, 4.0)  # the base session was found
    assert estimate.seconds_left([("ede", 5.0)]) == pytest.approx(11 + 8 * 16)
    estimate.session_computed("ede", 0, 14.0)
    assert estimate.seconds_left([("ede", 5.0)]) == pytest.approx(25 + 8 * 30)
    estimate.trial_ended("ede", 12.0, computed=4)  # one session was shared: 12 s is what a trial costs
    assert estimate.seconds_left([("ede", 2.0), ("ede", 7.0)]) == pytest.approx((10 + 5 + 6 * 12) / 2)


def test_the_time_left_of_a_method_without_a_trial_is_guessed_from_the_others() -> None:
    estimate = Estimate({"ede": 2, "mfcc-ncm": 3}, sessions=5)
    estimate.trial_ended("ede", 30.0, computed=5)
    estimate.trial_ended("ede", 50.0, computed=5)
    assert estimate.seconds_left([]) == pytest.approx(3 * 40)
    estimate.trial_ended("mfcc-ncm", 1.0, computed=5)
    assert estimate.seconds_left([]) == pytest.approx(2 * 1)


def test_the_slowest_trial_bounds_the_time_left() -> None:
    estimate = Estimate({"ede": 4}, sessions=1)
    estimate.trial_ended("ede", 60.0, computed=1)
    assert estimate.seconds_left([("ede", 1.0), ("ede", 55.0), ("ede", 58.0)]) == pytest.approx(59)


def test_no_validation_clips_no_validation_accuracy() -> None:
    progress, console = watch(1)
    Telling(progress).start().session(0, value=math.nan).complete()
    assert "validation" not in printed(console)
