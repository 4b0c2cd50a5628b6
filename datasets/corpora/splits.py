"""Which recordings are train, val and test: drawn file by file, or group by group."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from datasets.benchmark.manifest import SPLITS

_CLOSE = 1e-5  # cost of a class that cannot be improved noticeably: a deviation of 0.3 % of its files
ATTEMPTS = 20
"""Orders in which groups are assigned if a class lacks train or test files in the first one."""
MAX_SWAPS = 64
"""Up to so many groups, pairs of them are also exchanged to approach the fractions."""

_MISSING = 1e6  # cost of a class without train or without test files
_NO_VAL = 1e3  # cost of a class without val files although it has groups enough


def split_files(paths: Sequence[str], train: float, val: float, seed: int) -> dict[str, str]:
    """Assigns a split to each file of a class.

    With n files ordered by SHA-256 of (seed, path): the first round(train n) are train, the next round(val n) val, the
    others test. At least one file is train and one is test, taken from val first and then from the larger of the two.

    Args:
        paths: at least two, relative to the source folder.
        train: fraction of the files.
        val: fraction of the files.
        seed: of the order.

    Returns:
        The split of each path.
    """
    number = len(paths)
    for_training = min(max(1, int(train * number + 0.5)), number - 1)
    for_validation = min(int(val * number + 0.5), number - 1 - for_training)
    splits = ["train"] * for_training + ["val"] * for_validation
    splits += ["test"] * (number - len(splits))
    return dict(zip(_shuffled(paths, seed), splits, strict=True))


def split_groups(
    classes: Mapping[str, Mapping[str, str]], train: float, val: float, seed: int
) -> dict[str, dict[str, str]]:
    """Assigns a split to each file such that the files of a group, of all classes, are in the same one.

    Classes that share a group, directly or through others, are split together, the others by themselves: a new class
    with groups of its own changes no other class. Groups ordered by SHA-256 of (seed, group) get a first split, then
    they are moved and exchanged while this brings the files of each class closer to the fractions.

    Args:
        classes: by name, the group of each path.
        train: fraction of the files of a class.
        val: fraction of the files of a class.
        seed: of the order.

    Returns:
        By class, the split of each path. A class that could not get both train and test files has only one of them.
    """
    fractions = np.array([train, val, 1 - train - val])
    splits: dict[str, str] = {}
    for names in connected_classes(classes):
        of_names = {name: classes[name] for name in names}
        rows = {group: row for row, group in enumerate(dict.fromkeys(_values(of_names)))}
        largest = max(Counter(group for groups in of_names.values() for group in groups.values()).values())
        # 100,000 groups in 1,000 classes are 200 MB as numbers of two bytes
        sizes = np.zeros((len(rows), len(names)), np.min_scalar_type(largest))
        for column, groups in enumerate(of_names.values()):
            for group in groups.values():
                sizes[rows[group], column] += 1
        splits |= _assign(rows, sizes, fractions, seed)
    return {name: {path: splits[group] for path, group in groups.items()} for name, groups in classes.items()}


def _values(classes: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for groups in classes.values():
        yield from groups.values()


def connected_classes(classes: Mapping[str, Mapping[str, str]]) -> list[tuple[str, ...]]:
    """The classes, those together that share a group, directly or through others; sorted by name."""
    parents = {name: name for name in classes}

    def root(name: str) -> str:
        while parents[name] != name:
            name = parents[name]
        return name

    first_class: dict[str, str] = {}
    for name in sorted(classes):
        for group in classes[name].values():
            parents[root(name)] = root(first_class.setdefault(group, name))
    connected: dict[str, list[str]] = {}
    for name in sorted(classes):
        connected.setdefault(root(name), []).append(name)
    return [tuple(names) for names in connected.values()]


def _assign(rows: Mapping[str, int], sizes: np.ndarray, fractions: np.ndarray, seed: int) -> dict[str, str]:
    """The split of each group.

    Args:
        rows: by group, its row in `sizes`.
        sizes: files of each group and class [groups, classes].
        fractions: of train, val and test.
        seed: of the order.
    """
    best: tuple[float, dict[str, str]] | None = None
    for attempt in range(ATTEMPTS):
        groups = _shuffled(rows, seed if attempt == 0 else f"{seed} {attempt}")
        assignment = _Assignment(sizes, [rows[group] for group in groups], fractions)
        assignment.improve()
        if best is None or assignment.cost < best[0]:
            found = {group: SPLITS[split] for group, split in zip(groups, assignment.splits, strict=True)}
            best = assignment.cost, found
        if assignment.cost < _NO_VAL:
            break
    assert best is not None  # there is an attempt
    return best[1]


class _Assignment:
    """The split of each group, and how far the files of each class are from the fractions.

    Args:
        sizes: files of each group and class [groups, classes], unsigned integers.
        order: rows of `sizes` in the order in which the groups are assigned.
        fractions: of train, val and test.

    Attributes:
        splits: number of the split of each group, in this order.
        cost: sum over classes and splits of the squared deviation from the fraction, and the cost of empty splits.
    """

    def __init__(self, sizes: np.ndarray, order: Sequence[int], fractions: np.ndarray) -> None:
        self._sizes, self._order, self._fractions = sizes, order, fractions[:, None]
        self._files = sizes.sum(0, dtype=np.float64)
        wants_val = (fractions[1] > 0) & (np.count_nonzero(sizes, axis=0) >= len(SPLITS))
        self._missing = np.stack(
            [np.full(len(self._files), _MISSING), wants_val * _NO_VAL, np.full(len(self._files), _MISSING)]
        )
        of_group = sizes.sum(1, dtype=np.float64)[list(order)]
        middles = (np.cumsum(of_group) - of_group / 2) / of_group.sum()
        self.splits: list[int] = np.searchsorted(np.cumsum(fractions)[:2], middles).tolist()
        self._totals = np.zeros((len(SPLITS), len(self._files)))
        for row, split in zip(order, self.splits, strict=True):
            self._totals[split] += sizes[row]
        self.cost = self._cost(self._totals)

    def _cost(self, totals: np.ndarray) -> float:
        """The cost of numbers of files in each split and class [splits, classes]."""
        deviations = totals / self._files
        deviations -= self._fractions
        cost = (deviations**2).sum()
        if not totals.all():
            cost += self._missing[totals == 0].sum()
        return float(cost)

    def improve(self) -> None:
        """Moves and exchanges groups until no move or exchange reduces the cost."""
        groups = range(len(self.splits))
        pairs = list(combinations(groups, 2)) if len(self.splits) <= MAX_SWAPS else []
        improved = True
        while improved and self.cost > _CLOSE * len(self._files):
            improved = False
            for group in groups:
                for split in range(len(SPLITS)):
                    improved |= self._try(((group, split),))
            for left, right in pairs:
                improved |= self._try(((left, self.splits[right]), (right, self.splits[left])))

    def _try(self, moves: Sequence[tuple[int, int]]) -> bool:
        """Puts groups into splits if this reduces the cost."""
        if all(self.splits[group] == split for group, split in moves):
            return False
        totals = self._totals.copy()
        for group, split in moves:
            sizes = self._sizes[self._order[group]]
            totals[self.splits[group]] -= sizes
            totals[split] += sizes
        cost = self._cost(totals)
        if cost >= self.cost - 1e-12:
            return False
        self._totals, self.cost = totals, cost
        for group, split in moves:
            self.splits[group] = split
        return True


def _shuffled(texts: Iterable[str], seed: int | str) -> list[str]:
    """The texts, ordered by SHA-256 of the seed and the text."""
    return sorted(texts, key=lambda text: hashlib.sha256(f"{seed}\0{text}".encode()).digest())
