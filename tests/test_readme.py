"""The README tells the truth: its tables are the registries, its commands parse."""

import re
import shlex
from pathlib import Path

import pytest

from datasets.corpus import corpora
from datasets.protocol import NAMED
from orchestrator.prepare import _parser
from orchestrator.settings import parse
from trainables.learner import methods

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("python -m")
]


def first_column(heading: str) -> set[str]:
    section = README.split(f"### {heading}\n")[1].split("\n#")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, flags=re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_tables_are_the_registries() -> None:
    assert first_column("Corpora") == set(corpora())
    assert first_column("Methods") == set(methods())
    assert first_column("Protocols") == set(NAMED)


def test_the_table_of_methods_names_their_heads() -> None:
    for name, method in methods().items():
        (row,) = re.findall(rf"^\| `{name}` .*$", README, flags=re.MULTILINE)
        assert row.split("|")[-2].strip() == ", ".join(method.heads)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_parse(command: list[str]) -> None:
    module, arguments = command[2], command[3:]
    assert (ROOT / (module.replace(".", "/") + ".py")).is_file()
    if module == "orchestrator.sweep":
        assert parse(arguments)
    elif module == "orchestrator.prepare":
        assert _parser().parse_args(arguments)


def test_the_sweep_file_parses(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    path = tmp_path / "sweep.yaml"
    path.write_text(example, encoding="utf-8")
    assert parse(["--config", str(path)]).trials == 16


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
