"""Code of the user's own: where it is, which files it consists of, their digest. Imports no PyTorch.

A network, a method or a corpus that is not part of Earshot is named by its code. `file.py:name` is a path.
`package.module:name` is looked up on Python's path, then in the current folder. The name is that of a function that
makes a network, or of a class.

The code is the file of that name and the Python files that it imports, at the top of a module or inside of functions,
directly or through others. Files in the same root count: the folder of `file.py`, or the folder that contains the
package; in an installed package (`site-packages`) the files of that package. Other installed packages, Earshot itself,
modules that are imported under a computed name, and data files do not.

The workers of a joined cluster get a copy of these files (`OwnCode.copy`), which they use where the original is not
there or differs.
"""

import ast
import hashlib
import importlib
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from datasets.utils.errors import EarshotError, first_line

PLACES = "EARSHOT_CODE"
"""Environment variable of workers, names with `os.pathsep` between: absolute folders, which are searched for modules
after Python's path; and names of folders of copies, which are on Python's path."""

INSTALLED = ("site-packages", "dist-packages")
EARSHOT = ("datasets", "earshot", "orchestrator", "recipes", "search_spaces", "trainables")

CodeKind = Literal["backbone", "method", "corpus"]
ATTRIBUTES: dict[CodeKind, str] = {"backbone": "function", "method": "class", "corpus": "class"}
"""What the code of each kind names."""

_CODE = re.compile(r"^(?:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|.+\.py):[A-Za-z_]\w*$")

_imported: dict[str, tuple[Path, str]] = {}
"""Modules of users' code that this process has imported: their files, and the SHA-256 of each at that time."""
_roots: set[str] = set()
"""Folders of users' code that this process has added to Python's path."""


@dataclass(frozen=True)
class OwnCode:
    """The files of a network, a method or a corpus.

    Attributes:
        kind: which of them.
        name: `file.py:name` or `package.module:name`.
        root: the folder that its modules are imported from.
        module: its module below the root.
        files: module -> file; the first is that of the function or class.
        copied: whether these are the copies that a worker got.
    """

    kind: CodeKind
    name: str
    root: Path
    module: str
    files: dict[str, Path]
    copied: bool = False

    @property
    def file(self) -> Path:
        """The file of the function or class."""
        return self.files[self.module]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the code: that of the only file, or of the names and digests of several.

        Empty files do not count, so that a package with an empty `__init__.py` has the digest of its module.
        """
        filled = [path for path in self.files.values() if path.stat().st_size]
        if len(filled) < 2:
            return _digest(filled[0] if filled else self.file)
        lines = sorted(f"{path.relative_to(self.root).as_posix()} {_digest(path)}\n" for path in filled)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def copy_name(self) -> str:
        """The name of the folder of copies."""
        where = str(self.file) if _is_file(self.name) else self.module
        return f"{_copy_prefix(where)}{self.digest[:16]}"

    def copy(self, folder: Path) -> Path:
        """Copies the files to a new folder in `folder`, which is returned."""
        copies = folder / self.copy_name
        for path in self.files.values():
            target = copies / path.relative_to(self.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        return copies

    def load(self) -> Any:
        """Imports the module; the function or class that the name names.

        Raises:
            EarshotError: it cannot be imported, another module of the same name has been, or it has none of that name.
        """
        where, _, attribute = self.name.rpartition(":")
        self._forget_others()
        self._put_on_path()
        importlib.invalidate_caches()
        try:
            module = self._module_of_file() if _is_file(self.name) else importlib.import_module(self.module)
        except (Exception, SystemExit) as error:  # the user's code
            raise EarshotError(
                f"{self.kind} '{self.name}': {where} cannot be imported: {type(error).__name__}: {first_line(error)}"[
                    :400
                ]
            ) from None
        self.check_places()
        found = getattr(module, attribute, None)
        if not callable(found):
            raise EarshotError(f"{self.kind} '{self.name}': {where} has no {ATTRIBUTES[self.kind]} {attribute}")
        return found

    def _put_on_path(self) -> None:
        """Installed packages come first, except where a copy replaces what a node has; then this root, then others."""
        root = str(self.root)
        if root in sys.path and root not in _roots:
            return
        sys.path[:] = [place for place in sys.path if place != root]
        others = [sys.path.index(other) for other in _roots if other in sys.path]
        sys.path.insert(0 if self.copied else min(others, default=len(sys.path)), root)
        _roots.add(root)

    def _module_of_file(self) -> ModuleType:
        """The module of `file.py`, under a name of its own: files of other folders may have the same."""
        key = hashlib.sha256(f"{self.file} {self.digest}".encode()).hexdigest()
        name = f"earshot_own_{key[:16]}"
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, self.file)
            assert spec is not None and spec.loader is not None
            module = sys.modules[name] = importlib.util.module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
        return sys.modules[name]

    def _forget_others(self) -> None:
        """Removes modules of the same names that came from other users' code, or from files that have changed since."""
        roots = tuple(root + os.sep for root in _roots)
        packages = {package for module in self.files for package in _packages(module)}
        ours = [
            module
            for module in packages | set(self.files)
            if (loaded := sys.modules.get(module)) and _place(loaded).startswith(roots)
        ]
        if any(not self._is_current(module) for module in ours):
            for module in ours:
                _imported.pop(module, None)
                del sys.modules[module]

    def _is_current(self, module: str) -> bool:
        """Whether an imported module is what an import would give now; a package without a file is a namespace."""
        file = self.files.get(module)
        if file is None:
            return getattr(sys.modules[module], "__file__", None) is None
        return _imported.get(module) == (file, _digest(file))

    def check_places(self) -> None:
        """Checks that what has been imported by now is what the digest covers.

        Raises:
            EarshotError: a module comes from elsewhere.
        """
        for module, path in self.files.items():
            loaded = sys.modules.get(module)
            if loaded is None or (_is_file(self.name) and module == self.module):
                continue
            place = getattr(loaded, "__file__", None)
            if place is None or Path(place).resolve() != path.resolve():
                raise EarshotError(
                    f"{self.kind} '{self.name}': expected module {module} from {path}, found the one from {place}; "
                    "rename it"
                )
            _imported[module] = (path, _digest(path))


def is_code(name: str) -> bool:
    """Whether a name is that of code: `file.py:name` or `package.module:name`.

    Such code runs, so its name comes from the user, never from the folder of a run or of an export.
    """
    return _CODE.match(name) is not None


def absolute_code(name: str) -> str:
    """The name of code with the absolute path of its file, if it is a path: workers run in other folders."""
    path, _, attribute = name.rpartition(":")
    return f"{os.path.normpath(Path.cwd() / path)}:{attribute}" if _is_file(name) else name


def find_code(name: str, kind: CodeKind = "backbone") -> OwnCode:
    """The code called `name`, without running it.

    Args:
        name: see the docstring of this module.
        kind: what it is expected to be.

    Raises:
        EarshotError: there is no such file or module.
    """
    code, where = _original(kind, name), name.rpartition(":")[0]
    for place in _places():
        if place.startswith(_copy_prefix(where)) and (code is None or not place.endswith(code.digest[:16])):
            spec = importlib.util.find_spec(place)
            if spec is not None and spec.submodule_search_locations:
                return _code(kind, name, Path(next(iter(spec.submodule_search_locations))), copied=True)
    if code is None:
        what = "no such file" if _is_file(name) else f"no module {where} on Python's path or in the current folder"
        raise EarshotError(f"{kind} '{name}': {what}")
    return code


def _original(kind: CodeKind, name: str) -> OwnCode | None:
    where = name.rpartition(":")[0]
    if _is_file(name):
        return _code(kind, name, Path(where).resolve().parent) if Path(where).is_file() else None
    importlib.invalidate_caches()
    top = where.partition(".")[0]
    spec = PathFinder.find_spec(top, [*sys.path, *filter(os.path.isabs, _places()), str(Path.cwd())])
    if spec is None and top not in sys.modules:
        spec = importlib.util.find_spec(top)  # packages that are installed as editable may have a finder of their own
    places = [Path(place).parent for place in (spec.submodule_search_locations or [])] if spec else []
    if spec is not None and not places and spec.origin:
        places = [Path(spec.origin).parent]
    root = next((place.resolve() for place in places if _file_of(place, where)), None)
    return None if root is None else _code(kind, name, root)


def _code(kind: CodeKind, name: str, root: Path, *, copied: bool = False) -> OwnCode:
    where = name.rpartition(":")[0]
    if _is_file(name):
        file = root / (Path(where) if copied else Path(where).resolve()).name
        module = file.stem
    else:
        module, file = where, _file_of(root, where) or root
    if not file.is_file():
        raise EarshotError(f"{kind} '{name}': {file}: not found")
    within = module.partition(".")[0] if root.name in INSTALLED else ""
    return OwnCode(kind, name, root, module, _files(root, module, file, within), copied)


def _files(root: Path, module: str, file: Path, within: str) -> dict[str, Path]:
    """A module's file, and the files that it imports, by module.

    Args:
        root: that they are below.
        module: the first.
        file: of the first.
        within: the only package that counts; empty for all.
    """
    files: dict[str, Path] = {}
    waiting = [(module, file), *_with_parents(root, module.rpartition(".")[0])]
    while waiting:
        name, path = waiting.pop(0)
        if name in files:
            continue
        files[name] = path
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for imported in _imports(path, package):
            top = imported.partition(".")[0]
            if top not in EARSHOT and top not in sys.stdlib_module_names and within in ("", top):
                waiting += _with_parents(root, imported)
    return files


def _imports(path: Path, package: str) -> Iterator[str]:
    """Every module that a file may import, also inside of functions; of `from a import b` both `a` and `a.b`."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # importing it says what is wrong
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join(filter(None, [*above, node.module]))
            yield from (".".join(filter(None, [base, alias.name])) for alias in node.names)


def _with_parents(root: Path, module: str) -> list[tuple[str, Path]]:
    """A module and the packages that it is in, as far as they have files."""
    return [(name, path) for name in (*_packages(module), module) if name and (path := _file_of(root, name))]


def _packages(module: str) -> list[str]:
    """The packages that a module is in, the outermost first."""
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _place(module: ModuleType) -> str:
    """The file of a module, or the folder of a namespace package; empty if it has neither."""
    return getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), "")


def _file_of(root: Path, module: str) -> Path | None:
    base = root.joinpath(*module.split("."))
    candidates = (base / "__init__.py", base.with_name(f"{base.name}.py"))
    return next((path for path in candidates if path.is_file()), None)


def _is_file(name: str) -> bool:
    return name.rpartition(":")[0].endswith(".py")


def _places() -> list[str]:
    return list(filter(None, os.environ.get(PLACES, "").split(os.pathsep)))


def _copy_prefix(where: str) -> str:
    return f"earshot_code_{hashlib.sha256(where.encode()).hexdigest()[:8]}_"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
