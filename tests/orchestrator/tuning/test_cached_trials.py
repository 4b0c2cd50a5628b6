"""A sweep whose sessions are all in the store runs in this process, with the results of one on workers."""

from pathlib import Path

import pytest
import ray

from orchestrator.monitoring.listener import Listener, SessionResult, Status, TrialState
from orchestrator.monitoring.monitor import TuneMonitor
from orchestrator.sweep import main
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.budget import Budget
from orchestrator.tuning.cached_trials import all_cached, run_cached_trials
from orchestrator.tuning.dry_run import dry_run
from orchestrator.tuning.plan import Plan, find_benchmark, find_spaces, make_plan
from orchestrator.tuning.search import SeededSearch
from tests.support.sweep_processes import PROTOCOL
from trainables.records import TrialRecord
from trainables.session_chain import Chain
from trainables.session_results import SessionResults
from trainables.store.layout import array_file
from trainables.unknown import classes_to_come, unknown_address

GRID = "{coefficients: {choice: [8, 13, 20]}}"
RANGE = "{coefficients: {int: [2, 60]}}"  # for TPE: two rounds of configurations
TPE = ["--trials", "6"]


class Record(Listener):
    """Every event as a line."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def trial_started(self, trial: TrialState) -> None:
        self.events.append(f"{trial.name} started")

    def session_finished(self, trial: TrialState, result: SessionResult) -> None:
        self.events.append(f"{trial.name} session {result.index} {result.cached} {result.validation['aa']:.6f}")

    def trial_ended(self, trial: TrialState, status: Status) -> None:
        self.events.append(f"{trial.name} {status}")


def arguments(tones: Path, folder: Path, space: str, *more: str) -> list[str]:
    file = folder / "space.yaml"
    file.write_text(f"methods: {{mfcc-ncm: {space}}}\n")
    run = ["--benchmark", str(tones), "--space", str(file), "--runs", str(folder / "runs"), "--name", "run"]
    return [*run, "--seeds", "2", *PROTOCOL, *more]


def plan(tones: Path, folder: Path, space: str, *more: str) -> Plan:
    config = parse(arguments(tones, folder, space, *more))
    return make_plan(config, find_spaces(config), find_benchmark(config))


def compute(its_plan: Plan) -> list[str]:
    """Computes every trial of a sweep, without Ray; returns the events that listeners should get from cached trials."""
    events = []
    chains: list[Chain] = []

    def start(job: object) -> dict[str, object]:
        described = its_plan.chain(job.method, job.settings, job.varied, job.seeds)  # type: ignore[attr-defined]
        chains.append(Chain(described, its_plan.folder.trial(described.trial)))
        return {}

    search = SeededSearch(its_plan.searches(), list(its_plan.config.seeds), start)
    while isinstance(search.suggest(str(len(chains))), dict):
        identifier, chain = str(len(chains) - 1), chains[-1]
        name, results = chain.config.trial, SessionResults(chain)
        events.append(f"{name} started")
        while not chain.done:
            result = results.after(chain.step())
            search.on_trial_result(identifier, result)
            events.append(f"{name} session {result['session']} True {result['validation_accuracy_mean']:.6f}")
        events.append(f"{name} finished")
        search.on_trial_complete(identifier, result)
    return events


def contents(its_plan: Plan) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in its_plan.folder.path.glob("trials/*/session-*.parquet")}


@pytest.mark.parametrize(("space", "options"), [(GRID, []), (RANGE, TPE)], ids=["grid", "tpe"])
def test_cached_trials_have_the_results_of_computed_ones(
    space: str, options: list[str], tones: Path, tmp_path: Path
) -> None:
    its_plan = plan(tones, tmp_path, space, *options)
    assert not all_cached(its_plan)
    expected = compute(its_plan)
    assert all_cached(its_plan)
    before, record = contents(its_plan), Record()
    for path in its_plan.folder.path.glob("trials/*/session-*.parquet"):
        path.unlink()
    with TuneMonitor([record]) as monitor:
        outcomes = run_cached_trials(its_plan, Budget(None), monitor)
    assert outcomes is not None and outcomes.complete
    assert record.events == expected
    assert contents(its_plan) == before
    assert {TrialRecord.load(its_plan.folder.trial(name)).status for name in outcomes.names} == {"finished"}


@pytest.mark.parametrize(
    "option", [["--no-share"], ["--stopping", "asha", "--grace", "1"], ["--dashboard"]], ids=lambda o: o[0]
)
def test_some_sweeps_start_workers_in_any_case(option: list[str], tones: Path, tmp_path: Path) -> None:
    compute(plan(tones, tmp_path, GRID))
    assert not all_cached(plan(tones, tmp_path, GRID, *option))


def test_a_damaged_stage_is_left_to_the_workers(tones: Path, tmp_path: Path) -> None:
    """The stage is found by its name, so the damage shows when it is read; listeners then get no event twice."""
    its_plan = plan(tones, tmp_path, GRID)
    compute(its_plan)
    damaged = TrialRecord.load(its_plan.folder.trial(its_plan.folder.trials[3])).sessions[1].stage
    (stored,) = (tmp_path / "runs" / "store" / "stages").rglob(f"{damaged}/predictions.parquet")
    stored.write_bytes(b"damaged")
    assert all_cached(its_plan)
    with TuneMonitor([]) as monitor:
        assert run_cached_trials(its_plan, Budget(None), monitor) is None
    assert not all_cached(its_plan)  # the damaged stage is removed


def test_scores_of_classes_to_come_that_are_missing_are_left_to_the_workers(tones: Path, tmp_path: Path) -> None:
    """As in a store of an earlier version: a worker computes them from the stored state."""
    its_plan = plan(tones, tmp_path, GRID)
    compute(its_plan)
    features = tmp_path / "runs" / "store" / "features"
    chain = Chain(its_plan.chain("mfcc-ncm", {"coefficients": 13}, (), its_plan.config.seeds[1]), tmp_path / "trial")
    missing = features / array_file(unknown_address(chain.addresses()[0], classes_to_come(chain.sessions, 0)))
    assert [(one.stages, one.cached) for one in dry_run(its_plan).methods] == [(18, 18)]
    missing.unlink()
    assert not all_cached(its_plan) and [one.cached for one in dry_run(its_plan).methods] == [17]
    with TuneMonitor([]) as monitor:
        assert run_cached_trials(its_plan, Budget(None), monitor) is None
    assert chain.step().cached and missing.is_file()
    assert all_cached(its_plan)


def test_a_budget_stops_cached_trials(tones: Path, tmp_path: Path) -> None:
    its_plan, record = plan(tones, tmp_path, GRID), Record()
    compute(its_plan)
    with TuneMonitor([record]) as monitor:
        outcomes = run_cached_trials(its_plan, Budget(0.0), monitor)
    assert outcomes is not None and not outcomes.complete
    assert record.events == [] and outcomes.names == []


def test_the_command_starts_no_ray(tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    its_plan = plan(tones, tmp_path, GRID)
    compute(its_plan)
    assert main(arguments(tones, tmp_path, GRID)) == 0
    assert "6 trials, 0 sessions computed, 18 cached" in capsys.readouterr().out
    assert not ray.is_initialized()
    assert len(list((its_plan.folder.path / "tensorboard").rglob("events.out.tfevents*"))) == 6
    assert (its_plan.folder.path / "report" / "report.html").is_file()
