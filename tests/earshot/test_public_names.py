"""The names of the library: imported when they are used, and none of them hidden by a module."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import earshot
from tests.test_start_up import HEAVY, packages

SOURCE = Path(earshot.__file__)


def test_importing_it_imports_nothing_heavy() -> None:
    code = "import earshot; earshot.EarshotError, earshot.sweep, earshot.prepare, earshot.load_run, earshot.load_model"
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, cwd=SOURCE.parents[1], capture_output=True, text=True, check=True)
    assert packages(done.stderr) & HEAVY == set()


@pytest.mark.parametrize("name", earshot.__all__)
def test_public_names(name: str) -> None:
    value = getattr(earshot, name)
    assert not isinstance(value, ModuleType) and value.__doc__ and name in dir(earshot)
    assert not (SOURCE.parent / f"{name}.py").exists(), "a module of this name would hide it"


def test_what_type_checkers_see_is_what_is_imported() -> None:
    (block,) = (
        node
        for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.If) and "TYPE" in ast.dump(node.test)
    )
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == earshot._MODULES and sorted(seen) == earshot.__all__


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match=re.escape("module 'earshot' has no attribute 'swep'")):
        _ = earshot.swep
