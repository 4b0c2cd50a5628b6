"""Importance of hyperparameters of which it is known which decide."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.results.run import Run
from orchestrator.statistics.hyperparameter_importance import FEWEST, importances
from trainables.records import TrialRecord

WriteTrial = Callable[..., TrialRecord]


def write(write_trial: WriteTrial, count: int) -> None:
    """Validation AA rises with lr over four decades; decay is shuffled, pool is the same twice over, shot is one."""
    for number in range(count):
        settings = {"lr": 10.0 ** (-4 + 4 * number / count), "decay": (7 * number) % count, "pool": "ab"[number % 2]}
        settings |= {"shot": 5}
        value = [[(4 + number) / 20]]
        varied = {"varied": settings, "settings": settings}
        write_trial(f"ede-{number:08x}", 0, [[0.5]], val=value, **varied)


def test_what_decides_comes_first_and_shares_sum_to_one(
    tmp_path: Path, write_trial: WriteTrial, capfd: pytest.CaptureFixture[str]
) -> None:
    write(write_trial, 16)
    found = importances(Run.load(tmp_path / "run"), "ede")
    assert next(iter(found)) == "lr" and set(found) == {"lr", "decay", "pool"}
    assert found["lr"] > 0.8 and sum(found.values()) == pytest.approx(1)
    assert importances(Run.load(tmp_path / "run"), "ede") == found
    assert capfd.readouterr() == ("", "")


def test_too_few_or_unfinished_configurations_say_nothing(tmp_path: Path, write_trial: WriteTrial) -> None:
    write(write_trial, FEWEST - 1)
    write_trial("ede-ffffffff", 0, [[0.1]], planned=1, status="failed", varied={"lr": 0.3}, settings={"lr": 0.3})
    assert importances(Run.load(tmp_path / "run"), "ede") == {}


def test_equal_values_say_nothing(tmp_path: Path, write_trial: WriteTrial) -> None:
    for number in range(FEWEST):
        write_trial(f"ede-{number:08x}", 0, [[0.5]], varied={"lr": number}, settings={"lr": number})
    assert importances(Run.load(tmp_path / "run"), "ede") == {}
