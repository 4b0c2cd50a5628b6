"""Sweeps, results and models from Python, of closed-form methods in this process."""

import logging
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import earshot
from orchestrator.results.find_run import run_folders
from orchestrator.sweep import main
from tests.support.library_calls import PROTOCOL, SETTINGS


def test_tables(run: earshot.Run) -> None:
    chains = run.chains
    assert list(chains.groupby("method").size()) == [2, 2]
    assert set(chains["seeds"]) == {"s0", "s1"} and set(chains["status"]) == {"finished"}
    test = run.scores[(run.scores["split"] == "test")].set_index(["trial", "head"])
    for row in chains.to_dict("records"):
        assert row["test_aa"] == test.loc[(row["trial"], row["head"]), "aa"]
    session = run.sessions.query("split == 'test' and session == 2").set_index(["trial", "head"])["micro"]
    last = run.predictions.query("split == 'test' and session == 2")
    correct = (last["label"] == last["prediction"]).groupby([last["trial"], last["head"]], observed=True).mean()
    assert dict(correct) == pytest.approx(dict(session))
    names = last[["class", "label"]].drop_duplicates().set_index("label")["class"]
    assert all(names[label] == f"tone {label}" for label in range(6))


def test_the_command_writes_the_same_results(run: earshot.Run, tones: Path, tmp_path: Path) -> None:
    options = shlex.split("--method slda --method fecam --protocol free --base 2 --way 2 --shot 3 --seeds 2 --trials 1")
    folders = ["--benchmark", str(tones), "--runs", str(tmp_path), "--name", "other"]
    assert main([*folders, *options]) == 0
    other = earshot.load_run("oth", runs=tmp_path)
    columns = [name for name in run.chains.columns if name != "seconds"]
    pd.testing.assert_frame_equal(other.chains[columns], run.chains[columns])
    pd.testing.assert_frame_equal(other.predictions, run.predictions)


def test_the_same_call_again_computes_nothing(
    run: earshot.Run, tones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = earshot.sweep(tones, **SETTINGS, runs=run.path.parent, name="first", progress=False)
    assert capsys.readouterr().out == ""
    assert again.path == run.path and run_folders(run.path.parent) == [run.path]
    records = again._results.trials.values()
    assert all(session.cached for record in records for session in record.sessions)


def test_what_a_notebook_shows(run: earshot.Run, model: earshot.Model, tones: Path, clips: dict[str, Path]) -> None:
    assert run.report == run.path / "report" / "report.html" and run.report.is_file()
    assert "fecam" in str(run) and str(run).splitlines()[0].startswith("tones: accuracy")
    assert "slda" in run._repr_html_() and run._repr_html_().startswith("<pre")
    accuracy = run.figures["accuracy"]
    assert vars(accuracy)["_repr_png_"]().startswith(b"\x89PNG")
    bench = earshot.open_benchmark(tones)
    assert "tone 5" in bench._repr_html_() and bench.clips == {"train": 48, "val": 18, "test": 24}
    assert list(bench.classes["class"]) == [f"tone {label}" for label in range(6)]
    assert "tone 5" in model._repr_html_()
    assert "<table" in model.predict(clips["0-11"])._repr_html_()
    for one in (run, bench, model, run.best()):
        assert "\n" not in repr(one)


def test_best(run: earshot.Run) -> None:
    best = run.best()
    assert best.validation_aa == max(run.best(method).validation_aa for method in run.methods)
    assert best.trials == tuple(run.chains.query(f"configuration == '{best.configuration}'")["trial"])
    with pytest.raises(earshot.EarshotError, match=r"has no method 'fecm'; did you mean 'fecam'\?"):
        run.best("fecm")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"methods": "simplecl"}, "method 'simplecl': not known; did you mean 'simplecil'?"),
        ({"metods": "simplecil"}, "earshot.sweep: no argument 'metods'; did you mean 'methods'?"),
        ({"method": "simplecil"}, "earshot.sweep: no argument 'method'; give methods="),
        ({"dry_run": True}, "earshot.sweep: no argument 'dry_run'; use earshot sweep --dry-run"),
        (
            {"protocol": {"base": 1}},
            "earshot.sweep: protocol.base: input should be greater than or equal to 2, found 1",
        ),
        ({"protocol": "fcacc"}, "earshot.sweep: protocol: 'fcacc' is not known; did you mean 'fcac'?"),
        ({"seeds": 0}, "earshot.sweep: seeds: must be at least 1"),
        ({"benchmark": "nowhere"}, "benchmark 'nowhere': no manifest.json in nowhere"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_settings(tones: Path, tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    settings = {"benchmark": tones, "runs": tmp_path, "progress": False, **wrong}
    with pytest.raises(earshot.EarshotError, match=f"^{re.escape(message)}"):
        earshot.sweep(**settings)
    assert list(tmp_path.iterdir()) == []


def test_missing_inputs(tmp_path: Path) -> None:
    with pytest.raises(earshot.EarshotError, match="expected a run folder"):
        earshot.load_run("nothing", runs=tmp_path)
    with pytest.raises(earshot.EarshotError, match=r"model\.json"):
        earshot.load_model(tmp_path)
    with pytest.raises(earshot.EarshotError, match=r"manifest\.json: not found"):
        earshot.open_benchmark(tmp_path)
    with pytest.raises(earshot.EarshotError, match="out: expected the folder of the benchmark"):
        earshot.prepare("folder", source=tmp_path)
    with pytest.raises(earshot.EarshotError, match=r"did you mean 'folder'\?"):
        earshot.prepare("foldr", source=tmp_path, out=tmp_path / "out")
    with pytest.raises(earshot.EarshotError, match="nowhere"):
        earshot.prepare("folder", source="nowhere", out=tmp_path / "out")
    with pytest.raises(earshot.EarshotError, match=r"no key 'clip_second'; did you mean 'clip_seconds'\?"):
        earshot.prepare("folder", source=tmp_path, out=tmp_path / "out", clip_second=2)


def test_a_call_leaves_the_process_as_it_was(tones: Path, tmp_path: Path) -> None:
    threads, variables = torch.get_num_threads(), dict(os.environ)
    level, handler = logging.getLogger("ray.tune").level, signal.getsignal(signal.SIGINT)
    torch.set_num_threads(2)
    try:
        earshot.sweep(tones, methods="slda", protocol=PROTOCOL, seeds=[7], runs=tmp_path, progress=False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert (logging.getLogger("ray.tune").level, signal.getsignal(signal.SIGINT)) == (level, handler)
    assert dict(os.environ) == variables


INTERRUPTED = """
import os, signal, sys, threading, time
from pathlib import Path
import earshot

def press():  # the stop button, when a few sessions are finished
    while len(list(Path("runs").glob("store/stages/*/*/stage.json"))) < 3:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)

settings = {"methods": ["slda"], "protocol": {"base": 2, "way": 2, "shot": 3}, "seeds": 20, "progress": False}
threading.Thread(target=press, daemon=True).start()
try:
    earshot.sweep(sys.argv[1], **settings)
except KeyboardInterrupt as interrupt:
    print(interrupt)
else:
    raise SystemExit("was not interrupted")
run = earshot.sweep(sys.argv[1], **settings)
sessions = [session.cached for record in run._results.trials.values() for session in record.sessions]
assert set(run.chains["status"]) == {"finished"} and 3 <= sum(sessions) < len(sessions), sessions
"""


@pytest.mark.slow
def test_an_interrupted_call_is_run_again(tones: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(earshot.__file__).parents[1])}
    command = [sys.executable, "-c", INTERRUPTED, str(tones)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("interrupted; completed sessions are saved. Resume with earshot sweep --resume")
    assert done.stdout.endswith(", or with the same call\n")
