"""Backbones that come with the package, checked against their SHA-256 before they are used."""

import json
from pathlib import Path

from datasets.utils.errors import EarshotError
from datasets.utils.files import file_digest

WEIGHTS = Path(__file__).parents[1] / "weights"


FILES = ("config.json", "model.safetensors")


AGAIN = "install the package again"


def shipped() -> tuple[str, ...]:
    """Names of the backbones that come with the package, sorted."""
    return tuple(sorted(path.parent.name for path in WEIGHTS.glob("*/made.json")))


def checked(name: str, weights: Path = WEIGHTS) -> Path:
    """The folder of a backbone, after its files were compared with their digests.

    Args:
        name: one of `shipped()`.
        weights: where the folders lie.

    Raises:
        EarshotError: a file is missing, or is not what was shipped.
    """
    folder = weights / name
    try:
        expected = json.loads((folder / "made.json").read_bytes())["sha256"]
        for file in FILES:
            if (found := file_digest(folder / file)) != expected[file]:
                raise EarshotError(f"{folder / file}: expected SHA-256 {expected[file]}, found {found}; {AGAIN}")
    except (OSError, ValueError, KeyError) as error:
        raise EarshotError(f"backbone '{name}': {folder}: cannot be read ({_reason(error)}); {AGAIN}") from None
    return folder


def recipe_of(backbone: str) -> dict[str, object] | None:
    """How a backbone was made: one that comes with the package, or the folder `model/` of a run; else nothing."""
    try:
        if backbone in shipped():
            made = json.loads((WEIGHTS / backbone / "made.json").read_bytes())["recipe"]
        else:
            made = json.loads((Path(backbone).parent / "recipe.json").read_bytes())
    except (OSError, ValueError, KeyError):
        return None
    return made if isinstance(made, dict) else None


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
