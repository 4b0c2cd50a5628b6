"""--dry-run: the sweep does what it forecasts, and it writes nothing."""

import json
from pathlib import Path

import pytest

from orchestrator.sweep import main
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.dry_run import DryRun, dry_run
from orchestrator.tuning.plan import find_benchmark, find_spaces, make_plan
from tests.support.sweep_processes import command
from trainables.session_chain import Chain


def arguments(tones: Path, runs: Path, *more: str) -> list[str]:
    """Three configurations x two seeds, three sessions each."""
    return [*command(tones, runs, "--backbone", "random-tiny", *more, epochs=1)[3:]]


def forecast(arguments: list[str]) -> DryRun:
    config = parse(arguments)
    return dry_run(make_plan(config, find_spaces(config), find_benchmark(config)))


def test_a_sweep_computes_the_stages_that_were_forecast(tones: Path, tmp_path: Path) -> None:
    sweep = arguments(tones, tmp_path / "runs")
    before = forecast(sweep)
    ede, simplecil = before.methods
    assert (ede.configurations, ede.trials, ede.sessions) == (2, 4, 12)
    # two configurations that differ in the incremental sessions alone: one base session for each of two seeds
    assert (ede.bases, ede.stages, ede.cached, ede.exact) == (2, 10, 0, True)
    assert (simplecil.stages, simplecil.bases) == (6, 2)
    assert before.seconds is None and not before.resumes

    config = parse(sweep)
    plan = make_plan(config, find_spaces(config), find_benchmark(config))
    computed = 0
    for search in plan.searches():
        for settings in search.ask():
            for seeds in config.seeds:
                described = plan.chain(search.space.method, settings, tuple(search.space.varied), seeds)
                chain = Chain(described, plan.folder.trial(described.trial))
                while not chain.done:
                    computed += not chain.step().cached
    assert computed == ede.stages + simplecil.stages

    after = forecast(sweep)
    assert [method.cached for method in after.methods] == [10, 6]
    assert after.seconds == 0 and after.resumes
    alone = forecast([*sweep, "--no-share", "--name", "alone"])
    assert [(method.stages, method.cached) for method in alone.methods] == [(12, 0), (6, 0)]
    more = forecast([*sweep, "--seeds", "3", "--name", "more"])
    assert [method.cached for method in more.methods] == [10, 6]
    assert more.seconds is not None and more.seconds > 0  # from the time of the sessions above


@pytest.mark.parametrize("options", [[], ["--no-share"]])
def test_nothing_is_written(
    options: list[str], tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = arguments(tones, tmp_path / "runs", "--dry-run", *options)
    before = sorted((tmp_path / "runs").rglob("*"))
    assert main(sweep) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert ("ede 2 4 12 12 0 0 unknown" if options else "ede 2 4 12 10 2 0 unknown") in printed
    assert "no earlier run here has computed ede, simplecil on this benchmark" in printed
    assert "nothing was run and nothing written (--dry-run)" in printed
    assert sorted((tmp_path / "runs").rglob("*")) == before


def test_the_forecast_as_an_event(tones: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(tones, tmp_path / "runs", "--dry-run", "--json")) == 0
    first, last = map(json.loads, capfd.readouterr().out.splitlines())
    assert (first["event"], [method["stages"] for method in first["methods"]]) == ("dry_run", [10, 6])
    assert list(first["methods"][0]) == [
        "method", "configurations", "trials", "sessions", "stages", "bases", "found", "exact", "seconds", "longest"
    ]  # fmt: skip
    assert (last["event"], last["exit"]) == ("sweep_ended", 0)


def test_the_forecast_of_tpe_is_approximate(tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = tmp_path / "range.yaml"
    space.write_text("methods:\n  ede:\n    incremental_lr: {loguniform: [0.001, 0.1]}\n")
    sweep = ["--benchmark", str(tones), "--space", str(space), "--runs", str(tmp_path / "runs"), "--trials", "6"]
    sweep += ["--seeds", "1", "--protocol", "free", "--base", "2", "--way", "2", "--shot", "3", "--dry-run"]
    assert main(sweep) == 0
    assert "about 13" in capsys.readouterr().out  # one base session, and two later ones of six configurations


@pytest.mark.parametrize(
    ("option", "message"), [("--backbone", "nothing"), ("--base", "protocol free"), ("--benchmark", "nowhere")]
)
def test_errors_of_the_sweep_are_errors_of_the_dry_run(
    tones: Path, tmp_path: Path, option: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    value = "90" if option == "--base" else message
    assert main([*arguments(tones, tmp_path / "runs"), option, value, "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_the_demo_benchmark_is_not_prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    assert main(["--data", str(data), "--runs", str(tmp_path / "runs"), "--dry-run"]) == 2
    assert "earshot prepare demo --out" in capsys.readouterr().err
    assert not data.exists()


def test_a_backbone_of_a_higher_sample_rate_is_announced(tones: Path, tmp_path: Path) -> None:
    encoder = tmp_path / "encoder.py"
    lines = (
        "class Encoder:",
        "    sample_rate, dim = 48_000, 1",
        "    def embed(self, waves):",
        "        return waves[:, :1]",
    )
    encoder.write_text("\n".join(lines))
    more = ("--method", "simplecil", "--backbone", f"{encoder}:Encoder")
    facts = forecast([*arguments(tones, tmp_path / "runs"), *more]).facts  # on random-tiny, too
    assert facts["sample rate"] == (
        "encoder.py:Encoder: 16000 Hz; the backbone's is 48000 Hz: the clips have nothing above 8000 Hz"
    )
    assert "sample rate" not in forecast(arguments(tones, tmp_path / "runs")).facts
