"""Presets: options with which `table` or `folder` reads a published corpus, one YAML file each in `presets/`.

    corpus: table
    summary: one line for --help
    source: what --source must contain
    options: {csv: [meta/esc50.csv], label_column: category, ...}
    protocol: options of a sweep that suit it
    classes, recordings, licence, citation, url: facts of the publisher

`earshot prepare NAME` reads it; options on the command line replace those of the file. The benchmark is the same as
with these options of the corpus itself.
"""

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from datasets.corpora.corpus import Corpus
from datasets.corpora.outside import load_corpus
from datasets.corpora.registry import corpora, find_corpus
from datasets.utils.installed import given_code
from datasets.utils.validation import read_yaml, validated

FOLDER = Path(__file__).parent / "presets"


class Preset(BaseModel):
    """A published corpus in the layout of its publisher.

    Attributes:
        corpus: that reads it.
        summary: one line for `--help`.
        source: what the source folder contains.
        options: of the corpus.
        protocol: suggested options of a sweep.
        classes: number of classes, as published.
        recordings: number of recordings, as published; None where releases differ.
        licence: of the recordings.
        citation: of the publication.
        url: where to get it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: str
    summary: str
    source: str
    options: dict[str, Any]
    protocol: str
    classes: int = Field(gt=0)
    recordings: int | None = None
    licence: str
    citation: str
    url: str


def preset_names() -> tuple[str, ...]:
    """The names of all presets, in alphabetical order."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def is_file(name: str) -> bool:
    """Whether a name is that of a file with a preset."""
    return name.endswith((".yaml", ".yml"))


@cache
def find_preset(name: str) -> Preset | None:
    """The preset of a name, or in a file; None if there is none.

    Raises:
        EarshotError: its file does not exist or is invalid.
    """
    path = Path(name) if is_file(name) else FOLDER / f"{name}.yaml"
    if not is_file(name) and name not in preset_names():
        return None
    return validated(Preset, read_yaml(path), str(path))


def find_corpus_or_preset(name: str) -> tuple[Corpus[Any], dict[str, Any]]:
    """The corpus of a name, and the options that a preset gives it.

    Args:
        name: of a corpus or a preset, a file with a preset, or a corpus from outside (`datasets.corpora.outside`).

    Raises:
        EarshotError: there is neither a corpus nor a preset of this name.
    """
    known = corpora()
    preset = find_preset(name)
    if preset is not None:
        return find_corpus(preset.corpus), preset.options
    if name in known:
        return known[name], {}
    shipped = [*known, *preset_names()]
    return load_corpus(given_code("corpus", name, shipped), shipped), {}
