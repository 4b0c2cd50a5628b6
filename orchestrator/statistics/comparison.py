"""Methods compared on the same seeds: what is paired, what the tests say, and that in words.

Chains are paired on the same class order, support draw and initialisation. Of each method the configuration with the
highest validation AA stands for it.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.text import one_line, plural
from orchestrator.results.chain_metrics import Measure
from orchestrator.results.run import Choice, Run
from orchestrator.statistics.estimates import percent
from orchestrator.statistics.paired_tests import ALPHA, CLAIM, Paired, holm, paired, seeds_needed
from trainables.records import SeedTriple

_LONGEST_NAME = 16


@dataclass(frozen=True)
class Contender:
    """A method of a run.

    Attributes:
        label: its name; 'ede@run', or 'ede@2' for that of the second run, where two contenders have the same.
        run: the run.
        choice: the configuration that stands for it.
        head: by which it is judged.
    """

    label: str
    run: Run
    choice: Choice
    head: str

    def values(self, measure: Measure) -> dict[SeedTriple, float]:
        """Seeds -> the measure on test clips, of the chains that have it."""
        rows = self.run.chains
        kept = rows[(rows["configuration"] == self.choice.configuration) & (rows["head"] == self.head)]
        kept = kept[(kept["split"] == "test") & kept["complete"].astype(bool) & kept[measure.name].notna()]
        named = zip(kept["trial"], kept[measure.name], strict=True)
        return {self.run.trials[trial].seeds: float(value) for trial, value in named}


@dataclass(frozen=True)
class Comparison:
    """Two contenders on the seeds that both have.

    Attributes:
        first: label of one.
        second: label of the other.
        means: of both, over the shared seeds; fractions of one.
        test: of first minus second.
        p_holm: p value of the paired t test, corrected for the number of comparisons.
        p_wilcoxon_holm: of Wilcoxon's test, likewise.
        more_seeds: how many more would be needed to find a difference of this size; None where that is decided,
            unknown, or more than is worth it.
    """

    first: str
    second: str
    means: tuple[float, float]
    test: Paired
    p_holm: float
    p_wilcoxon_holm: float
    more_seeds: int | None

    @property
    def decided(self) -> bool:
        """Whether one is better than the other."""
        return self.p_holm < ALPHA


def contenders(runs: Sequence[Run], methods: Sequence[str] = (), head: str | None = None) -> list[Contender]:
    """The methods to compare.

    Args:
        runs: the runs, of the same data and protocol.
        methods: names; of each run all where empty.
        head: by which all are judged; each by its default head where None.

    Raises:
        EarshotError: the runs cannot be compared, or a method or head is not there.
    """
    known = sorted({method for run in runs for method in run.methods})
    for method in methods:
        if method not in known:
            raise EarshotError(f"method {one_line(method)}: not in {_told(runs)}; {suggestion(method, known)}")
    pairs = [(run, method) for run in runs for method in run.methods if not methods or method in methods]
    names = [method for _, method in pairs]
    found = []
    for run, method in pairs:
        choice = run.best(method)
        heads = run.heads(method)
        if head is not None and head not in heads:
            raise EarshotError(f"head {one_line(head)}: {one_line(method)} has none of that name; {_one_of(heads)}")
        label = method if names.count(method) == 1 else f"{method}@{_short_name(run, runs)}"
        found.append(Contender(one_line(label), run, choice, head or run.default_head(choice.configuration)))
    if len(found) < 2:
        raise EarshotError(
            f"{_told(runs)}: expected at least two methods to compare, found {', '.join(map(one_line, names))};"
            " name another run, or more with --method"
        )
    _check_comparable(found)
    return found


def compare(compared: Sequence[Contender], measure: Measure, against: str | None = None) -> list[Comparison]:
    """Compares all with all, or all with one.

    Args:
        compared: the contenders.
        measure: what is compared, on test clips.
        against: label of the one that all others are compared with; every two are where None.

    Raises:
        EarshotError: no contender has that label, or no two have a seed in common.
    """
    values = {one.label: one.values(measure) for one in compared}
    if against is not None and against not in values:
        raise EarshotError(f"against {one_line(against)}: not compared; {suggestion(against, list(values))}")
    if against is None:
        pairs = list(itertools.combinations(values, 2))
    else:
        pairs = [(label, against) for label in values if label != against]
    shared = {(a, b): [seeds for seeds in values[a] if seeds in values[b]] for a, b in pairs}
    if not any(shared.values()):
        told = "; ".join(f"{label} has {', '.join(map(str, found)) or 'none'}" for label, found in values.items())
        raise EarshotError(
            f"{measure.title}: expected whole chains with the same seeds, found none: {told};"
            " run all with the same --seeds"
        )
    tests = {(a, b): paired([values[a][s] - values[b][s] for s in seeds]) for (a, b), seeds in shared.items()}
    p_holm = holm([test.p_t for test in tests.values()])
    p_wilcoxon = holm([test.p_wilcoxon for test in tests.values()])
    family = sum(not np.isnan(p) for p in p_holm)
    found = []
    for (pair, test), p, p_rank in zip(tests.items(), p_holm, p_wilcoxon, strict=True):
        means = [float(np.mean([values[label][s] for s in shared[pair]])) if test.n else float("nan") for label in pair]
        # The strictest step of Holm: what is found at it is found wherever the comparison stands in the order.
        needed = seeds_needed(test.d_z, ALPHA / family) if p >= ALPHA else None
        more = None if needed is None else max(1, needed - test.n)
        found.append(Comparison(*pair, (means[0], means[1]), test, p, p_rank, more))
    return found


def sentence(comparison: Comparison, measure: Measure, family: int) -> str:
    """What a comparison says, in plain words.

    Args:
        comparison: the comparison.
        measure: what was compared.
        family: number of comparisons.
    """
    test, first, second = comparison.test, comparison.first, comparison.second
    seeds, title = plural(test.n, "seed"), measure.title
    if test.n < 2:
        return f"{first} and {second} have {seeds} in common; at least two are needed."
    if test.std == 0 and test.mean == 0:
        return f"{first} and {second} have the same {title} with each of {seeds}."
    if (test.mean > 0) != measure.up:
        first, second = second, first
    points = f"{percent(abs(test.mean))} points of {title}"
    if test.std == 0:
        return f"Not decided: {first} is ahead of {second} by {points} with each of {seeds}; without spread no t test."
    ends = (test.low, test.high) if test.mean > 0 else (-test.high, -test.low)
    interval = f"[{percent(ends[0])}, {percent(ends[1])}]"
    how = f"paired t, {'Holm ' if family > 1 else ''}{_p(comparison.p_holm)}, {seeds}"
    if comparison.decided:
        doubt = ""
        if comparison.p_wilcoxon_holm >= ALPHA:
            doubt = f"; Wilcoxon's test alone would not say so ({_p(comparison.p_wilcoxon_holm)})"
        return f"{first} is better than {second} by {points} {interval} ({how}){doubt}."
    if comparison.more_seeds is None:
        more = "a difference this small would need more than 1,000 seeds"
    else:
        more = f"about {plural(comparison.more_seeds, 'more seed')} would be needed for a difference of this size"
    return f"Not decided: {first} is ahead of {second} by {points} {interval} ({how}); {more}."


def notes(compared: Sequence[Contender], comparisons: Sequence[Comparison], measure: Measure) -> list[str]:
    """What a reader should keep in mind."""
    told = []
    if not measure.up:
        told.append(f"Less {measure.title} is better.")
    fewest = min((one.test.n for one in comparisons if one.test.n), default=0)
    if fewest < CLAIM:
        told.append(f"A claim needs at least {CLAIM} seeds; here are {fewest}.")
    if any(one.more_seeds for one in comparisons):
        told.append(
            "More seeds: for a power of 80 %, if the difference seen here is the true one; it is often smaller."
        )
    provisional = [one.label for one in compared if one.choice.provisional]
    if provisional:
        told.append(f"Provisional, as no configuration is complete: {', '.join(provisional)}.")
    blind = [one.label for one in compared if np.isnan(one.choice.validation_aa)]
    if blind:
        told.append(f"Without validation clips the first configuration by name stands for: {', '.join(blind)}.")
    return told


def _check_comparable(compared: Sequence[Contender]) -> None:
    """Differences are of methods alone where data, protocol and sessions are the same."""
    first = compared[0].run.of(compared[0].choice.configuration)[0]
    for one in compared[1:]:
        for record in one.run.of(one.choice.configuration):
            for key in ("benchmark_fingerprint", "protocol", "planned_sessions"):
                ours, theirs = getattr(first, key), getattr(record, key)
                if ours != theirs:
                    raise EarshotError(
                        f"{one.run.folders[record.trial]}: {key}: expected that of {compared[0].label},"
                        f" {json.dumps(ours)}, found {json.dumps(theirs)}; compare runs of one benchmark and protocol"
                    )


def _short_name(run: Run, runs: Sequence[Run]) -> str:
    """The name of a run; its place where that is long or not its own."""
    own = sum(one.name == run.name for one in runs) == 1
    place = next(place for place, one in enumerate(runs, 1) if one is run)
    return run.name if own and len(run.name) <= _LONGEST_NAME else str(place)


def _told(runs: Iterable[Run]) -> str:
    return ", ".join(str(run.path) for run in runs)


def _one_of(names: Iterable[str]) -> str:
    return f"expected one of {', '.join(map(one_line, names))}"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"
