"""ASHA over sessions: which chains are stopped when, and that a resumed sweep repeats its decisions."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution
from ray import tune

from datasets.benchmark.protocol import Protocol
from datasets.utils.errors import EarshotError
from orchestrator.results.objectives import OBJECTIVES
from orchestrator.results.run import Run
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.asha import SessionHalving, ended_before
from orchestrator.tuning.search import Answer, Job, MethodSearch, Pruned, SeededSearch
from search_spaces.loader import MethodSpace
from tests.support.run_folders import WriteTrial
from trainables.chain_config import ChainConfig
from trainables.records import SeedTriple, TrialRecord
from trainables.trial import ChainTrial

SEEDS = {"order": 0, "support": 0, "initialisation": 0}


def trial(name: str, method: str = "ede", **seeds: int) -> Any:
    return SimpleNamespace(
        trial_id=name, config={"name": name, "chain": {"method": method, "seeds": {**SEEDS, **seeds}}}
    )


def run_chain(scheduler: SessionHalving, chain: Any, accuracies: list[float]) -> int:
    """Runs a chain until it is stopped or complete; returns the number of completed sessions."""
    scheduler.on_trial_add(None, chain)
    result: dict[str, Any] = {}
    for completed, value in enumerate(accuracies, start=1):
        result = {"sessions_finished": completed, "validation_accuracy_mean": value}
        if completed < len(accuracies) and scheduler.on_trial_result(None, chain, result) == "STOP":
            break
    scheduler.on_trial_complete(None, chain, result)
    return completed


def test_a_chain_continues_in_the_upper_third_of_its_rung() -> None:
    """Rungs at 2 and 6 of 9 sessions; the first chain continues, later ones need the 2/3 quantile of those before."""
    scheduler = SessionHalving(sessions=9, grace=2, reduction=3)
    assert run_chain(scheduler, trial("a"), [0.5] * 9) == 9
    assert run_chain(scheduler, trial("b"), [0.1, 0.4] + [0.4] * 7) == 2  # 0.4 < 0.5
    assert run_chain(scheduler, trial("c"), [0.1, 0.5] + [0.4] * 7) == 6  # 0.467 <= 0.5; then 0.4 < 0.5
    assert run_chain(scheduler, trial("d"), [0.1] + [0.6] * 8) == 9
    assert scheduler.stopped == {"b": 2, "c": 6}


def test_chains_compete_within_their_method_and_seeds() -> None:
    scheduler = SessionHalving(sessions=4, grace=1, reduction=3)
    assert run_chain(scheduler, trial("a"), [0.9] * 4) == 4
    assert run_chain(scheduler, trial("another method", method="icarl"), [0.1] * 4) == 4
    assert run_chain(scheduler, trial("another draw", support=1), [0.1] * 4) == 4
    assert run_chain(scheduler, trial("the same"), [0.1] * 4) == 1


def test_a_failed_chain_does_not_affect_the_others() -> None:
    scheduler = SessionHalving(sessions=4, grace=1, reduction=3)
    chain = trial("a")
    scheduler.on_trial_add(None, chain)
    failed = {"done": True, "failed": "why", "validation_accuracy_mean": None}
    assert scheduler.on_trial_result(None, chain, failed) == "CONTINUE"
    scheduler.on_trial_complete(None, chain, failed)
    assert run_chain(scheduler, trial("b"), [0.1] * 4) == 4
    assert scheduler.stopped == {}


def test_a_retried_chain_does_not_compete_with_its_first_attempt() -> None:
    scheduler = SessionHalving(sessions=4, grace=1, reduction=3)
    chain = trial("a")
    for _ in range(2):
        scheduler.on_trial_add(None, chain)
        for completed in (1, 2):
            result = {"sessions_finished": completed, "validation_accuracy_mean": 0.5}
            assert scheduler.on_trial_result(None, chain, result) == "CONTINUE"


def test_a_resumed_sweep_repeats_its_decisions() -> None:
    scheduler = SessionHalving(4, 1, 3, before={"stopped": 2, "finished": 4})
    assert run_chain(scheduler, trial("stopped"), [0.9] * 4) == 2
    assert run_chain(scheduler, trial("finished"), [0.1] * 4) == 4
    assert run_chain(scheduler, trial("new"), [0.2] * 4) == 1  # below 0.9: they still count for the others
    assert scheduler.stopped == {"stopped": 2, "new": 1}


def test_trials_that_ended_in_an_earlier_launch(write_trial: WriteTrial) -> None:
    one_session = [[0.5]]
    records = [
        write_trial("ede-0000000a", 0, one_session),
        write_trial("ede-0000000a", 1, one_session, planned=3, status="stopped", stopped_by="asha"),
        write_trial("ede-0000000a", 2, one_session, planned=3, status="stopped", stopped_by="budget"),
        write_trial("ede-0000000a", 3, one_session, planned=3, status="failed", error="why"),
        write_trial("ede-0000000a", 4, one_session, planned=3),
    ]
    assert ended_before(records) == {"ede-0000000a-s0": 1, "ede-0000000a-s1": 1}


def test_a_grace_that_lasts_to_the_end_is_refused() -> None:
    parse(["--grace", "2"]).check_stopping(2)
    parse(["--stopping", "asha", "--grace", "2"]).check_stopping(3)
    with pytest.raises(EarshotError, match="grace: expected fewer than the 2 sessions of a chain, found 2"):
        parse(["--stopping", "asha", "--grace", "2"]).check_stopping(2)


def test_defaults_of_later_options_do_not_change_the_identity_of_a_run() -> None:
    new = {"objective", "stopping", "grace", "reduction", "warm_start"}
    assert not new & parse([]).what().keys()
    asked = parse(["--objective", "pd", "--objective", "aa", "--stopping", "asha", "--warm-start", "x"]).what()
    assert {key: asked[key] for key in new & asked.keys()} == {
        "objective": ["pd", "aa"],
        "stopping": "asha",
        "grace": 2,
        "reduction": 3.0,
    }


class RecordingSearch(MethodSearch):
    """Remembers the answers of the last round."""

    def tell(self, answers: Sequence[Answer]) -> None:
        self.answers = list(answers)
        super().tell(answers)


@pytest.mark.usefixtures("ray_up")
def test_tune_stops_real_chains_and_they_report_every_objective(tones: Path, tmp_path: Path) -> None:
    """With one worker, so that the order of trials is known; few coefficients separate these tones better."""
    space = MethodSpace("mfcc-ncm", {}, {"coefficients": CategoricalDistribution([3, 40])})
    seeds = [SeedTriple(order=0, support=n, initialisation=0) for n in range(2)]

    def chain(job: Job) -> dict[str, Any]:
        config = ChainConfig(
            benchmark=tones,
            method=job.method,
            settings=job.settings,
            varied=job.varied,
            protocol=Protocol(base=2, way=1, shot=3),
            seeds=job.seeds,
            store=tmp_path / "store",
        )
        folder = tmp_path / "run" / "trials" / config.trial
        return {
            "name": config.trial,
            "chain": config.model_dump(mode="json"),
            "folder": str(folder),
            "launch": "test",
        }

    scheduler = SessionHalving(sessions=5, grace=2, reduction=3)
    method = RecordingSearch(space, "grid", None, 0)
    search = SeededSearch([method], seeds, chain)
    results = tune.Tuner(
        ChainTrial,
        tune_config=tune.TuneConfig(
            search_alg=search, scheduler=scheduler, num_samples=4, max_concurrent_trials=1, reuse_actors=True
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(tmp_path),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    ).fit()
    assert search.ended
    reported = {result.config["name"]: result.metrics for result in results if result.config and result.metrics}
    stopped = {
        name for name in reported if TrialRecord.load(tmp_path / "run" / "trials" / name).varied["coefficients"] == 40
    }
    assert len(stopped) == 2
    assert scheduler.stopped == dict.fromkeys(stopped, 2)

    run = Run.load(tmp_path / "run")
    assert {name: len(record.sessions) for name, record in run.trials.items()} == {
        name: 2 if name in stopped else 5 for name in reported
    }
    rows = run.chains[run.chains["split"] == "val"].set_index("trial")
    whole, pruned = method.answers
    assert whole == (pytest.approx(rows.loc[sorted(reported.keys() - stopped), "aa"].mean()),)
    first_two = run.sessions[(run.sessions["split"] == "val") & run.sessions["trial"].isin(stopped)]
    assert isinstance(pruned, Pruned) and pruned.curve.keys() == {1, 2}
    assert pruned.curve[2] == pytest.approx(first_two["micro"].mean())
    for name in reported.keys() - stopped:
        for objective in OBJECTIVES.values():
            assert reported[name][objective.key] == pytest.approx(rows.loc[name, objective.column]), objective.name
