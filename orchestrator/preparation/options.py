"""Options of a corpus as flags of a command line."""

import argparse
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from datasets.corpora.corpus import CorpusOptions
from datasets.utils.cli import local_path


def add_options(group: Any, options: type[CorpusOptions]) -> None:
    """One flag per field; values stay text here, pydantic turns and checks them."""
    for name, field in options.model_fields.items():
        text = " ".join((field.description or "").split()).replace("%", "%%")
        if "default" not in text and not field.is_required():
            text += f" (default: {_shown(field.default)})"
        keywords: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text, "required": field.is_required()}
        kind = field.annotation
        if kind is bool:
            keywords["action"] = argparse.BooleanOptionalAction
        elif get_origin(kind) is Literal:
            keywords["choices"] = [str(choice) for choice in get_args(kind)]
        elif get_origin(kind) is tuple:
            keywords |= {"action": "append", "metavar": "DIR"}
        elif Path in (kind, *get_args(kind)):
            keywords |= {"type": local_path, "metavar": "PATH"}
        else:
            keywords["metavar"] = "X" if kind is float else "N"
        group.add_argument(f"--{name.replace('_', '-')}", **keywords)


def _shown(default: object) -> str:
    return {True: "on", False: "off"}[default] if isinstance(default, bool) else str(default)
