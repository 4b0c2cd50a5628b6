"""`earshot methods` and the other lists."""

import json

import pytest

from datasets.benchmark.protocol import NAMED
from datasets.corpora.preset import preset_names
from datasets.corpora.registry import corpora
from orchestrator.__main__ import main
from orchestrator.lists import LISTS
from recipes.files import shipped as recipes
from search_spaces.files import shipped as spaces
from trainables.methods.registry import find_method, method_names
from trainables.networks.backbones.registry import family_names
from trainables.networks.shipped import shipped as backbones
from trainables.networks.specs import RANDOM

NAMES = {
    "methods": {*method_names()},
    "spaces": {*spaces()},
    "backbones": {*backbones(), *RANDOM},
    "protocols": {*NAMED},
    "corpora": {*corpora(), *preset_names()},
    "recipes": {*recipes()},
}


@pytest.mark.parametrize("name", LISTS)
def test_lists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every name, each with a text."""
    assert main([name, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    listed = [next(iter(row.values())) for row in rows]
    assert len(listed) == len(set(listed)) and NAMES[name] <= set(listed)
    assert all(list(row.values())[1] != "" for row in rows) or name == "protocols"
    if name == "backbones":
        assert len(rows) == len(NAMES[name]) + len(family_names())
    if name == "methods":
        tracks = {row["method"]: row["track"] == "transductive" for row in rows}
        assert tracks == {method: find_method(method).transductive for method in method_names()}
    assert main([name]) == 0
    printed = capsys.readouterr().out
    assert all(one in printed for one in listed) and printed.splitlines()[-1].startswith("earshot ")
