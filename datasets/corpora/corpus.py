"""The interface of a corpus: a subclass of `Corpus` in a module of this package.

    inventory   lists the files of the source folder                       (driver, no decoding)
    resolve     options that depend on the files                           (driver)
    doubts      what in the source folder is probably not as intended      (driver)
    plan        inventory -> units of work, classes, rejected files        (driver, reads at most headers)
    cut         unit -> clips and rejections                               (workers, one shard per unit)
    advise      rejected files -> how to keep them                         (driver)
    review      clips per class -> warnings, or an error                   (driver, before and after cutting)

To add a corpus, add one such module: `datasets.corpora.registry` discovers it, and `earshot prepare NAME` accepts its
options.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from datasets.audio.recordings import readable_suffixes
from datasets.benchmark.clips import Clip
from datasets.benchmark.listing import Listing
from datasets.benchmark.manifest import SplitCounts
from datasets.corpora.inventory import Inventory, Rejection, check_folder, scan
from datasets.utils.errors import EarshotError
from datasets.utils.text import first_few, printable


class CorpusOptions(BaseModel):
    """Options of a corpus; the docstrings of the fields become the `--help` of prepare."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    drop_duplicates: bool = Field(False, exclude_if=lambda value: not value)
    """leave out clips with the same audio as another clip; a train clip is kept before a val, a val before a test clip
    (listed in rejected.csv)"""
    drop_silence: bool = Field(False, exclude_if=lambda value: not value)
    """leave out clips with an RMS below -60 dBFS (listed in rejected.csv)"""


@dataclass(frozen=True)
class Unit:
    """The work that produces one shard: small, plain data that can be stored as JSON.

    Attributes:
        name: for messages.
        files: relative POSIX paths of the recordings, in the order in which they are read.
        details: anything else that `cut` needs (JSON values).
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
        num_samples: per clip.
        rejected: files that are known to be unusable before any file is decoded.
        warnings: printed in the summary.
        notes: rows of the summary, each a word and what it says.
        base_classes: number of base classes, if the benchmark defines it.
        files: number of recordings that the benchmark uses, including rejected ones.
        ignored: number of other files in the source folder.
    """

    units: tuple[Unit, ...]
    classes: tuple[str, ...]
    sample_rate: int
    num_samples: int
    rejected: tuple[Rejection, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    base_classes: int | None = None
    files: int = 0
    ignored: int = 0


MAX_LISTED = 100
"""Classes named in a message."""

Options = TypeVar("Options", bound=CorpusOptions)


class Corpus(ABC, Generic[Options]):
    """A corpus in the layout of its publisher, and how to cut clips from it. Subclasses are stateless."""

    name: ClassVar[str]
    """Used on the command line and in the manifest."""
    summary: ClassVar[str]
    """One line for `--help`."""
    version: ClassVar[int] = 1
    """Increase it when the same source and options produce different clips: existing shards are then recomputed."""
    options_type: ClassVar[type[CorpusOptions]]
    generates: ClassVar[bool] = False
    """True if `generate` creates the recordings when no source folder is given."""
    reads_folder: ClassVar[bool] = True
    """False if the options alone define the input; the argument `source` of the methods is then unused."""
    code: ClassVar[str] = ""
    """Of a corpus from outside: where it is (`datasets.corpora.outside` sets it)."""
    code_digest: ClassVar[str] = ""
    """Of a corpus from outside: SHA-256 hex of its code, part of the identity of a benchmark."""

    def check_source(self, source: Path) -> None:
        """Checks the source folder before anything else is done; by default only that it can be listed.

        Raises:
            EarshotError: it is not a folder that can be read.
        """
        check_folder(source)

    def identity(self, options: Options) -> dict[str, Any]:
        """The options as they are stored in manifests and unit keys: JSON values.

        An option that is a path is replaced by the SHA-256 of the content read from it: moving the file changes
        nothing, different content is a different benchmark.
        """
        return options.model_dump(mode="json")

    def full_identity(self, options: Options) -> dict[str, Any]:
        """`identity`, and the digest of the code of a corpus from outside: changed code cuts all units again."""
        return {**self.identity(options), **({"code": self.code_digest} if self.code_digest else {})}

    def input_benchmarks(self, options: Options) -> tuple[str, ...]:
        """Addresses of the prepared benchmarks that this one is built from; the output must not replace any of them."""
        return ()

    def listing(self, options: Options) -> Listing | None:
        """The clips named by published lists, without audio; None if the corpus has no such lists."""
        return None

    def inventory(self, source: Path, options: Options) -> Inventory:
        """Lists the recordings in `source`: files with the suffix of a format that libsndfile reads."""
        return scan(source, readable_suffixes())

    def resolve(self, source: Path, inventory: Inventory, options: Options) -> Options:
        """The options after decisions that depend on the files, such as a guess; by default unchanged."""
        return options

    def doubts(self, source: Path, inventory: Inventory, options: Options) -> tuple[str, ...]:
        """What in the source folder is probably not as intended; `prepare` continues only with --yes.

        Returns:
            One sentence for each, without a full stop.
        """
        if not inventory.links:
            return ()
        links = first_few([printable(link) for link in inventory.links])
        return (f"links to folders are not followed ({links}): put the folders themselves there",)

    def generate(self, target: Path, options: Options) -> None:
        """Writes the recordings into the empty folder `target` (only corpora with `generates`)."""
        raise NotImplementedError(f"{self.name} does not generate recordings")

    @abstractmethod
    def plan(self, source: Path, inventory: Inventory, options: Options) -> Plan:
        """Divides the source into units of work.

        Raises:
            EarshotError: the source does not have the expected layout, or has too few recordings to fill the splits.
        """

    @abstractmethod
    def cut(self, source: Path, unit: Unit, options: Options) -> Iterator[Clip | Rejection]:
        """Reads the recordings of a unit and yields its clips in shard order, interleaved with its unusable files.

        The same unit, files and options give the same clips in the same order on every machine.
        """

    def advise(self, rejected: Sequence[Rejection], options: Options) -> str:
        """What would make rejected files usable, as one sentence without a full stop; "" if nothing is known."""
        return ""

    def review(self, counts: Sequence[SplitCounts], classes: Sequence[str], options: Options) -> tuple[str, ...]:
        """Returns warnings about the numbers of clips per class (by label).

        Raises:
            EarshotError: a class has no train or no test clips; the message names all such classes.
        """
        lacking = without_clips(counts, classes)
        found = [f"{count.train} and {count.test} of class {name}" for name, count in lacking]
        if found:
            raise EarshotError(
                f"expected at least one train and one test clip of every class, found {first_few(found, MAX_LISTED)}; "
                "add recordings, or remove those that were rejected"
            )
        return ()


def without_clips(counts: Sequence[SplitCounts], classes: Sequence[str]) -> list[tuple[str, SplitCounts]]:
    """The classes without train or without test clips, by label: their quoted names, and their numbers of clips."""
    return [
        (repr(printable(name)), count)
        for name, count in zip(classes, counts, strict=True)
        if not count.train or not count.test
    ]
