"""Methods from outside of Earshot: a class in a file or a package of the user's own, or of an installed distribution.

    mymethod.py:MyLearner           a file
    mypackage.module:MyLearner      a module on Python's path, or in the current folder
    mine                            an entry point of the group `earshot.methods` (`datasets.utils.installed`)

The class is that of a shipped method, with a `name` of its own. The digest of its code is part of every stage's
address, so that a method whose code has changed is computed again. Imports no PyTorch before a method is loaded.
"""

import inspect
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from datasets.utils.errors import EarshotError
from datasets.utils.installed import installed, naming_distribution
from datasets.utils.own_code import find_code

if TYPE_CHECKING:
    from trainables.learners.learner import Learner

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""Of a method: it is part of the names of trials, which are folders."""


def load_method(code: str, shipped: Collection[str]) -> "type[Learner]":
    """Imports the class of a method.

    Args:
        code: from `datasets.utils.installed.given_code`.
        shipped: names of the methods of Earshot.

    Raises:
        EarshotError: it cannot be imported, or is not a method; names the distribution that adds it, if one does.
    """
    with naming_distribution("method", code):
        return _checked(find_code(code, "method").load(), f"method '{code}'", shipped)


def is_installed(name: str) -> bool:
    """Whether an installed distribution adds a method of this name."""
    return name in installed("method")


def digest_of(code: str) -> str:
    """SHA-256 hex of the code of a method."""
    return find_code(code, "method").digest


def _checked(found: Any, shown: str, shipped: Collection[str]) -> "type[Learner]":
    """The class, if it declares what every method declares.

    Raises:
        EarshotError: it does not.
    """
    from trainables.learners.learner import Learner
    from trainables.learners.settings import Settings

    if not inspect.isclass(found) or not issubclass(found, Learner):
        raise EarshotError(f"{shown}: expected a class that inherits trainables.learners.learner.Learner")
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise EarshotError(f"{shown}: expected definitions of {', '.join(missing)}, found none")
    name, version, heads, settings = (getattr(found, key, None) for key in ("name", "version", "heads", "Settings"))
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise EarshotError(f"{shown}: name: expected lower-case words with hyphens between, found {name!r}")
    if name in shipped:
        raise EarshotError(f"{shown}: name: '{name}' is a method of Earshot; choose another name")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise EarshotError(f"{shown}: version: expected a whole number from 1, found {version!r}")
    if not isinstance(heads, tuple) or not heads or not all(isinstance(head, str) and head for head in heads):
        raise EarshotError(f"{shown}: heads: expected a tuple of names such as ('prototype',), found {heads!r}")
    if not inspect.isclass(settings) or not issubclass(settings, Settings):
        raise EarshotError(
            f"{shown}: Settings: expected a class that inherits trainables.learners.settings.Settings, found "
            f"{settings!r}"
        )
    return found
