"""The files of search spaces. Imports neither PyTorch nor Optuna."""

import importlib.util
from pathlib import Path

from datasets.utils.errors import EarshotError
from datasets.utils.installed import Installed, installed
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
        space: a file, or the name of a search space, shipped or of an installed distribution.

    Raises:
        EarshotError: it is neither, or its distribution lacks it.
    """
    if space.exists():
        return space
    name, known = str(space), shipped()
    others = installed("search space")
    if name in others:
        return resource(others[name])
    if name in known:
        return known[name]
    raise EarshotError(
        f"{space}: no such file, and no search space of that name; {suggestion(name, [*known, *others])}"
    )


def space_of(method: str) -> Path | None:
    """The search space that has the name of a method; None if there is none."""
    if method in shipped():
        return shipped()[method]
    entry = installed("search space").get(method)
    return None if entry is None else resource(entry)


def resource(entry: Installed) -> Path:
    """The file that an entry point `mypackage.folder:mine.yaml` names, beside the code of the package.

    Raises:
        EarshotError: it has the name of a shipped one, or there is no such file.
    """
    entry.check_name(shipped())
    package, _, name = entry.code.partition(":")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        if (path := Path(folder) / name).is_file() and name:
            return path
    raise entry.failed(EarshotError(f"search space '{entry.name}': no file {name} in the package {package}"))
