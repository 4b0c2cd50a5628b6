"""The interface that makes a corpus one file: a module of this package that defines a subclass of `Corpus`.

    inventory   what lies in the source folder                        (driver, no decoding)
    plan        inventory -> units of work, classes, what is rejected (driver, headers at most)
    cut         unit -> clips and rejections                          (workers, one shard per unit)
    review      clips per class -> warnings, or an error              (driver, before and after the work)

Adding a corpus is adding that file: `corpora()` finds it, and `python -m orchestrator.prepare NAME` takes
its options.
"""

import importlib.util
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import InspectLoader
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

import datasets.corpora
from datasets.audio.recordings import readable_suffixes
from datasets.benchmark.listing import Listing
from datasets.benchmark.manifest import SplitCounts
from datasets.benchmark.shards import Clip
from datasets.corpora.inventory import Inventory, Rejection, scan
from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.text import printable


class CorpusOptions(BaseModel):
    """Options of a corpus; the field descriptions become the `--help` of prepare."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True)
class Unit:
    """The work that makes one shard: small, plain data that JSON can hold.

    Attributes:
        name: for messages.
        files: relative POSIX paths of the recordings, in the order in which they are read.
        details: whatever else `cut` needs (JSON values).
    """

    name: str
    files: tuple[str, ...]
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """How a source folder becomes a benchmark.

    Attributes:
        units: in shard order.
        classes: names by label.
        sample_rate: of the clips, in Hz.
        num_samples: of each clip.
        rejected: files that are known to be unusable before any is decoded.
        warnings: for the summary.
        base_classes: how many classes are base classes by the benchmark's definition.
        files: recordings that the benchmark draws on, the rejected ones included.
        ignored: other files of the source folder.
    """

    units: tuple[Unit, ...]
    classes: tuple[str, ...]
    sample_rate: int
    num_samples: int
    rejected: tuple[Rejection, ...] = ()
    warnings: tuple[str, ...] = ()
    base_classes: int | None = None
    files: int = 0
    ignored: int = 0


Options = TypeVar("Options", bound=CorpusOptions)


class Corpus(ABC, Generic[Options]):
    """A corpus as its publisher lays it out, and how clips are cut from it. Subclasses have no state."""

    name: ClassVar[str]
    """On the command line and in the manifest."""
    summary: ClassVar[str]
    """One line for `--help`."""
    version: ClassVar[int] = 1
    """Raise it when the same source and options give other clips than before: shards are then made again."""
    options_type: ClassVar[type[CorpusOptions]]
    generates: ClassVar[bool] = False
    """True if the recordings are made by `generate` when no source folder is given."""
    reads_folder: ClassVar[bool] = True
    """False if the options alone name what is read; `source` is then a folder that means nothing."""

    def identity(self, options: Options) -> dict[str, Any]:
        """The options as manifest and unit keys hold them: JSON values.

        Where an option names a file or folder, its place is taken by the SHA-256 of what is read from it: moving it
        changes nothing, another content is another benchmark.
        """
        return options.model_dump(mode="json")

    def benchmarks(self, options: Options) -> tuple[str, ...]:
        """Addresses of the prepared benchmarks that this one is made from: it cannot take the place of one of them."""
        return ()

    def listing(self, options: Options) -> Listing | None:
        """The clips that published lists name, without any audio; None where the corpus has no such lists."""
        return None

    def inventory(self, source: Path, options: Options) -> Inventory:
        """What lies in `source`: recordings of every format that libsndfile reads, found by suffix."""
        return scan(source, readable_suffixes())

    def generate(self, target: Path, options: Options) -> None:
        """Writes the recordings into the empty folder `target` (corpora with `generates` only)."""
        raise NotImplementedError(f"{self.name} has no recordings of its own")

    @abstractmethod
    def plan(self, source: Path, inventory: Inventory, options: Options) -> Plan:
        """Divides the source into units of work.

        Raises:
            EarshotError: the source is not laid out as expected, or cannot fill the splits.
        """

    @abstractmethod
    def cut(self, source: Path, unit: Unit, options: Options) -> Iterator[Clip | Rejection]:
        """Reads the recordings of a unit; yields its clips in shard order, and its unusable files in between.

        The same unit, files and options give the same clips in the same order on every machine.
        """

    def review(self, counts: Sequence[SplitCounts], classes: Sequence[str], options: Options) -> tuple[str, ...]:
        """Warnings about the numbers of clips per class (by label).

        Raises:
            EarshotError: a class has no train or no test clips.
        """
        for name, count in zip(classes, counts, strict=True):
            if not count.train or not count.test:
                raise EarshotError(
                    f"class {printable(name)!r}: expected at least one train and one test clip, found "
                    f"{count.train} and {count.test}; add recordings, or remove those that were rejected"
                )
        return ()


def corpora() -> dict[str, Corpus[Any]]:
    """Every corpus of this package by name, in alphabetical order."""
    found: dict[str, Corpus[Any]] = {}
    for module in pkgutil.iter_modules(datasets.corpora.__path__, "datasets.corpora."):
        if not _may_define_a_corpus(module.name):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            defined_here = inspect.isclass(value) and value.__module__ == module.name
            if defined_here and issubclass(value, Corpus) and not inspect.isabstract(value):
                found[value.name] = value()
    return dict(sorted(found.items()))


def _may_define_a_corpus(module: str) -> bool:
    """Whether the word occurs in its source: importing the rest (torch) costs every command line 3 s."""
    spec = importlib.util.find_spec(module)
    source = spec.loader.get_source(module) if spec and isinstance(spec.loader, InspectLoader) else None
    return source is None or "Corpus" in source


def find_corpus(name: str) -> Corpus[Any]:
    """The corpus of that name.

    Raises:
        EarshotError: there is none.
    """
    known = corpora()
    if name not in known:
        raise EarshotError(f"corpus {name!r}: not known; {suggestion(name, known)}")
    return known[name]
