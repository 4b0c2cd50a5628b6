"""Compares methods on the same seeds: pairs their chains, tests the differences.

Chains are paired by class order, support draw and initialisation. Each method is represented by the configuration with
the highest validation AA. Inductive and transductive methods are not tested against each other: the latter see more.
"""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.text import one_line
from orchestrator.results.measures import Measure
from orchestrator.results.protocols import MIXED, differing, same_protocol
from orchestrator.results.run import Choice, Run
from orchestrator.statistics.paired_tests import ALPHA, PairedTest, described, holm, paired_test, seeds_needed
from trainables.records import INDUCTIVE, SeedTriple, Track, TrialRecord

_LONGEST_NAME = 16  # characters of a run's name in a label
Pair = tuple[str, str]
"""Labels of two methods."""
Values = Mapping[SeedTriple, float]
"""Seeds -> value of a chain."""


@dataclass(frozen=True)
class ComparedMethod:
    """A method of a run.

    Attributes:
        label: its name, with that of its backbone where the run has several; 'ede@run', or 'ede@2' for the second
            run, if several runs have a method of that name.
        run: the run.
        choice: the selected configuration.
        head: the evaluated head.
    """

    label: str
    run: Run
    choice: Choice
    head: str

    @property
    def protocol(self) -> str:
        """Its protocol hash, or 'unknown'."""
        return self.run.protocols[self.run.of(self.choice.configuration)[0].trial]

    def values(self, measure: Measure) -> dict[SeedTriple, float]:
        """Seeds -> the measure on test clips, for the complete chains that have it."""
        rows = self.run.chains
        rows = rows[(rows["configuration"] == self.choice.configuration) & (rows["head"] == self.head)]
        rows = rows[(rows["split"] == "test") & rows["complete"].astype(bool) & rows[measure.name].notna()]
        by_trial = zip(rows["trial"], rows[measure.name], strict=True)
        return {self.run.trials[trial].seeds: float(value) for trial, value in by_trial}


@dataclass(frozen=True)
class Comparison:
    """Two methods on the seeds that both have.

    Attributes:
        first: label of one method.
        second: label of the other method.
        means: of both, over the shared seeds; fractions of one.
        test: paired test of first minus second; without p values and effect sizes for methods of two tracks or
            protocols.
        p_holm: p value of the paired t test, corrected for the number of comparisons.
        p_wilcoxon_holm: p value of Wilcoxon's test, corrected likewise.
        more_seeds: how many more seeds are needed to detect a difference of this size; None if it is significant
            already, unknown, or more than `MAX_SEEDS` in total.
        tracks: of both methods.
        protocols: hashes of both methods.
    """

    first: str
    second: str
    means: tuple[float, float]
    test: PairedTest
    p_holm: float
    p_wilcoxon_holm: float
    more_seeds: int | None
    tracks: tuple[Track, Track] = (INDUCTIVE, INDUCTIVE)
    protocols: tuple[str, str] = ("", "")

    @property
    def tested(self) -> bool:
        """Whether both methods have one track and protocol; otherwise the difference is described and not tested."""
        return self.tracks[0] == self.tracks[1] and self.protocols[0] == self.protocols[1]

    @property
    def decided(self) -> bool:
        """Whether the difference is significant."""
        return self.p_holm < ALPHA


def compared_methods(
    runs: Sequence[Run], methods: Sequence[str] = (), head: str | None = None, *, mixed: bool = False
) -> list[ComparedMethod]:
    """Selects the methods to compare.

    Args:
        runs: runs with the same protocol hash.
        methods: names of methods, alone or with a backbone; all methods of each run if empty.
        head: head to evaluate; the default head of each method if None.
        mixed: whether the protocol hashes may differ.

    Raises:
        EarshotError: the runs are not comparable, a method or head is unknown, or there are fewer than two methods.
    """
    known = sorted({name for run in runs for name in (*run.methods, *run.entries)})
    for method in methods:
        if method not in known:
            raise EarshotError(f"method {one_line(method)}: not in {_paths(runs)}; {suggestion(method, known)}")
    runs = [run.beside(runs) for run in runs]
    pairs = [
        (run, label)
        for run in runs
        for label, entry in run.entries.items()
        if not methods or label in methods or entry.method in methods
    ]
    names = [name for _, name in pairs]
    if len(pairs) < 2:
        raise EarshotError(
            f"{_paths(runs)}: expected at least two methods to compare, found {', '.join(map(one_line, names))};"
            " name another run, or more methods with --method"
        )
    compared = []
    for run, name in pairs:
        label = name if names.count(name) == 1 else f"{name}@{_short_name(run, runs)}"
        choice = run.best(name)
        selected_head = _checked_head(run, name, head) or run.default_head(choice.configuration)
        compared.append(ComparedMethod(one_line(label), run, choice, selected_head))
    if not mixed:
        _check_comparable(compared)
    return compared


def compare(compared: Sequence[ComparedMethod], measure: Measure, against: str | None = None) -> list[Comparison]:
    """Compares every two methods of a track and protocol, or all with one.

    Args:
        compared: the methods.
        measure: the metric to compare, on test clips.
        against: label of the method that all others are compared with, those of its own track and protocol first; None
            compares every two methods of the same, or all if no two have the same.

    Raises:
        EarshotError: no method has that label, or no two methods have a seed in common.
    """
    values = {method.label: method.values(measure) for method in compared}
    groups = {method.label: (method.choice.track, method.protocol) for method in compared}
    pairs = _pairs(groups, against)
    shared = {(a, b): [seeds for seeds in values[a] if seeds in values[b]] for a, b in pairs}
    if not any(shared.values()):
        seeds_of = "; ".join(f"{label} has {', '.join(map(str, chains)) or 'none'}" for label, chains in values.items())
        raise EarshotError(
            f"{measure.title}: expected complete chains with the same seeds, found none: {seeds_of};"
            " run all with the same --seeds"
        )
    largest = measure.range[1] - measure.range[0]
    tests = {}
    for (a, b), seeds in shared.items():
        test = paired_test([values[a][s] - values[b][s] for s in seeds], largest)
        tests[a, b] = test if groups[a] == groups[b] else described(test)
    p_holm = holm([test.p_t for test in tests.values()])
    p_wilcoxon = holm([test.p_wilcoxon for test in tests.values()])
    family = sum(not np.isnan(p) for p in p_holm)
    return [
        Comparison(
            *pair,
            means=(_mean(values[pair[0]], shared[pair]), _mean(values[pair[1]], shared[pair])),
            test=test,
            p_holm=p,
            p_wilcoxon_holm=p_rank,
            more_seeds=_more_seeds(test, p, family),
            tracks=(groups[pair[0]][0], groups[pair[1]][0]),
            protocols=(groups[pair[0]][1], groups[pair[1]][1]),
        )
        for (pair, test), p, p_rank in zip(tests.items(), p_holm, p_wilcoxon, strict=True)
    ]


def count_tested(comparisons: Sequence[Comparison]) -> int:
    """Number of comparisons that are tested: Holm's correction is over these."""
    return sum(comparison.tested for comparison in comparisons)


def _pairs(groups: Mapping[str, tuple[Track, str]], against: str | None) -> list[Pair]:
    """The pairs to compare; those of one group first.

    Args:
        groups: label -> track and protocol of the method.
        against: see `compare`.
    """
    if against is None:
        pairs = list(itertools.combinations(groups, 2))
        return [(a, b) for a, b in pairs if groups[a] == groups[b]] or pairs
    if against not in groups:
        raise EarshotError(f"against {one_line(against)}: not compared; {suggestion(against, list(groups))}")
    labels = sorted(groups, key=lambda label: groups[label] != groups[against])
    return [(label, against) for label in labels if label != against]


def _mean(values: Values, seeds: Sequence[SeedTriple]) -> float:
    return float(np.mean([values[triple] for triple in seeds])) if seeds else float("nan")


def _more_seeds(test: PairedTest, p: float, family: int) -> int | None:
    """Seeds to add until the t test detects this difference at the strictest step of Holm's method, so at any."""
    needed = seeds_needed(test.d_z, ALPHA / family) if p >= ALPHA else None
    return None if needed is None else max(1, needed - test.n)


def _checked_head(run: Run, label: str, head: str | None) -> str | None:
    heads = run.heads(label)
    if head is not None and head not in heads:
        expected = ", ".join(map(one_line, heads))
        raise EarshotError(f"head {one_line(head)}: {one_line(label)} has no such head; expected one of {expected}")
    return head


def _check_comparable(compared: Sequence[ComparedMethod]) -> None:
    """Raises unless the protocol hashes are equal, so that differences are those of the methods alone."""
    first = compared[0]
    record = first.run.of(first.choice.configuration)[0]
    for method in compared[1:]:
        for other in method.run.of(method.choice.configuration):
            found = method.run.protocols[other.trial]
            if not same_protocol(record, first.protocol, other, found):
                names, (key, expected, value) = _difference(record, other)
                raise EarshotError(
                    f"{method.run.folders[other.trial]}: {key}: expected that of {first.label}, {json.dumps(expected)},"
                    f" found {json.dumps(value)}; compare runs of one benchmark and protocol, {MIXED} (different:"
                    f" {', '.join(names)}; protocol {first.protocol} of {first.run.path}, {found} of {method.run.path})"
                )


def _difference(first: TrialRecord, second: TrialRecord) -> tuple[list[str], tuple[str, Any, Any]]:
    """The names of all that differs, and the first field of a record that does, with both values."""
    found = differing(first, second)
    if found[0][0] == "benchmark_fingerprint":
        return [name for name, *_ in found], found[0]
    for key in ("protocol", "planned_sessions"):
        if (one := getattr(first, key)) != (other := getattr(second, key)):
            return [name for name, *_ in found], (key, one, other)
    return [name for name, *_ in found], found[0]


def _short_name(run: Run, runs: Sequence[Run]) -> str:
    """The name of a run; its number if the name is long or not unique."""
    unique = sum(other.name == run.name for other in runs) == 1
    number = next(number for number, other in enumerate(runs, 1) if other is run)
    return run.name if unique and len(run.name) <= _LONGEST_NAME else str(number)


def _paths(runs: Iterable[Run]) -> str:
    return ", ".join(str(run.path) for run in runs)
