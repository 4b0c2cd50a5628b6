"""The table of methods as data: `docs/methods/table.json`, which the tables and the pages of methods are made from."""

import datetime
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from datasets.utils.errors import EarshotError
from orchestrator.statistics.estimates import Estimate, estimate

FILE = Path(__file__).parents[1] / "docs" / "methods" / "table.json"
FLOOR, REFERENCE = "mfcc-ncm", "simplecil"
SAME = 0.1  # points of AA that one chain may differ by on another machine


@dataclass(frozen=True)
class Result:
    """One method on one corpus with one encoder: the chosen configuration, with a value for each seed 0, 1, ...

    Attributes:
        encoder: its name; empty for a method that uses none.
        corpus: its name.
        method: its name.
        version: of the method.
        settings: of the chosen configuration, as far as they are given.
        configurations: number of configurations that were compared on validation clips.
        validation: AA of the default head on validation clips, percent; 0 where training diverged.
        test: AA of the default head on query clips, percent; 0 where training diverged.
        forgetting: on query clips (Chaudhry 2018), percent; None where training diverged.
        seconds: mean over chains that finished.
    """

    encoder: str
    corpus: str
    method: str
    version: int
    settings: dict[str, Any]
    configurations: int
    validation: tuple[float, ...]
    test: tuple[float, ...]
    forgetting: tuple[float | None, ...]
    seconds: float

    @property
    def diverged(self) -> int:
        """Number of seeds whose training diverged."""
        return sum(value is None for value in self.forgetting)

    @property
    def place(self) -> tuple[str, str, str]:
        """Encoder, corpus and method: a table has one result for each."""
        return self.encoder, self.corpus, self.method


@dataclass(frozen=True)
class MethodTable:
    """Results with how they were made.

    Attributes:
        measured: the date, ISO 8601.
        seeds: of a complete row.
        configurations: that were compared for every method whose search space has as many.
        tuning_seeds: chains of each in that comparison.
        results: in no particular order.
    """

    measured: str
    seeds: int
    configurations: int
    tuning_seeds: int
    results: tuple[Result, ...]

    @classmethod
    def load(cls, path: Path = FILE) -> "MethodTable":
        """Reads the file."""
        return TypeAdapter(cls).validate_json(path.read_bytes())

    def save(self, path: Path = FILE) -> None:
        """Writes the file: one result a line."""
        head = {key: value for key, value in asdict(self).items() if key != "results"}
        lines = [json.dumps(asdict(result)) for result in self.results]
        text = json.dumps(head, indent=1).removesuffix("\n}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{text},\n "results": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n", encoding="utf-8")

    def of(self, encoder: str, corpus: str) -> list[Result]:
        """The results of one table, best on validation clips first.

        A row with fewer seeds is ranked by its difference to `simplecil` on its own seeds. The floor has no encoder.
        """
        rows = [row for row in self.results if row.corpus == corpus and row.encoder in (encoder, "")]
        reference = self.find(encoder, corpus, REFERENCE)
        if reference is None:
            return sorted(rows, key=lambda row: -mean(row.validation))
        return sorted(rows, key=lambda row: -mean(paired(row.validation, reference.validation)))

    def merged(self, earlier: "MethodTable") -> "MethodTable":
        """These results, and those of an earlier table about other methods, corpora and encoders.

        Of two results of one version of a method, the one with more seeds is kept.

        Raises:
            EarshotError: the floor or the reference has other values in the two tables, and results of the earlier one
                on the same corpus would be kept.
        """
        mine = {row.place: row for row in self.results}
        found = dict(mine)
        for row in earlier.results:
            own = mine.get(row.place)
            if own is None or (own.version == row.version and len(own.test) < len(row.test)):
                found[row.place] = row
        kept = {row.corpus for row in earlier.results if found[row.place] is row}
        for row in earlier.results:
            own = mine.get(row.place, row)
            if row.corpus in kept and row.method in (FLOOR, REFERENCE) and not _agree(own, row):
                raise EarshotError(
                    f"{row.corpus}: expected the scores of {row.method} that {FILE.name} has ({_shown(row.test)}), "
                    f"found {_shown(own.test)}: measure all methods on {row.corpus} again"
                )
        return replace(self, seeds=max(self.seeds, earlier.seeds), results=tuple(found.values()))

    def find(self, encoder: str, corpus: str, method: str) -> Result | None:
        """The result of a method; None if it was not measured."""
        for row in self.results:
            if row.corpus == corpus and row.method == method and row.encoder in (encoder, ""):
                return row
        return None

    def over(self, row: Result, encoder: str, other: str, *, split: str = "test") -> Estimate | None:
        """The difference in AA to another method on the same seeds; None for that method itself.

        Args:
            row: the result.
            encoder: of the table that it is in.
            other: the method to compare with.
            split: 'test' or 'validation'.
        """
        reference = self.find(encoder, row.corpus, other)
        if reference is None or row.method == other:
            return None
        return estimate(paired(getattr(row, split), getattr(reference, split)))


def _agree(one: Result, other: Result) -> bool:
    """Whether the scores of one version are the same on the seeds that both have."""
    differences = paired(one.validation, other.validation) + paired(one.test, other.test)
    return one.version != other.version or all(abs(difference) <= SAME for difference in differences)


def _shown(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.2f}" for value in values[:3]) + (", .." if len(values) > 3 else "")


def paired(values: Iterable[float], reference: Iterable[float]) -> list[float]:
    """Differences on the seeds that both have."""
    return [value - other for value, other in zip(values, reference, strict=False)]


def mean(values: Iterable[float | None]) -> float:
    """Mean of the values that exist; NaN of none."""
    listed = [value for value in values if value is not None]
    return sum(listed) / len(listed) if listed else math.nan


def today() -> str:
    """The date, ISO 8601."""
    return datetime.date.today().isoformat()
