"""Lists what there is to choose from, with one line each.

    earshot methods       for --method of a sweep
    earshot spaces        search spaces, for --space
    earshot backbones     for --backbone
    earshot protocols     for --protocol
    earshot corpora       that `earshot prepare` reads
    earshot recipes       published settings, for --recipe of a sweep

Docs: docs/methods.md, docs/search.md, docs/backbone.md, docs/benchmarks.md, docs/recipes.md.
"""

import ast
import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from datasets.utils.cli import CommandLine, as_program

Rows = list[dict[str, str]]
"""Name of the column -> cell."""


def methods() -> Rows:
    """Every method, what it is, its track and its paper."""
    from trainables.methods.registry import FOLDER, method_names

    paths = {name: FOLDER / f"{name.replace('-', '_')}.py" for name in method_names()}
    return [
        {
            "method": name,
            "what it is": _constant(path, "summary"),
            "track": "transductive" if _constant(path, "transductive", "False") == "True" else "inductive",
            "paper": _constant(path, "paper"),
        }
        for name, path in paths.items()
    ]


def spaces() -> Rows:
    """Every search space that is shipped, and what it varies."""
    from search_spaces.files import shipped

    return [{"space": name, "what it is": _first_comment(path)} for name, path in shipped().items()]


def backbones() -> Rows:
    """Backbones that need no download, then a model of every family as an example."""
    from trainables.networks.backbones.registry import FOLDER, family_names
    from trainables.networks.shipped import shipped
    from trainables.networks.specs import DEFAULT, RANDOM

    rows = [
        {"backbone": name, "what it is": "shipped with Earshot" + (", the default" if name == DEFAULT else "")}
        for name in shipped()
    ]
    for name, (width, blocks, _) in RANDOM.items():
        rows.append({"backbone": name, "what it is": f"an AST of {blocks} blocks of {width} values, random weights"})
    for family in family_names():
        path = FOLDER / f"{family}.py"
        rows.append(_described("backbone", _constant(path, "EXAMPLE"), path))
    return rows


def protocols() -> Rows:
    """Every named protocol and its numbers; empty where the benchmark decides."""
    from datasets.benchmark.protocol import NAMED

    return [
        {
            "protocol": name,
            "base classes": _cell(protocol.base),
            "new classes": str(protocol.way),
            "shots": str(protocol.shot),
            "base shots": _cell(protocol.base_shot or protocol.shot),
            "sessions": _cell(protocol.sessions),
            "leaving classes": str(protocol.leave),
        }
        for name, protocol in NAMED.items()
    ]


def corpora() -> Rows:
    """Every corpus that `prepare` reads."""
    from datasets.corpora.preset import find_preset, preset_names
    from datasets.corpora.registry import corpora as known

    rows = [{"corpus": name, "what it is": corpus.summary} for name, corpus in known().items()]
    for name in preset_names():
        preset = find_preset(name)
        assert preset is not None  # it is a name of one
        rows.append({"corpus": name, "what it is": preset.summary})
    return rows


def recipes() -> Rows:
    """Every published setting, what the paper reports, and what has to be downloaded."""
    from recipes.files import read_recipe, shipped

    rows = []
    for name, path in shipped().items():
        recipe, settings = read_recipe(path)
        rows.append(
            {
                "recipe": name,
                "what it is": recipe.title,
                "methods": ", ".join(settings["space"]),
                "benchmark": settings["benchmark"],
                "paper reports": str(recipe.reports),
                "needs": ", ".join(recipe.needs),
            }
        )
    return rows


LISTS: dict[str, tuple[Callable[[], Rows], str, str]] = {
    "methods": (methods, "list the methods", "earshot sweep --method NAME"),
    "spaces": (spaces, "list the search spaces", "earshot sweep --space NAME"),
    "backbones": (
        backbones,
        "list the backbones",
        "earshot sweep --backbone NAME; also any other model of these kinds, by name on the hub, file or folder",
    ),
    "protocols": (
        protocols,
        "list the named protocols",
        "earshot sweep --protocol NAME; an empty cell: as many as the benchmark has",
    ),
    "corpora": (corpora, "list the corpora that prepare reads", "earshot prepare NAME --help"),
    "recipes": (
        recipes,
        "list the published settings",
        "earshot sweep --recipe NAME; where its benchmark is missing, it says how to make it",
    ),
}
"""Name of the list: its rows, a summary, and how the names are used."""


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`earshot methods` and the other lists."""
    options = parser().parse_args(arguments)
    rows = LISTS[options.list][0]()
    if options.json:
        from datasets.utils.json_values import json_text

        print(json_text(rows, indent=1))
        return 0
    from rich.table import Table
    from rich.text import Text

    from datasets.utils.console import output_console

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row.values()))
    console = output_console()
    console.print(table)
    console.print(Text(f"\n{LISTS[options.list][2]}"))
    return 0


def parser() -> CommandLine:
    """The parser of the command line."""
    command = CommandLine("orchestrator.lists", description=__doc__)
    command.add_argument("list", choices=tuple(LISTS), metavar="LIST", help=", ".join(LISTS))
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return command


def _described(column: str, name: str, path: Path) -> dict[str, str]:
    """The first line of a module's docstring, without importing the module."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return {column: name, "what it is": text.partition("\n")[0].replace("`", "").rstrip(".:")}


def _constant(path: Path, name: str, default: str | None = None) -> str:
    """The value of a constant of a module or of a class in it, without importing the module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return str(ast.literal_eval(node.value))
    assert default is not None, f"{path} has no {name}"
    return default


def _first_comment(path: Path) -> str:
    """The first sentence of the comment at the head of a YAML file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return " ".join(line.lstrip("# ") for line in comment).partition(". ")[0].rstrip(".")


def _cell(value: object) -> str:
    return "" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(main())
