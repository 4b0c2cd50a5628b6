"""Packaging a pretrained backbone: 16 bits, means of several runs, errors."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import ASTModel

from datasets.utils.errors import EarshotError
from trainables.networks.backbones.ast import ASTBackbone
from trainables.networks.shipped import shipped, verified_folder
from trainables.networks.weights import weights_digest
from trainables.pretraining.network import Network
from trainables.pretraining.package_backbone import main, package_backbone
from trainables.pretraining.recipe import Size


def write_run(folder: Path, network: Network, recipe: str = '{"seed": 0}') -> Path:
    """The files of a finished pretraining."""
    network.exported().save_pretrained(folder / "model")
    (folder / "recipe.json").write_text(recipe)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished pretraining of a very small network."""
    return write_run(tmp_path / "run", Network(Size(32, 1, 2), 0))


def test_embeddings_in_16_bits_are_nearly_equal(run: Path, tmp_path: Path) -> None:
    folder = package_backbone([run], "mine", tmp_path / "weights")
    assert verified_folder("mine", tmp_path / "weights") == folder
    whole, half = (
        ASTBackbone(ASTModel.from_pretrained(path, dtype=torch.float32), 98) for path in (run / "model", folder)
    )
    inputs = torch.randn(4, 98, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        cosine = torch.nn.functional.cosine_similarity(whole.pool(whole(inputs)), half.pool(half(inputs)))
    assert cosine.min() > 0.9999
    assert weights_digest(whole) != weights_digest(half)  # so addresses of stages differ


def test_the_weights_of_several_runs_are_averaged(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", Network(Size(32, 1, 2), 1), '{"seed": 1}')
    folder = package_backbone([run, other], "mine", tmp_path / "weights")
    first, second, mean = (load_file(path / "model.safetensors") for path in (run / "model", other / "model", folder))
    assert all(torch.allclose(mean[key].float(), (first[key] + second[key]) / 2, atol=1e-3) for key in mean)
    recipe = json.loads((folder / "made.json").read_text())["recipe"]
    assert recipe["seed"] == 1 and len(set(recipe["mean_of"])) == 2


def test_runs_of_different_architectures_raise(run: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "deeper", Network(Size(32, 2, 2), 0), "{}")
    with pytest.raises(EarshotError, match=r"deeper: expected the architecture of .*run"):
        package_backbone([run, tmp_path / "deeper"], "mine", tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_an_unfinished_run_is_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(run / "model")
    before = shipped()
    assert main([str(run), "--name", "never"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {run}: expected a finished run of earshot pretrain") and error.count("\n") == 1
    assert shipped() == before


def test_weights_out_of_range_raise(tmp_path: Path) -> None:
    network = Network(Size(32, 1, 2), 0)
    network.band.data[0, 0] = 1e6
    run = write_run(tmp_path / "run", network, "{}")
    with pytest.raises(EarshotError, match="exceed the range of float16"):
        package_backbone([run], "mine", tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_help_does_not_import_pytorch() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "trainables.pretraining.package_backbone", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "| torch\n" not in done.stderr and "earshot pretrain" in done.stdout
