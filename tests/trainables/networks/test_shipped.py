"""The backbone in the box: what is shipped is what is loaded, or one clear error."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import ASTModel

from datasets.utils.errors import EarshotError
from trainables.networks.backbone import Backbone, load_backbone, weights_digest
from trainables.networks.shipped import FILES, WEIGHTS, checked, shipped
from trainables.networks.specs import DEFAULT
from trainables.pretraining.network import Network, Size
from trainables.pretraining.shipping import LARGEST, main, ship


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What a finished pretraining leaves, of a very small network."""
    folder = tmp_path / "run"
    Network(Size(32, 1, 2), 0).exported().save_pretrained(folder / "model")
    (folder / "recipe.json").write_text('{"seed": 0}')
    return folder


def test_the_default_is_there_small_and_loads():
    assert DEFAULT in shipped()
    assert sum(file.stat().st_size for file in (WEIGHTS / DEFAULT).iterdir()) < LARGEST
    assert json.loads((WEIGHTS / DEFAULT / "made.json").read_text())["recipe"]["benchmark"] == "synthetic"


@pytest.mark.parametrize("frames", [98, 198, 398, 998, 2998])
def test_clips_of_any_length(frames: int):
    """1 s, 2 s, 4 s, 10 s and half a minute."""
    backbone = load_backbone(DEFAULT, frames)
    said = backbone.pool(backbone(torch.zeros(2, frames, 128)))
    assert said.shape == (2, backbone.dim)
    assert torch.isfinite(said).all()


def test_sixteen_bits_say_the_same(run: Path, tmp_path: Path):
    folder = ship([run], "mine", tmp_path / "weights")
    whole, halved = (
        Backbone(ASTModel.from_pretrained(path, dtype=torch.float32), 98) for path in (run / "model", folder)
    )
    inputs = torch.randn(4, 98, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        alike = torch.nn.functional.cosine_similarity(whole.pool(whole(inputs)), halved.pool(halved(inputs)))
    assert alike.min() > 0.9999
    assert weights_digest(whole) != weights_digest(halved)  # addresses of stages tell them apart


def test_several_runs_are_averaged(run: Path, tmp_path: Path):
    other = tmp_path / "other"
    Network(Size(32, 1, 2), 1).exported().save_pretrained(other / "model")
    (other / "recipe.json").write_text('{"seed": 1}')
    folder = ship([run, other], "mine", tmp_path / "weights")
    first, second, mean = (load_file(path / "model.safetensors") for path in (run / "model", other / "model", folder))
    assert all(torch.allclose(mean[key].float(), (first[key] + second[key]) / 2, atol=1e-3) for key in mean)
    recipe = json.loads((folder / "made.json").read_text())["recipe"]
    assert recipe["seed"] == 1 and len(set(recipe["mean_of"])) == 2


def test_runs_of_two_architectures_are_not_averaged(run: Path, tmp_path: Path):
    Network(Size(32, 2, 2), 0).exported().save_pretrained(tmp_path / "deeper" / "model")
    (tmp_path / "deeper" / "recipe.json").write_text("{}")
    with pytest.raises(EarshotError, match=r"deeper: expected the architecture of .*run"):
        ship([run, tmp_path / "deeper"], "mine", tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_refused(run: Path, tmp_path: Path, file: str):
    folder = ship([run], "mine", tmp_path / "weights")
    (folder / file).write_bytes((folder / file).read_bytes()[:-1] + b"!")
    with pytest.raises(EarshotError, match=r"expected SHA-256 .* found .* install the package again"):
        checked("mine", tmp_path / "weights")


@pytest.mark.parametrize("file", [*FILES, "made.json"])
def test_a_missing_file_is_refused(run: Path, tmp_path: Path, file: str):
    (ship([run], "mine", tmp_path / "weights") / file).unlink()
    with pytest.raises(EarshotError, match=r"backbone 'mine'.*cannot be read"):
        checked("mine", tmp_path / "weights")


def test_an_unfinished_run_is_not_shipped(run: Path, capsys: pytest.CaptureFixture[str]):
    shutil.rmtree(run / "model")
    before = shipped()
    assert main([str(run), "--name", "never"]) == 2
    assert "expected a finished run" in capsys.readouterr().err
    assert shipped() == before


def test_weights_that_do_not_fit_are_not_shipped(tmp_path: Path):
    network = Network(Size(32, 1, 2), 0)
    network.band.data[0, 0] = 1e6
    network.exported().save_pretrained(tmp_path / "run" / "model")
    (tmp_path / "run" / "recipe.json").write_text("{}")
    with pytest.raises(EarshotError, match="do not fit 16 bits"):
        ship([tmp_path / "run"], "mine", tmp_path / "weights")
    assert not (tmp_path / "weights").exists()
