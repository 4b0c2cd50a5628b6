"""Whom a run has to cite: the papers of its methods, backbones and corpora, and Earshot, from `citations.yaml`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from datasets.utils.text import printable
from datasets.utils.validation import read_yaml, validated

FILE = Path(__file__).parent / "citations.yaml"
EARSHOT = "earshot"
_INDENT = 2


class Entry(BaseModel):
    """An entry of a bibliography; text is that of BibTeX: ASCII, with commands for accents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["inproceedings", "article", "misc"]
    title: str
    author: str
    year: int
    booktitle: str | None = None
    journal: str | None = None
    howpublished: str | None = None
    volume: int | None = None
    pages: str | None = None
    doi: str | None = None
    eprint: str | None = None
    url: str | None = None
    note: str | None = None

    def bibtex(self, key: str) -> str:
        """The entry in BibTeX; the title keeps its capitals."""
        values = {name: value for name, value in self.model_dump(exclude={"type"}).items() if value is not None}
        values["title"] = f"{{{self.title}}}"
        if self.eprint:
            values["archiveprefix"] = "arXiv"
        width = max(map(len, values))
        lines = [f"{'':{_INDENT}}{name:<{width}} = {{{value}}}" for name, value in values.items()]
        return "\n".join([f"@{self.type}{{{key},", *(f"{line}," for line in lines), "}"])

    def line(self) -> str:
        """The entry as a line of text: authors, year, title, where."""
        names = self.author.replace("{\\l}", "l").replace("{", "").replace("}", "").split(" and ")
        authors = ", ".join(" ".join(reversed(name.split(", "))) for name in names)
        places = [self.booktitle or self.journal or self.howpublished]
        places += [f"arXiv:{self.eprint}" if self.eprint else None, f"doi:{self.doi}" if self.doi else None]
        places += [self.url, self.note]
        return f"{authors} ({self.year}). {self.title}. {', '.join(filter(None, places))}".rstrip(". ") + "."


class Citations(BaseModel):
    """The file: entries by key, and the keys of each method, backbone family and model, and corpus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entries: dict[str, Entry]
    methods: dict[str, tuple[str, ...]]
    backbones: dict[str, dict[str, tuple[str, ...]]]
    corpora: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Cited:
    """Something that a run used.

    Attributes:
        what: 'method ede'.
        keys: of its entries; empty if it has none, or none that is known.
        remark: why it has none; empty if it has.
    """

    what: str
    keys: tuple[str, ...]
    remark: str = ""


@cache
def citations() -> Citations:
    """The contents of `citations.yaml`."""
    return validated(Citations, read_yaml(FILE), str(FILE))


def of_method(name: str) -> Cited:
    """The papers of a method."""
    known = citations().methods.get(name)
    remark = "" if known else "a baseline without a paper" if known == () else "not one of Earshot's: cite its paper"
    return Cited(f"method {printable(name)}", known or (), remark)


def of_backbone(name: str, family: str | None) -> Cited:
    """The papers of a backbone.

    Args:
        name: as the user has given it.
        family: its file in `trainables.networks.backbones`; None if it is not recorded.
    """
    from trainables.networks.specs import DEFAULT, RANDOM, RESNET

    by_name = {DEFAULT: "ast", **dict.fromkeys(RANDOM, "ast"), RESNET: "resnet"}
    models = citations().backbones.get(family or by_name.get(name, ""), {"": ()})
    keys = next(keys for model, keys in models.items() if model in name.lower())
    return Cited(f"backbone {printable(name)}", keys, "" if keys else "not known: cite the paper of its weights")


def of_corpus(benchmark: str, corpus: str | None, *, given: bool = False) -> Cited:
    """The papers of what a benchmark was prepared from.

    Args:
        benchmark: its name.
        corpus: name of the corpus or preset; None if it is not recorded.
        given: whether the name was given with --corpus.
    """
    keys = citations().corpora.get(corpus or "", ())
    if corpus == "demo":
        remark = "synthetic, made by Earshot"
    elif given:
        remark = "" if keys else "nothing is known of its recordings: cite their publication"
    else:
        remark = "" if keys else "not known: name it with --corpus, or cite its publication"
    return Cited(
        f"benchmark {printable(benchmark)}" + (f", corpus {printable(corpus)}" if corpus else ""), keys, remark
    )


def preset_of(corpus: str, settings: Mapping[str, object]) -> str:
    """The preset that a benchmark was prepared with, by its settings: that with the most options; else the corpus.

    Args:
        corpus: that prepared it.
        settings: its options.
    """
    from datasets.corpora.preset import find_preset, preset_names

    found = [(0, corpus)]
    for name in preset_names():
        preset = find_preset(name)
        if preset is not None and preset.corpus == corpus and preset.options.items() <= dict(settings).items():
            found.append((len(preset.options), name))
    return max(found)[1]


def bibtex(cited: list[Cited]) -> str:
    """A BibTeX file with a comment for everything that was used; an entry appears once."""
    entries, done, parts = citations().entries, set[str](), []
    for one in cited:
        parts.append(f"% {one.what}: {', '.join(one.keys) or one.remark}")
        for key in one.keys:
            if key not in done:
                done.add(key)
                parts.append(entries[key].bibtex(key) + "\n")
    return "\n".join(parts) + "\n"


def as_text(cited: list[Cited]) -> Iterator[str]:
    """Lines of text: what was used, then its papers."""
    for one in cited:
        yield f"{one.what}{f': {one.remark}' if one.remark else ''}"
        yield from (f"  {citations().entries[key].line()}" for key in one.keys)
