"""TensorBoard, MLflow and W&B: what a sweep logs is read back with their own readers."""

import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from datasets.utils.errors import EarshotError
from orchestrator.monitoring.listener import Listener
from orchestrator.monitoring.loggers import TRACKERS, loggers
from orchestrator.monitoring.tensorboard import TensorBoard
from tests.support.processes import wait_for
from tests.support.trial_events import TrialEvents, curve, finish

VARIED = {"settings": {"incremental_lr": 0.1, "head": "nme", "mixup": True, "base_epochs": 2}}
TAGS = {
    "val/prototype",
    "test/prototype",
    "validation/aa",
    "validation/final",
    "cost/seconds",
    "cost/parameters",
}


def trial(listener: Listener, **keywords: Any) -> TrialEvents:
    return TrialEvents(listener, **VARIED, varied=["incremental_lr", "head", "mixup"], **keywords)


@pytest.fixture
def tensorboard(tmp_path: Path) -> TensorBoard:
    return TensorBoard(tmp_path / "events")


def read(folder: Path) -> EventMultiplexer:
    """The event files of all trials, for the backends of the tabs."""
    return EventMultiplexer().AddRunsFromDirectory(str(folder / "events")).Reload()


def plots(folder: Path, name: str) -> EventAccumulator:
    """The SCALARS tab of a trial."""
    return EventAccumulator(str(folder / "events" / name)).Reload()


def rows(events: EventMultiplexer) -> dict[str, api_pb2.Session]:
    """The rows of the HPARAMS tab, from its own backend."""
    context = backend_context.Context(TBContext(data_provider=MultiplexerDataProvider(events, "")))
    metadata = context.hparams_metadata(RequestContext(), "")
    experiment = context.experiment_from_metadata(
        RequestContext(), "", True, metadata, context.hparams_from_data_provider(RequestContext(), "", limit=0)
    )
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=100,
        allowed_statuses=list(api_pb2.Status.values()),
        col_params=[api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos],
    )
    handler = list_session_groups.Handler(RequestContext(), context, "", request)
    return {group.sessions[0].name: group for group in handler.run().session_groups}


def test_tensorboard_plots_every_session_once(tensorboard: TensorBoard, tmp_path: Path) -> None:
    with tensorboard:
        logged = trial(tensorboard).start().session(0, value=0.75).session(1, value=0.5).worker_dies()
        logged.start().session(2, value=0.25).end()
    shown = plots(tmp_path, logged.name)
    assert set(shown.Tags()["scalars"]) == TAGS
    assert [(event.step, event.value) for event in shown.Scalars("test/prototype")] == [(0, 0.75), (1, 0.5), (2, 0.25)]
    assert [event.value for event in shown.Scalars("cost/parameters")] == [1000, 1001, 1002]


def test_tensorboard_plots_every_epoch_of_a_trial(tensorboard: TensorBoard, tmp_path: Path) -> None:
    with tensorboard:
        logged = trial(tensorboard).start().session(0, training=(curve(2), curve(1))).session(1)
        logged.session(2, training=(curve(2),)).end()
    losses = [(event.step, event.value) for event in plots(tmp_path, logged.name).Scalars("training/loss")]
    assert losses == [(1, 1.0), (2, 0.5), (3, 1.0), (4, 1.0), (5, 0.5)]
    assert [event.step for event in plots(tmp_path, logged.name).Scalars("training/lr")] == [1, 2, 3, 4, 5]
    assert [event.step for event in plots(tmp_path, logged.name).Scalars("test/prototype")] == [0, 1, 2]


def test_tensorboards_table_of_hyperparameters(tensorboard: TensorBoard, tmp_path: Path) -> None:
    with tensorboard:
        finish(trial(tensorboard))
        trial(tensorboard, seed=1).start().session(0, value=0.125).end("stopped")
        trial(tensorboard, seed=2).start().end("failed", "reason")
        finish(TrialEvents(tensorboard, method="simplecil"))
    table = rows(read(tmp_path))
    assert sorted(table) == [f"ede-1f0c22d4-s{seed}" for seed in range(3)] + ["simplecil-1f0c22d4-s0"]
    row = table["ede-1f0c22d4-s1"]
    cells = {name: getattr(value, value.WhichOneof("kind")) for name, value in row.hparams.items()}
    configuration = cells.pop("configuration")
    assert configuration.startswith("ede-")
    assert cells == {
        "method": "ede",
        "seed/order": 1,
        "seed/support": 1,
        "seed/initialisation": 1,
        "incremental_lr": 0.1,
        "head": "nme",
        "mixup": True,
    }
    metrics = {metric.name.tag: metric.value for metric in row.metric_values}
    assert metrics["validation/aa"] == 0.125
    assert set(metrics) == TAGS
    statuses = {name: api_pb2.Status.Name(row.sessions[0].status) for name, row in table.items()}
    assert statuses == {
        "ede-1f0c22d4-s0": "STATUS_SUCCESS",
        "ede-1f0c22d4-s1": "STATUS_UNKNOWN",
        "ede-1f0c22d4-s2": "STATUS_FAILURE",
        "simplecil-1f0c22d4-s0": "STATUS_SUCCESS",
    }


def test_a_metric_that_is_nan_is_not_plotted(tensorboard: TensorBoard, tmp_path: Path) -> None:
    with tensorboard:
        logged = TrialEvents(tensorboard).start().session(0, value=math.nan).end()
    assert set(plots(tmp_path, logged.name).Tags()["scalars"]) == {"cost/seconds", "cost/parameters"}


def test_the_number_of_open_files_does_not_grow_with_the_trials(tensorboard: TensorBoard) -> None:
    finish(TrialEvents(tensorboard))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for seed in range(1, 200):
        TrialEvents(tensorboard, seed=seed).start().session(0)
    tensorboard._thread.shutdown(wait=True)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_folder_that_cannot_be_written_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    tensorboard = TensorBoard(tmp_path / "file")
    with tensorboard:
        finish(TrialEvents(tensorboard))
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == ["TensorBoard stopped logging"]


def test_mlflow_has_a_run_per_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for attempt in range(2):  # a resumed sweep continues the same MLflow runs
        _, mlflow = loggers(["mlflow"], "my-run", tmp_path, tmp_path / "events")
        with mlflow:
            logged = trial(mlflow).start()
            logged.session(0, cached=attempt > 0, value=0.75, training=(curve(50),) * 11).worker_dies()
            logged.start().session(1, value=0.25).session(2, value=0.5).end()
            trial(mlflow, seed=1).start().session(0).end("stopped")
            trial(mlflow, seed=2).start().end("failed", "the reason")
    client = tracking.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("my-run").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert {name: run.info.status for name, run in runs.items()} == {
        "ede-1f0c22d4-s0": "FINISHED",
        "ede-1f0c22d4-s1": "KILLED",
        "ede-1f0c22d4-s2": "FAILED",
    }
    assert runs["ede-1f0c22d4-s2"].data.tags["failure"] == "the reason"
    first = runs["ede-1f0c22d4-s0"]
    assert set(first.data.metrics) == {*TAGS, "sessions", "training/loss", "training/lr"}
    losses = client.get_metric_history(first.info.run_id, "training/loss")
    assert [point.step for point in losses] == list(range(1, 551))
    history = client.get_metric_history(first.info.run_id, "validation/aa")
    assert [(point.step, point.value) for point in history] == [(0, 0.75), (1, 0.25), (2, 0.5)]
    assert first.data.params["incremental_lr"] == "0.1"
    assert set(first.data.params) == {
        *("method", "configuration", "seed/order", "seed/support", "seed/initialisation"),
        *("incremental_lr", "head", "mixup"),
    }
    assert first.data.tags["benchmark"] == "/data/tones"


def test_wandb_writes_runs_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_DIR", raising=False)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    _, wandb = loggers(["wandb"], "my-run", tmp_path, tmp_path / "events")
    with wandb:
        first, second = trial(wandb).start(), trial(wandb, seed=1).start()  # two runs at a time in one process
        first.session(0, value=0.75, training=(curve(3),))
        second.session(0, value=0.5).end()
        first.session(1, value=0.25).end("stopped")
    files = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2
    texts = (
        b"ede-1f0c22d4-s0",
        b"ede-1f0c22d4-s1",
        b"my-run",
        b"validation/aa",
        b"incremental_lr",
        b"training/loss",
    )

    def written() -> bool:  # by W&B's own process, which closes the files soon after a run has finished
        content = b"".join(path.read_bytes() for path in files)
        return all(text in content for text in texts)

    wait_for(written, 60)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", TRACKERS)
def test_a_package_that_is_not_installed_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    sys.path_importer_cache.clear()
    with pytest.raises(EarshotError, match=rf"--log {name}: .*pip install -e '\.\[{name}\]'"):
        loggers([name], "run", tmp_path, tmp_path)


def test_wandb_without_a_login_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for variable in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(EarshotError, match="WANDB_MODE=offline"):
        loggers(["wandb"], "run", tmp_path, tmp_path)
