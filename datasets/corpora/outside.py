"""Corpora from outside of Earshot: a class in a file or a package of the user's own, or of an installed distribution.

    mycorpus.py:MyCorpus            a file
    mypackage.module:MyCorpus       a module on Python's path, or in the current folder
    birds                           an entry point of the group `earshot.corpora` (`datasets.utils.installed`)

The class is that of a shipped corpus, with a `name` of its own. Workers import it from the same place, or from a copy.
"""

import copyreg
import inspect
from collections.abc import Collection, Mapping
from typing import Any

from datasets.corpora.corpus import Corpus, CorpusOptions
from datasets.utils.errors import EarshotError
from datasets.utils.installed import naming_distribution
from datasets.utils.own_code import EARSHOT, find_code


def load_corpus(code: str, shipped: Collection[str] = ()) -> Corpus[Any]:
    """Imports a corpus.

    Args:
        code: from `datasets.utils.installed.given_code`.
        shipped: names that it must not have.

    Raises:
        EarshotError: it cannot be imported, or is not a corpus; names the distribution that adds it, if one does.
    """
    with naming_distribution("corpus", code):
        own = find_code(code, "corpus")
        found = _checked(own.load(), f"corpus '{code}'", shipped)
    found.code, found.code_digest = code, own.digest
    # a worker does not have the module under the name that it has here
    copyreg.pickle(found, _corpus_in_worker)
    if found.options_type.__module__.partition(".")[0] not in EARSHOT:
        copyreg.pickle(found.options_type, lambda options: (_options_in_worker, (code, dict(options))))
    corpus: Corpus[Any] = found()
    return corpus


def _corpus_in_worker(corpus: Corpus[Any]) -> tuple[Any, ...]:
    return load_corpus, (corpus.code,)


def _options_in_worker(code: str, values: Mapping[str, Any]) -> CorpusOptions:
    return load_corpus(code).options_type.model_validate(values)


def _checked(found: Any, shown: str, shipped: Collection[str]) -> type[Corpus[Any]]:
    """The class, if it declares what every corpus declares.

    Raises:
        EarshotError: it does not.
    """
    if not inspect.isclass(found) or not issubclass(found, Corpus):
        raise EarshotError(f"{shown}: expected a class that inherits datasets.corpora.corpus.Corpus")
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise EarshotError(f"{shown}: expected definitions of {', '.join(missing)}, found none")
    name, options = getattr(found, "name", None), getattr(found, "options_type", None)
    if not isinstance(name, str) or not name.isprintable() or not name:
        raise EarshotError(f"{shown}: name: expected a text, found {name!r}")
    if name in shipped:
        raise EarshotError(f"{shown}: name: '{name}' is a corpus of Earshot; choose another name")
    if not isinstance(getattr(found, "summary", None), str):
        raise EarshotError(f"{shown}: summary: expected one line of text for --help, found none")
    if not inspect.isclass(options) or not issubclass(options, CorpusOptions):
        raise EarshotError(
            f"{shown}: options_type: expected a class that inherits datasets.corpora.corpus.CorpusOptions, found "
            f"{options!r}"
        )
    return found
