"""Discovers the corpora: every concrete subclass of `Corpus` that a module of this package defines.

All modules of the package are imported, so none of them may import PyTorch, SciPy or pandas at module level: that would
delay `earshot prepare --help` by seconds (checked by `tests/test_start_up.py`).
"""

import importlib
import inspect
import pkgutil
from typing import Any

import datasets.corpora
from datasets.corpora.corpus import Corpus
from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion


def corpora() -> dict[str, Corpus[Any]]:
    """Every corpus by name, in alphabetical order."""
    result: dict[str, Corpus[Any]] = {}
    for module in pkgutil.iter_modules(datasets.corpora.__path__, "datasets.corpora."):
        for value in vars(importlib.import_module(module.name)).values():
            defined_here = inspect.isclass(value) and value.__module__ == module.name
            if defined_here and issubclass(value, Corpus) and not inspect.isabstract(value):
                result[value.name] = value()
    return dict(sorted(result.items()))


def find_corpus(name: str) -> Corpus[Any]:
    """The corpus with the given name.

    Raises:
        EarshotError: there is no such corpus.
    """
    known = corpora()
    if name not in known:
        raise EarshotError(f"corpus {name!r}: not known; {suggestion(name, known)}")
    return known[name]
