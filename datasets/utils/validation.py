"""Validation of configurations, with errors of one line."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.text import one_line

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
        result = model.model_validate(values)
    except ValidationError as error:
        # an unknown key is reported first: it explains a required key that is missing
        first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise EarshotError(f"{where}: no key '{key}'; {suggestion(key, model.model_fields)}") from None
        message = first["msg"].removeprefix("Value error, ")
        is_shown = first["type"] == "missing" or not key or message.startswith(f"{first['input']!r}")
        found = "" if is_shown else f", found {first['input']!r}"
        name = f"--{key.replace('_', '-')}" if as_flags else key
        raise EarshotError(f"{where}: {f'{name}: ' if key else ''}{message[0].lower()}{message[1:]}{found}") from None
    if number := _boolean_as_number(values, result):
        raise EarshotError(f"{where}: {number}: expected a number, found true or false")
    return result


def _boolean_as_number(values: dict[str, Any], result: BaseModel) -> str | None:
    """The first key whose value is a truth value that pydantic has read as 0 or 1."""
    for key, value in values.items():
        read = getattr(result, key, None)
        if isinstance(value, bool) and isinstance(read, int | float) and not isinstance(read, bool):
            return key
        if isinstance(value, dict) and isinstance(read, BaseModel) and (inner := _boolean_as_number(value, read)):
            return f"{key}.{inner}"
    return None


def read_yaml(path: Path) -> Any:
    """Reads plain data from a YAML 1.2 file: `yes` is a text, `010` is ten, `1e-3` is a number.

    Raises:
        EarshotError: the file does not exist, cannot be read, is not YAML, or has a key twice.
    """
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EarshotError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EarshotError(f"{path}: cannot be read ({error})") from None
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: a day such as 2026-02-30
        raise EarshotError(f"{path}: not YAML ({_yaml_problem(error)})") from None


def _yaml_problem(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return one_line(error)[:200]
    problem = str(error.problem).partition(" with value ")[0]  # "found duplicate key "a" with value "1" (original ...)"
    return f"line {error.problem_mark.line + 1}: {one_line(problem)[:200]}"
