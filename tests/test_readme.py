"""README and docs tell the truth: tables are the registries, commands parse, links lead somewhere."""

import importlib
import re
from pathlib import Path

import pytest

from datasets.benchmark.protocol import NAMED
from datasets.corpora.registry import corpora
from datasets.utils.errors import EarshotError
from orchestrator import audit
from orchestrator.tuning.arguments import parse
from tests.support.documented_commands import Command, all_commands
from trainables.methods.registry import methods

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
USAGE = PAGES[ROOT / "docs" / "usage.md"]


def first_column(page: str, heading: str) -> set[str]:
    """Names in the first column of the table below a heading."""
    section = page.split(f"## {heading}\n")[1].split("\n#")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_tables_are_the_registries() -> None:
    assert first_column(README, "Methods") == set(methods())
    assert first_column(USAGE, "Corpora") == set(corpora())
    assert first_column(USAGE, "Protocols") == set(NAMED)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 150


def test_the_table_of_methods_names_their_heads() -> None:
    for name, method in methods().items():
        (row,) = re.findall(rf"^\| `{name}` .*$", README, flags=re.MULTILINE)
        assert row.split("|")[-2].strip() == ", ".join(method.heads)


@pytest.mark.parametrize("command", [command for command in all_commands() if command.module], ids=str)
def test_commands_parse(command: Command) -> None:
    module, arguments = command.module, command.arguments
    assert module is not None
    assert (ROOT / (module.replace(".", "/") + ".py")).is_file()
    if module == "orchestrator.sweep" and "--resume" in arguments:
        with pytest.raises(EarshotError, match="expected a run folder"):
            parse(arguments)
    elif module == "orchestrator.sweep":
        assert parse(arguments)
    elif module == "orchestrator.audit":
        listed = audit.listed_corpora()
        assert audit.parser(listed.get(arguments[0])).parse_args(arguments)
    elif module == "orchestrator.prepare" and re.match(r"mycorpus\.py:|\./mypreset\.yaml", arguments[0]):
        pytest.skip("reads a file of docs/extending.md; tests/docs/test_extending.py runs it")
    elif module.startswith(("orchestrator.", "trainables.")):
        assert importlib.import_module(module).parser().parse_args(arguments)


def test_the_sweep_file_parses(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", USAGE, flags=re.DOTALL)
    path = tmp_path / "sweep.yaml"
    path.write_text(example, encoding="utf-8")
    assert parse(["--config", str(path)]).trials == 16


def test_links_lead_somewhere() -> None:
    for path, page in PAGES.items():
        for target in re.findall(r"\]\((?!http)([^)#]+)[^)]*\)", page):
            generated = target.startswith(("reference/", "../reference/"))  # the build of the site checks these
            assert generated or (path.parent / target).exists(), f"{path.name}: {target}"
