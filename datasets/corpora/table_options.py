"""Options of the `table` corpus: which columns of a table are the recording, its class, split and group."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from datasets.corpora.file_clips import FileClipOptions
from datasets.tables.read_table import SEPARATORS
from datasets.utils.options import Option

NONE = "none"
"""For a column that is neither given nor guessed."""
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation"), "test"),
}
"""Usual names of the splits in tables, in lower case."""
COLUMN_FIELDS = (
    "file_column",
    "label_column",
    "split_column",
    "fold_column",
    "group_column",
    "start_column",
    "end_column",
)


def _absent(value: Any) -> bool:
    return value is None or value == ()


class TableOptions(FileClipOptions):
    """Options of the `table` corpus."""

    csv: Annotated[tuple[Path, ...], Option(metavar="FILE")] = Field(())
    """CSV, TSV, Parquet or JSON lines, in the source folder or the current one; may be repeated (default: the only
    table in the source folder)"""
    separator: str | None = Field(None, exclude_if=_absent)
    """between cells: comma, semicolon, tab, pipe or space (default: guess from the header)"""
    encoding: str = Field("utf-8", exclude_if=lambda value: value == "utf-8")
    """of the table, such as latin-1"""
    header: Annotated[str | None, Option(metavar="A,B,C")] = Field(None, exclude_if=_absent)
    """names of the columns, for a table without a header"""
    filter: Annotated[str | None, Option(metavar="TEXT")] = Field(None, exclude_if=_absent)
    """use only these rows: comparisons joined by and, or, not, such as "esc10 == True and fold < 4" """
    file_column: str | None = Field(None, exclude_if=_absent)
    """names the recording: its path in the source folder, the end of its path, or its name without suffix"""
    audio_extension: str | None = Field(None, exclude_if=_absent)
    """suffix of recordings that the table names without one, if there are several, such as .wav"""
    label_column: str | None = Field(None, exclude_if=_absent)
    """the class, as text or number"""
    label_separator: str | None = Field(None, min_length=1, exclude_if=_absent)
    """between several labels in one cell"""
    several_labels: Literal["error", "skip", "first", "last", "specific"] = Field(
        "error", exclude_if=lambda value: value == "error"
    )
    """recordings with several labels: an error; skip: left out; first, last: only this label; specific: the label
    that never comes without the others of the recording (labels with their ancestors), left out if there is none"""
    split_column: str | None = Field(None, exclude_if=_absent)
    """train, val or test of each row (none: draw the splits)"""
    split_values: Annotated[str | None, Option(metavar="A=SPLIT,...")] = Field(None, exclude_if=_absent)
    """what the values of the split column mean, such as 1=train,2=val,3=test"""
    split_default: Literal["train", "val", "test"] | None = Field(None, exclude_if=_absent)
    """split of rows in which the split column is empty or missing"""
    fold_column: str | None = Field(None, exclude_if=_absent)
    """number of the fold of each row"""
    test_folds: Annotated[tuple[str, ...], Option(metavar="N,N", repeatable=False)] = Field((), exclude_if=_absent)
    """folds used for testing, such as 5 or 9,10 (default: the last one)"""
    val_folds: Annotated[tuple[str, ...], Option(metavar="N,N", repeatable=False)] = Field((), exclude_if=_absent)
    """folds used for validation (default: the one before the last; none: no validation)"""
    group_column: str | None = Field(None, exclude_if=_absent)
    """recordings with the same value are in one split: a speaker, site or longer recording (none: no groups)"""
    start_column: str | None = Field(None, exclude_if=_absent)
    """where the labelled part of the recording begins, in seconds"""
    end_column: str | None = Field(None, exclude_if=_absent)
    """where it ends, in seconds"""

    @field_validator("separator")
    @classmethod
    def _check_separator(cls, value: str | None) -> str | None:
        if value is not None and value not in SEPARATORS and len(value) != 1:
            raise ValueError(f"expected {', '.join(SEPARATORS)} or one character")
        return value

    @field_validator("test_folds", "val_folds", mode="before")
    @classmethod
    def _divide(cls, value: Any) -> Any:
        if isinstance(value, str | int):
            return tuple(part.strip() for part in str(value).split(",") if part.strip())
        return tuple(map(str, value))

    @field_validator("split_values")
    @classmethod
    def _check_split_values(cls, value: str | None) -> str | None:
        if value is not None:
            _parse_split_values(value)
        return value

    @model_validator(mode="after")
    def _check_columns(self) -> "TableOptions":
        if (self.start_column is None) != (self.end_column is None):
            raise ValueError("--start-column and --end-column: expected both or neither")
        if self.split_column not in (None, NONE) and self.fold_column not in (None, NONE):
            raise ValueError("--split-column and --fold-column: expected one of them")
        return self

    @property
    def splits_by_value(self) -> dict[str, str]:
        """The split that a value of the split column means; values are in lower case."""
        return SPLIT_NAMES | (_parse_split_values(self.split_values) if self.split_values else {})


def _parse_split_values(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    found = {value.strip().lower(): SPLIT_NAMES.get(split.strip().lower(), "") for value, _, split in pairs}
    if not found or not all(found.values()):
        raise ValueError("expected values and splits such as 1=train,2=val,3=test")
    return found
