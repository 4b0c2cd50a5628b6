"""Methods are found by the names of their files; a protocol must provide what a method needs."""

import subprocess
import sys
from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from trainables.learners.transductive_learner import TransductiveLearner
from trainables.methods.registry import find_method, method_names, methods, recorded_code

ROOM = {"trainables.methods.outside", "trainables.methods.registry"}
"""What finding a method imports of the room, whichever it is."""
ROOM = {"trainables.methods.outside", "trainables.methods.registry"}
"""What finding a method imports of the room, whichever it is."""
ROOT = Path(__file__).parents[3]


def loaded_after(code: str) -> set[str]:
    """Modules that are loaded in a new process after running `code`."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def test_the_names_of_the_files_are_those_of_the_methods() -> None:
    known = methods()
    assert tuple(known) == method_names() == tuple(sorted(known))
    assert {name: method.name for name, method in known.items()} == {name: name for name in known}
    assert {"ede", "mfcc-ncm", "pass", "simplecil"} <= set(known)


def test_methods_that_score_a_batch_declare_it() -> None:
    declared = {name for name, method in methods().items() if method.transductive}
    assert declared == {name for name, method in methods().items() if issubclass(method, TransductiveLearner)}


def test_an_error_suggests_the_name_of_a_method() -> None:
    with pytest.raises(EarshotError) as caught:
        find_method("edee")
    assert str(caught.value) == "method 'edee': not known; did you mean 'ede'?"


@pytest.mark.parametrize("name", ["registry", "__init__", "mfcc_ncm"])
def test_other_files_and_spellings_are_no_methods(name: str) -> None:
    with pytest.raises(EarshotError, match=f"method '{name}': not known"):
        find_method(name)


def test_a_method_of_earshot_for_a_model_of_one_from_outside() -> None:
    with pytest.raises(EarshotError) as caught:
        recorded_code("mine", "mine.py:My", "0" * 64, "ede", "model.json")
    expected = "method 'ede': one of Earshot, but model.json was made with 'mine' of mine.py:My; give its code: "
    assert str(caught.value) == f"{expected}--method mine.py:My"


def test_names_and_unknown_names_import_neither_a_method_nor_pytorch() -> None:
    code = """
from datasets.utils.errors import EarshotError
from trainables.methods.registry import find_method, method_names
method_names()
try:
    find_method("edee")
except EarshotError:
    pass
"""
    loaded = loaded_after(code)
    assert "trainables.methods.registry" in loaded
    assert not {name for name in loaded if name in ("torch", "transformers", "ray", "trainables.learners")}
    assert not {name for name in loaded if name.startswith("trainables.methods.")} - ROOM


def test_finding_a_method_imports_its_file_only() -> None:
    loaded = loaded_after("from trainables.methods.registry import find_method; find_method('simplecil')")
    in_room = {name.rpartition(".")[2] for name in loaded if name.startswith("trainables.methods.")}
    assert in_room == {"outside", "registry", "simplecil"}
