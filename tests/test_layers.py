"""The direction of imports: between packages, between the rooms inside them, and who may import Ray."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("datasets", "trainables", "search_spaces", "recipes", "orchestrator", "earshot")

ALLOWED = {
    "datasets.utils": [],
    "datasets.audio": ["datasets.utils"],
    "datasets.synthesis": [],
    "datasets.tables": ["datasets.utils"],
    "datasets.benchmark": ["datasets.audio", "datasets.utils"],
    "datasets.corpora": [
        "datasets.benchmark",
        "datasets.tables",
        "datasets.audio",
        "datasets.synthesis",
        "datasets.utils",
    ],
    "trainables.networks": ["trainables.networks.backbones", "datasets"],
    "trainables.networks.backbones": ["trainables.networks", "datasets"],
    "trainables.store": ["datasets"],
    "trainables.learners.analytic": [],
    "trainables.learners": ["trainables.learners.analytic", "trainables.networks", "trainables.store", "datasets"],
    "trainables.methods": [
        "trainables.learners.analytic",
        "trainables.learners",
        "trainables.networks",
        "trainables.store",
        "datasets",
    ],
    "trainables.inference": [
        "trainables.methods",
        "trainables.learners",
        "trainables.networks",
        "trainables.store",
        "trainables.metrics",
        "trainables.records",
        "trainables.temperature",
        "trainables.unknown_score",
        "datasets",
    ],
    "trainables.method_checks": [
        "trainables.inference",
        "trainables.learners",
        "trainables.networks",
        "trainables.store",
        "datasets",
    ],
    "trainables.pretraining.generator": [],
    "trainables.pretraining": ["trainables.pretraining.generator", "trainables.networks", "datasets"],
    "search_spaces": ["trainables", "datasets"],
    "recipes": ["datasets"],
    "earshot": ["orchestrator", "trainables", "datasets"],
    "orchestrator.results": ["trainables", "datasets"],
    "orchestrator.statistics": ["orchestrator.results", "trainables", "datasets"],
    "orchestrator.publishing": ["orchestrator.statistics", "orchestrator.results", "trainables", "datasets"],
    "orchestrator.reporting.html": [
        "orchestrator.reporting",
        "orchestrator.publishing",
        "orchestrator.statistics",
        "orchestrator.results",
        "trainables",
        "datasets",
    ],
    "orchestrator.reporting": [
        "orchestrator.reporting.html",
        "orchestrator.publishing",
        "orchestrator.statistics",
        "orchestrator.results",
        "trainables",
        "datasets",
    ],
    "orchestrator.exporting": ["orchestrator.publishing", "orchestrator.results", "trainables", "datasets"],
    "orchestrator.cluster": ["datasets"],
    "orchestrator.preparation": ["orchestrator.cluster", "datasets"],
    "orchestrator.auditing": ["orchestrator.reporting", "orchestrator.cluster", "datasets"],
    "orchestrator.monitoring": ["orchestrator.reporting.html", "orchestrator.results", "trainables", "datasets"],
    "orchestrator.tuning": [
        "orchestrator.monitoring",
        "orchestrator.reporting",
        "orchestrator.results",
        "orchestrator.preparation",
        "orchestrator.cluster",
        "search_spaces",
        "recipes",
        "trainables",
        "datasets",
    ],
}
"""Room: what it may import of ours. A room that is not here (the commands, single modules of `trainables`) may import
all that its package may."""

COMMANDS = [f"orchestrator.{path.stem}" for path in sorted((ROOT / "orchestrator").glob("*.py"))]


def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def room_of(module: str) -> str:
    """The longest name of `ALLOWED` that the module lies in, else its package."""
    parts = module.split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in names if name in ALLOWED), parts[0])


def lies_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def test_every_room_is_ruled() -> None:
    rooms = {name for name, path in MODULES.items() if path.name == "__init__.py" and "." in name}
    assert rooms == set(ALLOWED) - {"search_spaces", "recipes", "earshot"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_one_way(module: str) -> None:
    own = room_of(module)
    packages = {
        "datasets": ["datasets"],
        "trainables": ["trainables", "datasets"],
        "search_spaces": ["search_spaces", "trainables", "datasets"],
        "recipes": ["recipes", "datasets"],
        "orchestrator": ["orchestrator", "trainables", "search_spaces", "recipes", "datasets"],
    }
    allowed = [own, *ALLOWED[own]] if own in ALLOWED else packages[own]
    wrong = [
        imported
        for imported in imports(MODULES[module])
        if imported.split(".")[0] in PACKAGES and not any(lies_in(imported, room) for room in allowed)
    ]
    assert wrong == [], f"{module} may import {allowed}"


@pytest.mark.parametrize("room", ALLOWED)
def test_every_permission_is_used(room: str) -> None:
    used = [name for module, path in MODULES.items() if room_of(module) == room for name in imports(path)]
    assert [one for one in ALLOWED[room] if not any(lies_in(name, one) for name in used)] == []


@pytest.mark.parametrize("module", [name for name in MODULES if name not in (*COMMANDS, "earshot.__main__")])
def test_nothing_imports_a_command(module: str) -> None:
    assert [imported for imported in imports(MODULES[module]) if imported in COMMANDS] == []


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("orchestrator")])
def test_what_computes_does_not_import_ray(module: str) -> None:
    if module != "trainables.trial":
        assert [imported for imported in imports(MODULES[module]) if imported.split(".")[0] == "ray"] == []


def test_rooms_have_no_circles() -> None:
    """Modules, too: a circle between two files would show as an import inside of a function."""
    graph = {name: {i for i in imports(path) if i in MODULES and i != name} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for imported in sorted(graph[name]):
                visit(imported, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())
