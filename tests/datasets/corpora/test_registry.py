"""The registry of corpora."""

import inspect

import pytest

from datasets.corpora.corpus import Corpus
from datasets.corpora.listed_clips import ListedCorpus
from datasets.corpora.nsynth import NSynth100
from datasets.corpora.registry import corpora, find_corpus
from datasets.utils.errors import EarshotError


def test_all_concrete_corpora_are_registered_by_name() -> None:
    known = corpora()
    assert list(known) == sorted(known)
    assert {"demo", "folder", "fsc89", "librispeech", "ls100", "ls100-published", "mix", "nsynth400"} <= known.keys()
    assert all(name == corpus.name and isinstance(corpus, Corpus) for name, corpus in known.items())
    assert not any(inspect.isabstract(type(corpus)) or type(corpus) is ListedCorpus for corpus in known.values())


def test_corpus_is_found_by_name_and_a_typo_gets_a_suggestion() -> None:
    assert isinstance(find_corpus("nsynth100"), NSynth100)
    with pytest.raises(EarshotError, match=r"^corpus 'librispeach': not known; did you mean 'librispeech'\?$"):
        find_corpus("librispeach")
