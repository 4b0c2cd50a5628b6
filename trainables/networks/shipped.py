"""Backbones that are shipped with the package, verified against their SHA-256 before use; imports no PyTorch."""

import json
from pathlib import Path

from datasets.utils.errors import EarshotError, first_line
from datasets.utils.files import file_digest

WEIGHTS = Path(__file__).parents[1] / "weights"
FILES = ("config.json", "model.safetensors")

_REINSTALL = "reinstall the package"


def shipped() -> tuple[str, ...]:
    """Names of the backbones that are shipped with the package, sorted."""
    return tuple(sorted(path.parent.name for path in WEIGHTS.glob("*/made.json")))


def verified_folder(name: str, weights: Path = WEIGHTS) -> Path:
    """The folder of a backbone, whose files were verified against their digests.

    Args:
        name: one of `shipped()`.
        weights: parent of the folders.

    Raises:
        EarshotError: a file is missing, or differs from the shipped one.
    """
    folder = weights / name
    try:
        expected = json.loads((folder / "made.json").read_bytes())["sha256"]
        for file in FILES:
            digest = file_digest(folder / file)
            if digest != expected[file]:
                raise EarshotError(f"{folder / file}: expected SHA-256 {expected[file]}, found {digest}; {_REINSTALL}")
    except (OSError, ValueError, KeyError) as error:
        raise EarshotError(f"backbone '{name}': {folder}: cannot be read ({first_line(error)}); {_REINSTALL}") from None
    return folder


def recipe_of(backbone: str) -> dict[str, object] | None:
    """The recipe of a shipped backbone, or of the folder `model/` of a pretraining run; None for any other backbone."""
    try:
        if backbone in shipped():
            recipe = json.loads((WEIGHTS / backbone / "made.json").read_bytes())["recipe"]
        else:
            recipe = json.loads((Path(backbone).parent / "recipe.json").read_bytes())
    except (OSError, ValueError, KeyError):
        return None
    return recipe if isinstance(recipe, dict) else None
