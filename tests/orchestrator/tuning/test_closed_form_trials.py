"""A sweep of closed-form methods runs in this process, with the results of single chains."""

import errno
from pathlib import Path

import pytest

from orchestrator.monitoring.monitor import TuneMonitor
from orchestrator.tuning import closed_form_trials
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.budget import Budget
from orchestrator.tuning.closed_form_trials import is_closed_form, run_closed_form_trials
from orchestrator.tuning.plan import Plan, find_benchmark, find_spaces, make_plan
from tests.support.sweep_processes import PROTOCOL
from trainables.records import TrialRecord
from trainables.session_chain import Chain

METHODS = "slda: {}, klda: {projection: 50}"


def plan(tones: Path, folder: Path, *more: str, methods: str = METHODS) -> Plan:
    folder.mkdir(exist_ok=True)
    file = folder / "space.yaml"
    file.write_text(f"methods: {{{methods}}}\n")
    run = ["--benchmark", str(tones), "--space", str(file), "--runs", str(folder / "runs"), "--name", "run"]
    config = parse([*run, "--seeds", "2", "--backbone", "random-tiny", *PROTOCOL, *more])
    return make_plan(config, find_spaces(config), find_benchmark(config))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("session-*.parquet")}


def test_the_results_are_those_of_chains_one_by_one(tones: Path, tmp_path: Path) -> None:
    its_plan, apart = plan(tones, tmp_path / "it"), plan(tones, tmp_path / "apart")
    assert is_closed_form(its_plan)
    with TuneMonitor([]) as monitor:
        outcomes = run_closed_form_trials(its_plan, Budget(None), monitor)
    assert outcomes is not None and outcomes.complete and len(outcomes.names) == 4 and not monitor.failed
    records = [TrialRecord.load(its_plan.folder.trial(name)) for name in outcomes.names]
    assert {record.status for record in records} == {"finished"}
    assert not any(session.cached for record in records for session in record.sessions)
    for space in apart.spaces:
        for seeds in apart.config.seeds:
            config = apart.chain(space.method, dict(space.fixed), (), seeds)
            chain = Chain(config, apart.folder.trial(config.trial))
            while not chain.done:
                chain.step()
    assert contents(its_plan.folder.path) == contents(apart.folder.path)


@pytest.mark.parametrize(
    "option",
    [
        ["--no-share"],
        ["--stopping", "asha", "--grace", "1"],
        ["--dashboard"],
        ["--workers", "2"],
        ["--memory-per-trial", "1GB"],
    ],
    ids=lambda option: option[0],
)
def test_some_sweeps_start_workers_in_any_case(option: list[str], tones: Path, tmp_path: Path) -> None:
    assert not is_closed_form(plan(tones, tmp_path, *option))


def test_an_error_of_the_estimate_is_left_to_what_reports_it(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    its_plan = plan(tones, tmp_path)

    def full(plan: Plan) -> float:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(closed_form_trials, "embedding_seconds", full)
    assert not is_closed_form(its_plan)


def test_a_method_that_trains_starts_workers(tones: Path, tmp_path: Path) -> None:
    assert not is_closed_form(plan(tones, tmp_path, methods=f"{METHODS}, finetune: {{}}"))


def test_a_long_sweep_is_left_to_workers(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was completed is in the store."""
    its_plan = plan(tones, tmp_path)
    monkeypatch.setattr(closed_form_trials, "SECONDS", 0.0)
    monkeypatch.setattr(closed_form_trials, "FIRST", 0)
    assert not is_closed_form(its_plan), "embedding takes longer"
    with TuneMonitor([]) as monitor:
        assert run_closed_form_trials(its_plan, Budget(None), monitor) is None
    (name,) = its_plan.folder.trials
    assert TrialRecord.load(its_plan.folder.trial(name)).status == "finished"


def test_a_chain_that_fails_is_left_to_workers(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    its_plan = plan(tones, tmp_path)

    def broken(chain: Chain) -> None:
        raise ArithmeticError("of a library")

    monkeypatch.setattr(Chain, "step", broken)
    with TuneMonitor([]) as monitor:
        assert run_closed_form_trials(its_plan, Budget(None), monitor) is None
