"""Configuration, validated once at the door."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], values: Any, where: str, as_flags: bool = False) -> Model:
    """`values` as a `model`.

    Args:
        model: what is expected.
        values: plain data.
        where: the file or option that they come from, for errors.
        as_flags: errors name a key as a flag of a command line, `--clip-seconds`.

    Raises:
        EarshotError: one line that names the key, what is allowed and what was found.
    """
    if not isinstance(values, dict):
        raise EarshotError(f"{where}: expected keys with values, found {type(values).__name__}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        # a key that does not exist explains a required one that is missing
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise EarshotError(f"{where}: no key '{key}'; {suggestion(key, model.model_fields)}") from None
        found = "" if first["type"] == "missing" or not key else f", found {first['input']!r}"
        message = first["msg"].removeprefix("Value error, ")
        name = f"--{key.replace('_', '-')}" if as_flags else key
        raise EarshotError(f"{where}: {f'{name}: ' if key else ''}{message[0].lower()}{message[1:]}{found}") from None


def read_yaml(path: Path) -> Any:
    """Plain data from a YAML file.

    Raises:
        EarshotError: there is no such file, or it is not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EarshotError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EarshotError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise EarshotError(f"{path}: not YAML ({' '.join(str(error).split())[:200]})") from None
