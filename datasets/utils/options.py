"""Command-line options generated from the fields of a pydantic model.

    class Settings(BaseModel):
        trials: Annotated[int | None, Option("search")] = Field(None, description="configurations per method")

    add_options(parser, Settings)  # --trials N, in the group "search"

An option that is not given is absent from the parsed arguments, so a configuration file can supply it. Values stay text
(paths excepted): pydantic converts and validates them.
"""

import argparse
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from datasets.utils.cli import local_path


@dataclass(frozen=True)
class Option:
    """Annotates a field with how it appears on the command line. Fields without it get `Option()`.

    Attributes:
        group: title of the group in the help; "": the options of the parser itself.
        flag: the option's name, without dashes (default: the field's).
        metavar: placeholder of the value in the help (default: from the type).
        repeatable: whether a field of several values takes one per option, given several times; else all in one text,
            which the model splits.
        several: whether a field of several values takes any number after one option, `--FIELD A B`.
        negatable: whether a truth value also has a `--no-FIELD`, for models that a file can set; else the option sets
            what is not the default, `--FIELD` or `--no-FIELD`.
        switches: value -> help text: each of these values has a flag `--VALUE` that takes no argument, in place of
            the option `--FIELD VALUE`.
    """

    group: str = ""
    flag: str | None = None
    metavar: str | None = None
    repeatable: bool = True
    several: bool = False
    negatable: bool = True
    switches: tuple[tuple[str, str], ...] = ()


JSON = Option(flag="json", negatable=False)
"""Of a field `as_json`, for commands that can print JSON."""


def add_options(
    parser: Any, model: type[BaseModel], *, exclude: Collection[str] = (), show_defaults: bool = True
) -> dict[str, Any]:
    """Adds an option for every field of a model.

    Args:
        parser: an `argparse` parser, or a group of one for a model without groups.
        model: its field descriptions become the help.
        exclude: names of fields that get no option.
        show_defaults: whether the help names the defaults; False where another setting decides them.

    Returns:
        The groups by title, so that more options can be added to them.
    """
    groups: dict[str, Any] = {"": parser}
    for name, field in model.model_fields.items():
        if name not in exclude:
            option = option_of(field)
            if option.group not in groups:
                groups[option.group] = parser.add_argument_group(option.group)
            _add(groups[option.group], name, field, option, show_default=show_defaults)
    return groups


def option_of(field: FieldInfo) -> Option:
    """The `Option` that a field is annotated with."""
    return next((mark for mark in field.metadata if isinstance(mark, Option)), Option())


def _add(group: Any, name: str, field: FieldInfo, option: Option, *, show_default: bool) -> None:
    common: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS}
    if option.switches:
        for value, text in option.switches:
            group.add_argument(f"--{value}", action="store_const", const=value, help=text, **common)
        return
    flag = option.flag or name.replace("_", "-")
    if field.annotation is bool and not option.negatable:
        text = _help(field, show_default=False)
        action = "store_false" if field.default else "store_true"
        group.add_argument(f"--no-{flag}" if field.default else f"--{flag}", action=action, help=text, **common)
        return
    common |= {"help": _help(field, show_default=show_default), "required": field.is_required()}
    group.add_argument(f"--{flag}", **common, **_value(name, field, option))


def _value(name: str, field: FieldInfo, option: Option) -> dict[str, Any]:
    """What argparse must know of the values of a field."""
    kind = field.annotation
    if kind in (bool, bool | None):
        return {"action": argparse.BooleanOptionalAction}
    keywords: dict[str, Any] = {}
    if get_origin(kind) is tuple and option.repeatable:
        kind, keywords["action"] = get_args(kind)[0], "append"
        if option.several:
            keywords |= {"action": "extend", "nargs": "+"}
    if get_origin(kind) is Literal:
        placeholder = {"metavar": option.metavar} if option.metavar else {}
        return {**keywords, **placeholder, "choices": [str(choice) for choice in get_args(kind)]}
    kinds = {get_args(part)[0] if get_origin(part) is Annotated else part for part in (kind, *get_args(kind))}
    if Path in kinds:
        return {**keywords, "type": local_path, "metavar": option.metavar or "PATH"}
    by_type = "N" if int in kinds else "X" if float in kinds else name.split("_")[-1].upper()
    return {**keywords, "metavar": option.metavar or by_type}


def _help(field: FieldInfo, *, show_default: bool) -> str:
    text = " ".join((field.description or "").split())
    if not show_default:
        text = text.split(" (default")[0]
    elif "default" not in text and not field.is_required() and field.default not in (None, (), ""):
        text += f" (default: {_shown(field.default)})"
    return text.replace("%", "%%")


def _shown(default: object) -> str:
    return {True: "on", False: "off"}[default] if isinstance(default, bool) else str(default)
