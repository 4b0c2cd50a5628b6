"""Importance of hyperparameters with a known effect."""

from pathlib import Path

import pytest

from orchestrator.results.run import Run
from orchestrator.statistics.hyperparameter_importance import MIN_CONFIGURATIONS, importances
from tests.support.run_folders import WriteTrial


def write(write_trial: WriteTrial, count: int) -> None:
    """Validation AA rises with lr over four decades; decay is shuffled, pool alternates, shot is constant."""
    for number in range(count):
        settings = {"lr": 10.0 ** (-4 + 4 * number / count), "decay": (7 * number) % count, "pool": "ab"[number % 2]}
        settings |= {"shot": 5}
        value = [[(4 + number) / 20]]
        varied = {"varied": settings, "settings": settings}
        write_trial(f"ede-{number:08x}", 0, [[0.5]], val=value, **varied)


def test_the_decisive_hyperparameter_comes_first_and_importances_sum_to_one(
    tmp_path: Path, write_trial: WriteTrial, capfd: pytest.CaptureFixture[str]
) -> None:
    write(write_trial, 16)
    shares = importances(Run.load(tmp_path / "run"), "ede")
    assert next(iter(shares)) == "lr" and set(shares) == {"lr", "decay", "pool"}
    assert shares["lr"] > 0.8 and sum(shares.values()) == pytest.approx(1)
    assert importances(Run.load(tmp_path / "run"), "ede") == shares
    assert capfd.readouterr() == ("", "")


def test_too_few_complete_configurations_have_no_importances(tmp_path: Path, write_trial: WriteTrial) -> None:
    write(write_trial, MIN_CONFIGURATIONS - 1)
    write_trial("ede-ffffffff", 0, [[0.1]], planned=1, status="failed", varied={"lr": 0.3}, settings={"lr": 0.3})
    assert importances(Run.load(tmp_path / "run"), "ede") == {}


def test_equal_values_have_no_importances(tmp_path: Path, write_trial: WriteTrial) -> None:
    for number in range(MIN_CONFIGURATIONS):
        write_trial(f"ede-{number:08x}", 0, [[0.5]], varied={"lr": number}, settings={"lr": number})
    assert importances(Run.load(tmp_path / "run"), "ede") == {}
