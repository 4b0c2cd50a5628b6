"""Reference pages of the site, generated from the code whenever the site is built, so that they cannot become outdated;
and the page of `docs/leaderboard.jsonl`.

MkDocs calls `on_files`; the pages are not stored as files. It calls `on_config` first, which adds the page of each
method to the navigation: those are files (`python -m benchmarks.method_pages` writes them), and the page of each
module, by package and room.
"""

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mkdocs.structure.files import File

PACKAGES = ("datasets", "trainables", "orchestrator")

ROOT = Path(__file__).resolve().parent.parent


def on_config(config: Any) -> Any:
    """Adds the pages of methods and of modules to the section 'Reference' of the navigation."""
    if str(ROOT) not in sys.path:  # `mkdocs build` does not add it, and restores the path after it has read this file
        sys.path.insert(0, str(ROOT))
    from trainables.methods.registry import method_names

    pages = [{name: f"methods/{name}.md"} for name in method_names()]
    for section in config["nav"]:
        if "Reference" in section:
            section["Reference"] += [{"Methods one by one": pages}, *({name: _navigation(name)} for name in PACKAGES)]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the generated pages."""
    pages = {"commands": commands(), "configuration": configuration(), "methods": methods(), "corpora": corpora()}
    pages |= {_page(name): module(name) for package in PACKAGES for name in module_names(package)}
    for name, content in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    files.append(File.generated(config, "leaderboard.html", content=leaderboard()))
    return files


def leaderboard() -> str:
    """The page of the chains of docs/methods.md."""
    from datasets.utils.location import Location
    from orchestrator.publishing.leaderboard import read
    from orchestrator.reporting.html.leaderboard import leaderboard_page

    return leaderboard_page(read(Location.of(str(ROOT / "docs" / "leaderboard.jsonl"))), "Leaderboard")


def commands() -> str:
    """The help of every command."""
    from orchestrator.__main__ import COMMANDS, EXIT_STATUSES

    statuses = [f"| {status} | {text} |" for status, text in EXIT_STATUSES.items()]
    parts = [
        "# Command line",
        "`earshot sweep` and `python -m orchestrator.sweep` are the same. Results go to stdout, messages to stderr;"
        " `NO_COLOR` is respected.",
        "\n".join(["| exit status | meaning |", "|---|---|", *statuses]),
        "Completion: `earshot completion bash > ~/.local/share/bash-completion/completions/earshot`.",
    ]
    for name, (module, text) in COMMANDS.items():
        parser = importlib.import_module(module).parser()
        parts += [f"## {name}", f"{text[0].upper()}{text[1:]}.", _verbatim(_help(parser))]
        parts += [f"### {name} {verb}\n\n{_verbatim(_help(subparser))}" for verb, subparser in _subcommands(parser)]
    return "\n\n".join(parts)


def configuration() -> str:
    """All settings of a sweep, from the model that validates them."""
    from orchestrator.tuning.config import SweepConfig

    return "\n\n".join(
        [
            "# Configuration of a sweep",
            "Keys of a YAML file for `--config`. Every key is also an option (`search_seed` is `--search-seed`), except"
            " `show` (`--verbose`, `--json`). The resolved configuration is stored in the run folder as `sweep.json`.",
            _fields(SweepConfig),
            "## protocol",
            "The name of a protocol, or these fields.",
            _fields(importlib.import_module("datasets.benchmark.protocol").Protocol),
        ]
    )


def methods() -> str:
    """The settings of every method."""
    from trainables.methods.registry import methods as all_methods

    parts = [
        "# Settings of methods",
        "Settings that a search space can fix or vary. Defaults are the published values, for a transformer where"
        " there are some; [differences](../methods.md#differences-from-the-published-methods).",
    ]
    for name, method in all_methods().items():
        parts += [
            f"## {name}",
            f"{method.summary}.{' Transductive.' * method.transductive} Heads: {', '.join(method.heads)}.",
            _fields(method.Settings),
        ]
    return "\n\n".join(parts)


def corpora() -> str:
    """The options of every corpus."""
    from datasets.corpora.registry import corpora as all_corpora

    parts = ["# Options of corpora", "Options of `earshot prepare CORPUS`."]
    for name, corpus in all_corpora().items():
        parts += [f"## {name}", f"{corpus.summary}.", _fields(corpus.options_type)]
    return "\n\n".join(parts)


def module_names(package: str) -> list[str]:
    """The modules of a package, sorted."""
    path = importlib.import_module(package).__path__
    return sorted(
        found.name
        for found in pkgutil.walk_packages(path, f"{package}.")
        if not found.ispkg and not found.name.endswith("__main__")
    )


def module(name: str) -> str:
    """The public names of a module; in a search they come after the pages that explain."""
    options = "    options:\n      show_root_heading: false"
    return f"---\nsearch:\n  boost: 0.5\n---\n\n# {name}\n\n::: {name}\n{options}"


def _page(name: str) -> str:
    """`datasets.audio.recordings` -> `datasets/audio/recordings`, below `reference/`."""
    return name.replace(".", "/")


def _navigation(package: str) -> list[Any]:
    """Pages of the modules of a package, then its rooms with theirs."""
    entries: list[Any] = []
    rooms: dict[str, list[Any]] = {}
    for name in module_names(package):
        *room, last = name.split(".")[1:]
        page = {last: f"reference/{_page(name)}.md"}
        (rooms.setdefault(".".join(room), []) if room else entries).append(page)
    return entries + [{room: pages} for room, pages in rooms.items()]


def _fields(model: Any) -> str:
    """A table of the fields of a pydantic model."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    defaults = json.loads(model.model_construct().model_dump_json(exclude_unset=False))
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else f"`{json.dumps(defaults.get(name))}`"
        cells = (f"`{name}`", f"`{_kind(field.annotation)}`", default, field.description or "")
        rows.append("| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _kind(annotation: Any) -> str:
    """'int or none', 'tpe, random or grid', 'list of str'."""
    inner = [argument for argument in get_args(annotation) if argument is not Ellipsis]
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join([", ".join(map(str, inner[:-1])), str(inner[-1])]) if len(inner) > 1 else str(inner[0])
    if origin is Annotated:
        return _kind(inner[0])
    if origin in (tuple, list):
        return f"list of {_kind(inner[0])}"
    if origin in (Union, UnionType):
        return " or ".join(map(_kind, inner))
    return {"NoneType": "none", "Path": "path"}.get(annotation.__name__, annotation.__name__)


def _subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _help(parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=110)  # type: ignore[assignment]
    return parser.format_help()


def _verbatim(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"
