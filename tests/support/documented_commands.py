"""The commands of README and docs, as a reader would copy them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from orchestrator.__main__ import COMMANDS
from orchestrator.lists import LISTS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@dataclass(frozen=True)
class Command:
    """A line of a fenced `sh` block.

    Attributes:
        page: where it is.
        line: as it is written, continued lines joined.
    """

    page: str
    line: str

    @property
    def words(self) -> list[str]:
        """The words of the command as `python -m MODULE ...`, also of `earshot VERB ...`; without redirections."""
        words = shlex.split(self.line.split(" > ")[0], comments=True)
        if words[:1] == ["earshot"] and words[1:2] and words[1] in COMMANDS:
            return ["python", "-m", COMMANDS[words[1]][0], *words[2:]]
        if words[:1] == ["earshot"] and words[1:2] and words[1] in LISTS:
            return ["python", "-m", "orchestrator.lists", *words[1:]]
        return words

    @property
    def module(self) -> str | None:
        """The module of a command of ours; None for other programs."""
        return self.words[2] if self.words[:2] == ["python", "-m"] else None

    @property
    def arguments(self) -> list[str]:
        """The arguments of a command of ours."""
        return self.words[3:]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.line.split())}"


def commands_of(page: Path, containing: str = "") -> list[Command]:
    """All commands of a page, in order; with `containing` those of the blocks with this text."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    blocks = [block for block in blocks if containing in block]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    return [Command(page.name, line) for line in lines]


def own_recordings() -> list[Command]:
    """The commands of the README for one's own recordings, after the activation of the environment."""
    return commands_of(ROOT / "README.md", "earshot prepare folder")[1:]


def all_commands() -> list[Command]:
    """Every command of README and docs, each once."""
    found: dict[tuple[str, ...], Command] = {}
    for page in PAGES:
        for command in commands_of(page):
            found.setdefault(tuple(command.words), command)
    return list(found.values())
