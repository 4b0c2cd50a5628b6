"""The search as an Optuna storage in the run folder: what `optuna.load_study` and optuna-dashboard read."""

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from orchestrator.monitoring.monitor import TuneMonitor
from orchestrator.results.run import Run
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.budget import Budget
from orchestrator.tuning.closed_form_trials import run_closed_form_trials
from orchestrator.tuning.plan import Plan, find_benchmark, find_spaces, make_plan
from orchestrator.tuning.search import Pruned
from orchestrator.tuning.study_file import FILE_NAME, StudyFile
from tests.support.sweep_processes import PROTOCOL

METHODS = "{slda: {shrinkage: {uniform: [0.1, 0.9]}}, mar: {base_milestones: {choice: [[], [2, 4]]}}}"


def plan(tones: Path, folder: Path, methods: str, *more: str) -> Plan:
    path = folder / "sweep.yaml"
    path.write_text(f"benchmark: {tones}\nspace: {methods}\nruns: {folder / 'runs'}\nname: run\nseeds: 2\n")
    config = parse(["--config", str(path), "--backbone", "random-tiny", *PROTOCOL, *more])
    return make_plan(config, find_spaces(config), find_benchmark(config))


def load(run: Path, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(str(run / FILE_NAME))))


def test_a_sweep_and_the_same_sweep_resumed(tones: Path, tmp_path: Path) -> None:
    one = plan(tones, tmp_path, "{slda: {shrinkage: {uniform: [0.1, 0.9]}}, simplecil: {}}", "--trials", "5")
    for _ in range(2):
        with TuneMonitor([]) as monitor:
            outcomes = run_closed_form_trials(one, Budget(None), monitor)
        assert outcomes is not None and outcomes.complete
    run = Run.load(one.folder.path)
    slda, simplecil = load(run.path, "slda"), load(run.path, "simplecil")
    assert len(slda.trials) == 5 and len(simplecil.trials) == 1
    assert slda.metric_names == ["aa"] and slda.user_attrs["protocol hash"] == one.protocol_hash
    chains = run.chains.set_index("trial")
    for trial in (*slda.trials, *simplecil.trials):
        assert trial.state == TrialState.COMPLETE and trial.user_attrs["configuration"] in run.configurations()
        records = [run.trials[name] for name in trial.user_attrs["trials"]]
        assert len(records) == 2 and all(record.varied == trial.params for record in records)
        values = [run.scores[record.trial, record.default_head, "val"].micro for record in records]
        assert trial.value == pytest.approx(sum(sum(value) / len(value) for value in values) / 2)
    assert slda.best_value == max(trial.value or 0 for trial in slda.trials) and len(chains) > 0


def test_states_lists_and_a_line_that_was_not_finished(tones: Path, tmp_path: Path) -> None:
    one = plan(tones, tmp_path, METHODS, "--trials", "3")
    searches = one.searches()
    file = StudyFile(one, searches)
    slda, mar = searches
    file.add(slda, slda.ask()[:3], [(0.5,), Pruned({1: 0.25, 2: 0.2}), None])
    file.add(mar, mar.ask(), [(float("nan"),), (0.75,)])
    path = one.folder.path / FILE_NAME
    path.write_bytes(path.read_bytes() + b'{"op_code":4,"worker')
    states = [trial.state for trial in load(path.parent, "slda").trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert load(path.parent, "slda").trials[1].intermediate_values == {1: 0.25, 2: 0.2}
    tried = {trial.params["base_milestones"]: trial.values for trial in load(path.parent, "mar").trials}
    assert tried == {"[]": None, "[2, 4]": [0.75]}
    StudyFile(one, searches)
    assert load(path.parent, "slda").trials == [] and [one.name for one in path.parent.iterdir()] == [FILE_NAME]
