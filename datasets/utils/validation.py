"""Validation of configurations, with errors of one line."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], values: Any, where: str, as_flags: bool = False) -> Model:
    """Validates plain data as a pydantic model.

    Args:
        model: the expected type.
        values: plain data.
        where: the file or option that the data comes from, for errors.
            as_flags: errors name a key as an option of a command line, `--clip-seconds`.

    Raises:
        EarshotError: names the key, what is allowed and what was found.
    """
    if not isinstance(values, dict):
        raise EarshotError(f"{where}: expected keys with values, found {type(values).__name__}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # an unknown key is reported first: it explains a required key that is missing
        first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise EarshotError(f"{where}: no key '{key}'; {suggestion(key, model.model_fields)}") from None
        found = "" if first["type"] == "missing" or not key else f", found {first['input']!r}"
        message = first["msg"].removeprefix("Value error, ")
        name = f"--{key.replace('_', '-')}" if as_flags else key
        raise EarshotError(f"{where}: {f'{name}: ' if key else ''}{message[0].lower()}{message[1:]}{found}") from None


def read_yaml(path: Path) -> Any:
    """Reads plain data from a YAML file.

    Raises:
        EarshotError: the file does not exist, cannot be read or is not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EarshotError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EarshotError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise EarshotError(f"{path}: not YAML ({' '.join(str(error).split())[:200]})") from None
