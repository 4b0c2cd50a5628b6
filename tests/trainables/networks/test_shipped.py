"""The shipped backbone: it loads, and damaged or missing files are one clear error."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from datasets.utils.errors import EarshotError
from trainables.networks.backbones.ast import load_ast
from trainables.networks.shipped import FILES, WEIGHTS, recipe_of, shipped, verified_folder
from trainables.networks.specs import DEFAULT
from trainables.pretraining.package_backbone import MAX_BYTES


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A copy of the folder of shipped backbones."""
    return Path(shutil.copytree(WEIGHTS, tmp_path / "weights"))


def test_the_default_backbone_is_shipped_and_small() -> None:
    assert DEFAULT in shipped()
    assert sum(file.stat().st_size for file in (WEIGHTS / DEFAULT).iterdir()) < MAX_BYTES
    recipe = json.loads((WEIGHTS / DEFAULT / "made.json").read_text())["recipe"]
    assert recipe["benchmark"] == "synthetic"
    assert recipe_of(DEFAULT) == recipe


@pytest.mark.parametrize("frames", [98, 198, 398, 998, 2998])
def test_clips_of_any_length(frames: int) -> None:
    """1 s, 2 s, 4 s, 10 s and half a minute."""
    backbone = load_ast(DEFAULT, frames)
    embeddings = backbone.pool(backbone(torch.zeros(2, frames, 128)))
    assert embeddings.shape == (2, backbone.dim)
    assert torch.isfinite(embeddings).all()


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_raises(weights: Path, file: str) -> None:
    path = weights / DEFAULT / file
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(EarshotError, match=r"expected SHA-256 .* found .* reinstall the package"):
        verified_folder(DEFAULT, weights)


@pytest.mark.parametrize("file", [*FILES, "made.json"])
def test_a_missing_file_raises(weights: Path, file: str) -> None:
    (weights / DEFAULT / file).unlink()
    with pytest.raises(EarshotError, match=r"backbone 'earshot-tiny'.*cannot be read.*reinstall the package"):
        verified_folder(DEFAULT, weights)


def test_recipes_of_other_backbones(tmp_path: Path) -> None:
    assert recipe_of("random-tiny") is None
    (tmp_path / "recipe.json").write_text('{"seed": 3}')
    assert recipe_of(str(tmp_path / "model")) == {"seed": 3}
    (tmp_path / "recipe.json").write_text("[]")
    assert recipe_of(str(tmp_path / "model")) is None
