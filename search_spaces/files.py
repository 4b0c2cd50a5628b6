"""The files of search spaces. Imports neither PyTorch nor Optuna."""

from pathlib import Path

from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.validation import read_yaml

FOLDER = Path(__file__).parent


def shipped() -> dict[str, Path]:
    """The search spaces in this folder, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def methods_of(space: Path) -> tuple[str, ...]:
    """The methods that a search space names, as they are written there; nothing is validated.

    Raises:
        EarshotError: the file cannot be read.
    """
    values = read_yaml(space)
    methods = values.get("methods") if isinstance(values, dict) else None
    return tuple(map(str, methods)) if isinstance(methods, dict) else ()


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
