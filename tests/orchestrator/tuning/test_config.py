"""The settings of a sweep: what results depend on, and that runs of earlier versions can be resumed."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from datasets.utils.errors import EarshotError
from datasets.utils.options import option_of
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.config import Setting, SweepConfig

STORED: list[dict[str, Any]] = json.loads((Path(__file__).parent / "settings_of_0.1.json").read_text())
"""Command lines, and `what()` and the whole configuration that version 0.1 (commit 381611e) made of them."""


@pytest.mark.parametrize("case", STORED, ids=lambda case: " ".join(case["arguments"])[:60] or "defaults")
def test_settings_are_stored_as_before(case: dict[str, Any]) -> None:
    """Also in the same order: the bytes of sweep.json stay the same."""
    config = parse(case["arguments"])
    assert json.dumps(config.what()) == json.dumps(case["what"])
    assert json.dumps(config.model_dump(mode="json")) == json.dumps(case["where"])


@pytest.mark.parametrize("case", STORED, ids=lambda case: " ".join(case["arguments"])[:60] or "defaults")
def test_a_run_of_an_earlier_version_can_be_resumed(case: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "sweep.json").write_text(json.dumps({"what": case["what"], "where": case["where"]}))
    config = parse(["--resume", "run", "--runs", str(tmp_path)])
    assert config.what() == case["what"]
    assert (config.budget, config.show, config.dry_run) == (None, "progress", False)


def test_every_field_says_where_it_belongs() -> None:
    settings = {name: option_of(field) for name, field in SweepConfig.model_fields.items()}
    assert [name for name, setting in settings.items() if not isinstance(setting, Setting)] == []
    assert {setting.group for setting in settings.values()} == {
        "experiment", "protocol", "search", "execution", "output"
    }  # fmt: skip
    assert all(field.description for field in SweepConfig.model_fields.values())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--device", "cpu", "--gpus-per-trial", "1", "--memory-per-trial", "4GB", "--workers", "2"],
        ["--budget", "2h", "--address", "auto", "--data", "d", "--runs", "r", "--storage", "s", "--store-size", "1GB"],
        ["--no-share", "--name", "n", "--space", "x.yaml", "--warm-start", "r", "--json", "--log", "mlflow"],
        ["--dashboard", "--dry-run", "--backbone", "elsewhere/earshot-tiny"],
    ],
)
def test_results_do_not_depend_on_where_and_how_fast_they_are_computed(arguments: list[str]) -> None:
    assert parse(arguments).what() == SweepConfig().what()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cpus-per-trial", "2"],  # the number of threads decides the last bits
        ["--gpus-per-trial", "0.5"],  # computes on a GPU
        ["--seeds", "2"], ["--shot", "1"], ["--search", "random"], ["--search-seed", "1"], ["--trials", "3"],
        ["--objective", "pd"], ["--stopping", "asha"], ["--precision", "bf16"], ["--frontend", "reference"],
        ["--backbone", "random-tiny"], ["--method", "ede"],
    ],
)  # fmt: skip
def test_results_depend_on_the_other_settings(arguments: list[str]) -> None:
    assert parse(arguments).what() != SweepConfig().what()


def test_sizes_and_durations() -> None:
    config = parse(["--memory-per-trial", "1.5TiB", "--store-size", "500MB", "--budget", "1h30m"])
    assert (config.memory_per_trial, config.store_size, config.budget) == (1.5 * 2**40, 5e8, 5400)
    assert SweepConfig.model_validate({"store_size": 7, "budget": 9}).store_size == 7
    with pytest.raises(EarshotError, match="memory_per_trial: expected a size such as 4GB or 500MiB, found '4,5GB'"):
        parse(["--memory-per-trial", "4,5GB"])
    with pytest.raises(EarshotError, match="budget: expected a duration such as 2h, 90m or 1h30m, found 'soon'"):
        parse(["--budget", "soon"])


def test_seeds_are_a_count_or_triples() -> None:
    assert [str(seeds) for seeds in SweepConfig.model_validate({"seeds": 2}).seeds] == ["s0", "s1"]
    assert [str(seeds) for seeds in parse(["--seeds", "2"]).seeds] == ["s0", "s1"]
    triple = {"order": 0, "support": 1, "initialisation": 2}
    assert str(SweepConfig.model_validate({"seeds": [triple]}).seeds[0]) == "s0.1.2"
    for wrong in (0, "0", [], [triple, triple]):
        with pytest.raises(ValidationError, match=r"at least 1|names one twice"):
            SweepConfig.model_validate({"seeds": wrong})


def test_a_grace_period_that_no_chain_outlives_is_an_error() -> None:
    SweepConfig(grace=2).check_stopping(2)
    SweepConfig(stopping="asha", grace=2).check_stopping(3)
    with pytest.raises(EarshotError, match="grace: expected fewer than the 2 sessions of a chain, found 2"):
        SweepConfig(stopping="asha", grace=2).check_stopping(2)
