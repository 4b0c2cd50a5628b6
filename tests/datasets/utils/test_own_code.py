"""The code of a network of the user's own: which files it consists of, their digest, and how it is imported."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from datasets.utils.own_code import PLACES, OwnCode, find_code

ENCODER = """
import json
import layers


def encoder():
    from more.late import LATE
    return layers.N, LATE
"""
RELATIVE = """
from . import other
from .. import shared


def encoder():
    return other.N, shared.N
"""
PROJECT = {
    "encoder.py": ENCODER,
    "layers.py": "from deeper import N\n",
    "deeper.py": "import torch, trainables\nN = 1\n",
    "more/late.py": "LATE = 2\n",  # a folder without __init__.py
    "json.py": "raise AssertionError('the standard library comes first')\n",
    "unused.py": "",
    "lab/__init__.py": "",
    "lab/nets/__init__.py": "from .parts import PART\n",
    "lab/nets/encoders.py": RELATIVE,
    "lab/nets/other.py": "N = 3\n",
    "lab/nets/parts.py": "PART = 4\n",
    "lab/shared.py": "import deeper\nN = 5\n",
}
FILE, MODULE = "encoder.py", "lab.nets.encoders"


@pytest.fixture(autouse=True)
def _no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def write(folder: Path, **changes: str) -> Path:
    """Writes the project."""
    for name, text in {**PROJECT, **changes}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def code(folder: Path, where: str = FILE) -> OwnCode:
    return find_code(f"{folder / where if where == FILE else where}:encoder")


def test_the_digest_of_one_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "encoder.py").write_text("import torch\n")
    assert code(tmp_path).digest == hashlib.sha256(b"import torch\n").hexdigest()


@pytest.mark.parametrize(
    ("where", "covered"),
    [
        (FILE, {"encoder.py", "layers.py", "deeper.py", "more/late.py"}),
        (MODULE, {name for name in PROJECT if name.startswith("lab/")} | {"deeper.py"}),
    ],
)
def test_the_digest_covers_what_the_file_imports(
    where: str, covered: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write(tmp_path))
    before = code(tmp_path, where)
    digest = before.digest
    assert {str(path.relative_to(before.root)) for path in before.files.values()} == covered
    for name, text in PROJECT.items():
        (tmp_path / name).write_text(text + "# changed\n")
        assert (code(tmp_path, where).digest != digest) == (name in covered), name
        (tmp_path / name).write_text(text)
    assert code(write(tmp_path / "moved")).digest == code(tmp_path).digest


def test_of_an_installed_package_only_its_own_files_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "site-packages")
    monkeypatch.syspath_prepend(folder)
    assert {path.parts[len(folder.parts)] for path in code(folder, MODULE).files.values()} == {"lab"}


def test_folders_with_modules_of_the_same_names(tmp_path: Path) -> None:
    """Each network gets its own, also after an edit."""
    first = write(tmp_path / "first")
    second = write(tmp_path / "second", **{"deeper.py": "N = 10\n"})
    assert code(first).load()() == (1, 2)
    assert code(second).load()() == (10, 2)
    (first / "more" / "late.py").write_text("LATE = 200\n")
    assert code(first).load()() == (1, 200)
    assert code(second).load()() == (10, 2)


@pytest.mark.parametrize("order", [("with", "without"), ("without", "with")])
def test_packages_with_and_without_an_init_of_the_same_name(
    order: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in order:
        folder = write(tmp_path / name, **{"laboratory/encoders.py": f"def encoder(): return {name!r}\n"})
        if name == "with":
            (folder / "laboratory" / "__init__.py").write_text("")
        with monkeypatch.context() as scoped:
            scoped.chdir(folder)
            scoped.setattr(sys, "path", list(sys.path))
            assert code(folder, "laboratory.encoders").load()() == name


def test_a_module_that_another_one_hides_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "encoder.py").write_text("import rich\n\n\ndef encoder(): ...\n")
    (tmp_path / "rich.py").write_text("")
    with pytest.raises(EarshotError, match=r"expected module rich from .*rich\.py, found the one from .*; rename it$"):
        code(tmp_path).load()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/encoder.py:encoder", "no such file$"),
        ("nowhere.encoders:encoder", "no module nowhere.encoders on Python's path or in the current folder$"),
        ("lab.nothing:encoder", "no module lab.nothing on"),
        ("lab.nets.broken:encoder", r"lab\.nets\.broken cannot be imported: SyntaxError: "),
        ("lab.nets.exits:encoder", r"lab\.nets\.exits cannot be imported: SystemExit: 3"),
        ("lab.nets.other:encoder", r"lab\.nets\.other has no function encoder$"),
    ],
)
def test_code_that_cannot_be_used_is_one_line(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"lab/nets/broken.py": "def encoder(:\n", "lab/nets/exits.py": "raise SystemExit(3)\n"}
    monkeypatch.chdir(write(tmp_path, **files))
    with pytest.raises(EarshotError, match=f"^backbone '{name}': {message}") as caught:
        find_code(name).load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", [FILE, MODULE])
def test_a_worker_of_another_machine_uses_the_copy(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, outside = write(tmp_path / "home"), tmp_path / "outside"
    outside.mkdir()
    monkeypatch.chdir(home)
    original = code(home, where)
    expected = original.load()()
    copies = original.copy(tmp_path / "node")
    monkeypatch.setenv(PLACES, copies.name)
    monkeypatch.setattr(sys, "path", [str(copies.parent), *sys.path])
    assert code(home, where).root == home  # the same code is there: its data files may be beside it
    (home / "deeper.py").write_text("N = 'another version'\n")
    assert code(home, where).root == copies
    monkeypatch.chdir(outside)
    home.rename(tmp_path / "away")
    copied = code(home, where)
    assert (copied.root, copied.digest) == (copies, original.digest)
    assert copied.load()() == expected


def test_workers_of_this_machine_search_the_folder_of_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    with pytest.raises(EarshotError, match="no module"):
        code(tmp_path, MODULE)
    monkeypatch.setenv(PLACES, os.pathsep.join([str(tmp_path / "other"), str(tmp_path)]))
    assert code(tmp_path, MODULE).load()() == (3, 5)
