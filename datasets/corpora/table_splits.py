"""The splits that a table gives: by a column of their names, or by folds."""

from collections.abc import Sequence

from datasets.corpora.table_options import NONE, TableOptions
from datasets.tables.table import Table, present
from datasets.utils.errors import EarshotError
from datasets.utils.text import first_few, printable


def given_splits(table: Table, options: TableOptions) -> list[str] | None:
    """The split of each row; None if the table gives none, so that they are drawn.

    Raises:
        EarshotError: a cell is not a split, or a fold that is asked for is not in the table.
    """
    if options.split_column not in (None, NONE):
        return _by_name(table, str(options.split_column), options)
    if options.fold_column not in (None, NONE):
        test, val = chosen_folds(table, options)
        cells = table.column(str(options.fold_column), "--fold-column")
        folds = [fold_name(cell) for cell in cells]
        if "" in folds:
            raise table.error(folds.index(""), str(options.fold_column), "the number of a fold")
        return ["test" if fold in test else "val" if fold in val else "train" for fold in folds]
    return None


def chosen_folds(table: Table, options: TableOptions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The folds for testing and for validation.

    Raises:
        EarshotError: a fold is not in the table, is used twice, or none is left for training.
    """
    cells = table.column(str(options.fold_column), "--fold-column")
    if not options.test_folds:
        _check_numbers(table, str(options.fold_column), cells)
    folds = sorted({fold_name(cell) for cell in cells} - {""}, key=lambda fold: (not fold.isdecimal(), len(fold), fold))
    test = options.test_folds or tuple(folds[-1:])
    rest = [fold for fold in folds if fold not in test]
    val = options.val_folds or (tuple(rest[-1:]) if len(rest) > 1 else ())
    val = () if val == (NONE,) else val
    for option, given in (("--test-folds", test), ("--val-folds", val)):
        for fold in given:
            if fold not in folds:
                raise EarshotError(
                    f"{option} {printable(fold)}: expected folds of column {printable(str(options.fold_column))} of "
                    f"{table.name}, found {first_few([printable(name) for name in folds], 20)}; choose among them"
                )
    if both := set(test) & set(val):
        raise EarshotError(f"--val-folds {min(both)}: expected other folds than --test-folds; choose another one")
    if not set(folds) - set(test) - set(val):
        raise EarshotError("--test-folds, --val-folds: expected a fold that is left for training, found none")
    return test, val


def _check_numbers(table: Table, column: str, cells: Sequence[str]) -> None:
    """Checks that the folds are numbers, if most are: the last fold would be another one because of a mistake."""
    names = [fold_name(cell) for cell in cells]
    others = [row for row, name in enumerate(names) if name and not name.isdecimal()]
    if others and len(others) < len(names) / 2:
        raise table.error(others[0], column, "the number of a fold, as in other rows", "fix it, or give --test-folds")


def fold_name(cell: str) -> str:
    """A fold as text: 5 for `5`, ` 5 ` and `5.0`; "" if it is missing."""
    text = present(cell)
    return text.removesuffix(".0") if text.removesuffix(".0").isdecimal() else text


def _by_name(table: Table, column: str, options: TableOptions) -> list[str]:
    known = options.splits_by_value
    splits = []
    for row, cell in enumerate(table.column(column, "--split-column")):
        value = present(cell).lower()
        split = known.get(value) if value else options.split_default
        if split is None:
            meaning = f"give --split-values, such as {value[:20]}=train" if value else "give --split-default"
            advice = f"{meaning}, or draw the splits with --split-column none"
            raise table.error(row, column, "train, val or test", printable(advice))
        splits.append(split)
    return splits
