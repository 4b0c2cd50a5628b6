"""The files of search spaces. Imports neither PyTorch nor Optuna."""

from pathlib import Path

from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion

FOLDER = Path(__file__).parent


def shipped() -> dict[str, Path]:
    """The search spaces in this folder, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def space_file(space: Path) -> Path:
    """The file of a search space.

    Args:
        space: a file, or the name of a shipped search space.

    Raises:
        EarshotError: it is neither.
    """
    if space.exists():
        return space
    if str(space) in shipped():
        return shipped()[str(space)]
    raise EarshotError(f"{space}: no such file, and no search space of that name; {suggestion(str(space), shipped())}")
