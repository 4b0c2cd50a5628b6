"""The pretrain command: files of a run, resuming, errors."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file

from trainables.networks.backbones.ast import load_ast
from trainables.pretrain import PretrainOptions, main
from trainables.pretraining.recipe import SIZES, Recipe
from trainables.pretraining.retrieval import score
from trainables.pretraining.stream import Synthetic
from trainables.pretraining.training import schedule

SMALL = ["--steps", "4", "--sources", "4", "--clips", "2", "--save-every", "2", "--workers", "0"]


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pretrain") / "whole"
    assert main([*SMALL, "--out", str(out)]) == 0
    return out


def test_the_files_of_a_run(whole: Path):
    rows = list(csv.DictReader((whole / "curve.csv").open()))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert [bool(row["retrieval_first"]) for row in rows] == [False, True, False, True]
    assert json.loads((whole / "recipe.json").read_text())["benchmark"] == f"synthetic {Synthetic.version}"
    assert (whole / "curve.png").read_bytes().startswith(b"\x89PNG")
    backbone = load_ast(str(whole / "model"), 98)
    assert torch.isfinite(backbone(torch.zeros(1, 98, 128))).all()


@pytest.mark.slow
def test_a_killed_run_resumes_and_ends_with_the_same_weights(whole: Path, tmp_path: Path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "trainables.pretrain", *SMALL, "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (out / "state.pt").exists() and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert main([*SMALL, "--out", str(out)]) == 0
    expected, resumed = weights(whole), weights(out)
    assert expected.keys() == resumed.keys()
    assert all(torch.equal(expected[key], resumed[key]) for key in expected)


def test_a_run_starts_from_a_backbone(whole: Path, tmp_path: Path):
    start = load_ast(str(whole / "model"), 1024)
    assert main([*SMALL, "--lr", "1e-9", "--init", str(whole / "model"), "--out", str(tmp_path)]) == 0
    recipe, first = (json.loads((out / "recipe.json").read_text()) for out in (tmp_path, whole))
    assert recipe["init"] == start.digest and recipe["after"] == first
    assert first["init"] == "" and "after" not in first
    before, after = weights(whole), weights(tmp_path)
    changed = [key for key in before if not torch.allclose(before[key], after[key], atol=1e-4)]
    assert changed == ["layernorm.bias", "layernorm.weight"]  # the running statistics are updated


def test_another_recipe_in_the_folder_of_a_run_is_an_error(whole: Path, capsys: pytest.CaptureFixture[str]):
    before = (whole / "state.pt").read_bytes()
    assert main([*SMALL, "--lr", "0.5", "--out", str(whole)]) == 2
    error = capsys.readouterr().err
    assert "lr 0.001" in error and "--out" in error and error.count("\n") == 1
    assert (whole / "state.pt").read_bytes() == before


def test_a_run_of_another_version_of_the_generator_is_not_resumed(
    whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(Synthetic, "version", 99)
    assert main([*SMALL, "--out", str(whole)]) == 2
    assert "contains another run (benchmark synthetic " in capsys.readouterr().err


def test_options_have_the_defaults_and_sizes_of_a_recipe(tmp_path: Path) -> None:
    options = PretrainOptions(out=tmp_path).model_dump()
    assert {key: options[key] for key in asdict(Recipe()) if key != "init"} == {
        key: value for key, value in asdict(Recipe()).items() if key != "init"
    }
    assert get_args(PretrainOptions.model_fields["config"].annotation) == tuple(SIZES)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--steps", "0"], "--steps: input should be greater than or equal to 1, found '0'"),
        (["--keep", "0"], "--keep: input should be greater than 0, found '0'"),
        (["--benchmark", "nowhere"], "nowhere"),
        (["--device", "tpu"], "expected cpu or cuda"),
        (["--init", "nothing"], "backbone 'nothing': not found"),
        (["--init", "random-tiny"], "expected a network of --config tiny (192 wide, 4 blocks of 3 heads"),
    ],
)
def test_bad_input_is_one_line(options: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*SMALL, *options, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_damaged_state_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "state.pt").write_bytes(b"not a state")
    assert main([*SMALL, "--out", str(tmp_path)]) == 2
    assert "remove it to start again" in capsys.readouterr().err


def test_retrieval_by_hand():
    """Two sources of two clips on a circle, at 0, 9, 20 and 90 degrees."""
    angles = torch.deg2rad(torch.tensor([0.0, 9.0, 20.0, 90.0]))
    embeddings = torch.stack([angles.cos(), angles.sin()], 1)
    retrieval = score(embeddings, torch.tensor([0, 0, 1, 1]))
    assert retrieval.first == pytest.approx(3 / 4)  # 20 degrees is nearest to 9, which is from the other source
    # ranks of the only correct clip: 1, 1, 3 (after 9 and 0), 1
    assert retrieval.precision == pytest.approx((1 + 1 + 1 / 3 + 1) / 4)


def test_the_learning_rate_rises_and_falls():
    rates = [schedule(step / 100) for step in range(101)]
    assert rates[0] < 0.05 and max(rates) == pytest.approx(1, abs=0.02)
    assert rates.index(max(rates)) == 5
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[5:]))
    assert rates[-1] == pytest.approx(0)
