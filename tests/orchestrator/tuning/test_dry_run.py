"""--dry-run: what it foretells is what happens, and it leaves nothing behind."""

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
    """Three configurations x two seeds, three sessions each; backbone and its warnings left as they are."""
    return [*command(tones, runs, "--backbone", "random-tiny", *more, epochs=1)[3:]]


def foretold(given: list[str]) -> DryRun:
    config = parse(given)
    return dry_run(make_plan(config, find_spaces(config), find_benchmark(config)))


def test_what_is_foretold_is_what_happens(tones: Path, tmp_path: Path) -> None:
    given = arguments(tones, tmp_path / "runs")
    before = foretold(given)
    ede, simplecil = before.methods
    assert (ede.configurations, ede.trials, ede.sessions) == (2, 4, 12)
    # two configurations that differ in the incremental sessions alone: one base session for each of two seeds
    assert (ede.bases, ede.stages, ede.found, ede.exact) == (2, 10, 0, True)
    assert (simplecil.stages, simplecil.bases) == (6, 2)
    assert before.seconds is None and not before.resumes

    config = parse(given)
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

    after = foretold(given)
    assert [one.found for one in after.methods] == [10, 6]
    assert after.seconds == 0 and after.resumes
    alone = foretold([*given, "--no-share", "--name", "alone"])
    assert [(one.stages, one.found) for one in alone.methods] == [(12, 0), (6, 0)]
    more = foretold([*given, "--seeds", "3", "--name", "more"])
    assert [one.found for one in more.methods] == [10, 6]
    assert more.seconds is not None and more.seconds > 0  # by what the sessions above took


def test_nothing_is_written_and_a_person_is_told(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments(tones, tmp_path / "runs", "--dry-run")
    before = sorted((tmp_path / "runs").rglob("*"))
    assert main(given) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "ede 2 4 12 10 2 0 not known" in told
    assert "no earlier run here has computed ede, simplecil on this benchmark" in told
    assert "nothing was run and nothing written (--dry-run)" in told
    assert sorted((tmp_path / "runs").rglob("*")) == before


def test_for_machines(tones: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(tones, tmp_path / "runs", "--dry-run", "--json")) == 0
    first, last = map(json.loads, capfd.readouterr().out.splitlines())
    assert (first["event"], [one["stages"] for one in first["methods"]]) == ("dry_run", [10, 6])
    assert (last["event"], last["exit"]) == ("sweep_ended", 0)


def test_tpe_says_about(tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = tmp_path / "range.yaml"
    space.write_text("methods:\n  ede:\n    incremental_lr: {loguniform: [0.001, 0.1]}\n")
    given = ["--benchmark", str(tones), "--space", str(space), "--runs", str(tmp_path / "runs"), "--trials", "6"]
    given += ["--seeds", "1", "--protocol", "free", "--base", "2", "--way", "2", "--shot", "3", "--dry-run"]
    assert main(given) == 0
    assert "about 13" in capsys.readouterr().out  # one base session, and two later ones of six configurations


@pytest.mark.parametrize(
    ("wrong", "told"), [("--backbone", "nothing"), ("--base", "protocol free"), ("--benchmark", "nowhere")]
)
def test_what_would_be_wrong_is_said(
    tones: Path, tmp_path: Path, wrong: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    value = "90" if wrong == "--base" else told
    assert main([*arguments(tones, tmp_path / "runs"), wrong, value, "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_the_demo_benchmark_is_not_prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    assert main(["--data", str(data), "--runs", str(tmp_path / "runs"), "--dry-run"]) == 2
    assert "python -m orchestrator.prepare demo --out" in capsys.readouterr().err
    assert not data.exists()
