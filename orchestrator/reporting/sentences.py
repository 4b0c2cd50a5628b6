"""Sentences of reports, as plain text; each writer escapes them for its format.

The Markdown report, the page, the LaTeX table, the workbook and `earshot compare` take their sentences from here, so
that they state the same.
"""

from collections.abc import Sequence

import numpy as np

from datasets.utils.errors import EarshotError
from datasets.utils.text import one_line, plural
from orchestrator.reporting.facts import (
    benchmark_names,
    by_track,
    classes_counted,
    fewest_chains,
    limiting_ceilings,
    protocol_line,
    ranked,
)
from orchestrator.reporting.formatting import percent
from orchestrator.results.measures import MEASURES, Measure
from orchestrator.results.run import Choice, Run
from orchestrator.statistics.comparison import ComparedMethod, Comparison, compare, count_tested
from orchestrator.statistics.estimates import Estimate, Estimates
from orchestrator.statistics.paired_tests import ALPHA, MAX_SEEDS, MIN_SEEDS_FOR_CLAIM
from trainables.records import TRANSDUCTIVE

CHOSEN = "configuration chosen by validation AA; methods in descending order of it"
MEAN_STD = "mean ± std (ddof 1) over n chains"
PROVISIONAL_MARK = "* provisional: no configuration has finished all its seeds"
APART = (
    "A transductive method predicts from the query clips of a session as one batch, without their labels, which is more"
    " than the other methods see; it is not ranked with them."
)
APART_SHORT = "transductive: query clips seen as one batch; not ranked with the others"
HOW_COUNTED = (
    "AA, PD, final, forgetting, BWT and cost are computed for chains with all planned sessions only, accuracies of a"
    " session for all chains that finished it; missing sessions are not counted. n is the number of chains behind a"
    " value, written 2/3 if one of three trials lacks it. Values are means over chains, std is the sample standard"
    " deviation (ddof 1), '-' is a value that is undefined or not available yet. The CSV files contain fractions of"
    " one."
)
DIFFERENCES = (
    "Each method against {best}, the best on validation clips, on the same seeds: paired differences of AA on test"
    " clips with their 95 % intervals; p values with Holm's correction. For other comparisons see earshot compare."
)
SPREAD = (
    "Variance components of AA over the chains, estimated by fitting constants (analysis of variance); the interaction"
    " is the joint effect of the seeds. Estimates from few seeds are rough. Methods whose seeds always change together"
    " are left out."
)
NO_SPREAD = (
    "The contributions of class order, support draw and initialisation to the std of AA cannot be estimated: this needs"
    " seeds that are crossed rather than changed together (in the YAML file of a sweep: seeds as triples)."
)
SHEETS = (
    ("methods", "the chosen configurations, default head, test clips: a0 to aT, AA and PD"),
    ("heads", "every head of the chosen configurations: every metric of a chain"),
    ("sessions", "every head, split and session of the chosen configurations"),
    ("configurations", "every configuration, default head"),
    ("classes", "accuracy of each class after each session; chosen configurations, default head, test clips"),
    ("_mean, _std, _n", "mean and sample standard deviation (ddof 1) over n chains"),
)
"""(sheet or column of the workbook, what it contains)."""


# --- a run


def answer(run: Run, estimates: Estimates, choices: Sequence[Choice], head: str | None = None) -> str:
    """The accuracy of the best method by validation, and of the next one; progress so far if none is complete.

    Methods of another track or protocol are named apart.

    Args:
        run: the run.
        estimates: estimates of the run.
        choices: the configuration of each method.
        head: head to evaluate, of the methods that have it; the default head of each method if None.
    """
    groups = by_track([c for c in ranked(run, estimates, choices, head) if not c.provisional])
    if not groups:
        done = sum(len(record.sessions) for record in run.trials.values())
        return f"No configuration has finished all its seeds yet: {plural(done, 'session')} so far."
    chains = {choice: _chain(run, estimates, choice, head) for group in groups for choice in group}
    if run.has_several_protocols:
        apart = (f"{_with_track(group[0])}: {_accuracy(chains[group[0]]['aa'])}" for group in groups)
        return f"Average accuracy of the best method of each protocol and track: {'; '.join(apart)}."
    (best, *following), *others = groups
    aa, final = chains[best]["aa"], chains[best]["final"]
    validated = estimates.chain(best.configuration, _head(run, best, head), "val")["aa"].n > 0
    lower = validated and following and chains[following[0]]["aa"].mean > aa.mean
    text = f"{one_line(best.label)}{', the best on validation clips,' if lower else ''} reaches an average accuracy of"
    text += f" {_accuracy(aa)} and a final accuracy of {percent(final.mean)} % after"
    text += f" {plural(run.planned_sessions, 'session')}"
    if following:
        text += f"; next by {'validation' if validated else 'name'} is {one_line(following[0].label)} with"
        text += f" {_accuracy(chains[following[0]]['aa'])}"
    for choice, *_ in others:
        text += f". Apart from these, {_with_track(choice)} reaches {_accuracy(chains[choice]['aa'])}"
    return text + "."


def answer_verdict(run: Run, estimates: Estimates, choices: Sequence[Choice], head: str | None = None) -> str:
    """Whether the two methods that `answer` names first differ: the paired test, on the seeds that both have.

    Empty with fewer than two complete methods, or of several protocols.

    Args:
        run: the run.
        estimates: estimates of the run.
        choices: the configuration of each method.
        head: see `answer`.
    """
    groups = by_track([c for c in ranked(run, estimates, choices, head) if not c.provisional])
    if not groups or len(groups[0]) < 2 or run.has_several_protocols:
        return ""
    group = [ComparedMethod(one_line(c.label), run, c, _head(run, c, head)) for c in groups[0]]
    try:
        comparisons = compare(group, MEASURES["aa"], against=group[0].label)
    except EarshotError:  # no seed in common
        return ""
    between = next(one for one in comparisons if one.first == group[1].label)
    return verdict(between, MEASURES["aa"], count_tested(comparisons))


def _chain(run: Run, estimates: Estimates, choice: Choice, head: str | None) -> dict[str, Estimate]:
    return estimates.chain(choice.configuration, _head(run, choice, head), "test")


def _head(run: Run, choice: Choice, head: str | None) -> str:
    return head or run.default_head(choice.configuration)


def _with_track(choice: Choice) -> str:
    """'ede', 'tape-like (transductive)'."""
    return one_line(choice.label) + (f" ({choice.track})" if choice.track == TRANSDUCTIVE else "")


def notes(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> list[str]:
    """How the configurations were chosen, and the limits of the results."""
    optional = (
        provisional(choices),
        without_validation([choice.label for choice in choices if np.isnan(choice.validation_aa)]),
        transductive(choices),
        "Methods of different protocols are not ranked against each other." if run.has_several_protocols else "",
        ceiling(run),
        claim(fewest_chains(run, estimates, choices)),
    )
    return [selection(choices), *(text for text in optional if text)]


def selection(choices: Sequence[Choice]) -> str:
    """How the configuration of each method was chosen."""
    compared = sum(choice.candidates for choice in choices)
    on_each = " on each backbone" if any(choice.backbone for choice in choices) else ""
    return (
        f"Of each method{on_each}, the configuration with the highest validation AA is shown: the mean over its"
        f" seeds, default head ({compared} compared). Only configurations that have finished all their seeds are"
        " compared; ties go to the first by name. Test clips are never used to choose; the test accuracy of the chosen"
        " configuration is reported once."
    )


def provisional(choices: Sequence[Choice]) -> str:
    """Methods whose choice is provisional; empty if there are none."""
    methods = [
        f"{one_line(choice.label)} (first {plural(choice.sessions, 'session')})"
        for choice in choices
        if choice.provisional
    ]
    if not methods:
        return ""
    return (
        f"Provisional: no configuration of {', '.join(methods)} has finished all its seeds; the choice is by the mean"
        " validation accuracy over the sessions that all compared configurations have finished."
    )


def without_validation(methods: Sequence[str]) -> str:
    """Methods without validation predictions; empty if there are none."""
    if not methods:
        return ""
    return (
        f"Without validation predictions, the first configuration by name is used: {', '.join(map(one_line, methods))}."
    )


def transductive(choices: Sequence[Choice]) -> str:
    """Methods that are transductive; empty if there are none."""
    methods = ", ".join(one_line(choice.label) for choice in choices if choice.track == TRANSDUCTIVE)
    return f"{TRANSDUCTIVE.capitalize()}: {methods}. {APART}" if methods else ""


def ceiling(run: Run) -> str:
    """Limits by identical clips; empty if there are none, or they are unknown."""
    limits = limiting_ceilings(run)
    if limits is None:
        return ""
    last = len(limits.values) - 1
    return (
        f"Ceiling: {limits.labels} labels share identical test clips, so no classifier can exceed"
        f" {' / '.join(map(percent, limits.values))} % after session{f's 0 to {last}' if last else ' 0'}."
    )


def claim(seeds: int) -> str:
    """Warns about too few seeds for a claim; empty if there are enough."""
    if seeds >= MIN_SEEDS_FOR_CLAIM:
        return ""
    return f"A claim needs at least {MIN_SEEDS_FOR_CLAIM} seeds; the smallest number here is {seeds}."


def stopped_chains(run: Run) -> str:
    """Number of chains that were stopped early; empty if there are none."""
    stopped = sum(record.status == "stopped" for record in run.trials.values())
    return f"{plural(stopped, 'chain')} stopped early; only complete configurations are compared" if stopped else ""


def methods_caption(run: Run, chains: str) -> str:
    """Caption of the table of methods.

    Args:
        run: the run.
        chains: over what the means are: '3 seeds'.
    """
    return (
        f"Accuracy (%) on {benchmark_names(run)} after each session, over all classes"
        f" {classes_counted(run)}. AA: mean over the sessions; PD:"
        f" first minus last session. Means over {chains}; AA and PD with the sample standard deviation. The"
        " configuration of each method was chosen by its validation accuracy, by which the methods are ordered."
        f" {sentence(protocol_line(run))}"
    )


def sentence(text: str) -> str:
    """'protocol 1a2b3c4d' -> 'Protocol 1a2b3c4d.'"""
    return f"{text[:1].upper()}{text[1:]}."


def _accuracy(value: Estimate) -> str:
    chains = f"over {plural(value.n, 'chain')}"
    if value.n < 2:
        return f"{percent(value.mean)} % ({chains})"
    return f"{percent(value.mean)} % [{percent(value.low)}, {percent(value.high)}] {chains}"


# --- comparisons


def verdict(comparison: Comparison, measure: Measure, family: int) -> str:
    """The result of a comparison.

    Args:
        comparison: the comparison.
        measure: the compared metric.
        family: number of comparisons that are tested.
    """
    test, better, worse = comparison.test, comparison.first, comparison.second
    seeds = plural(test.n, "seed")
    if not comparison.tested:
        return _apart(comparison, measure)
    if test.n < 2:
        return f"{better} and {worse} have {seeds} in common; at least two are needed."
    if test.std == 0 and test.mean == 0:
        return f"{better} and {worse} have the same {measure.title} with each of {seeds}."
    if (test.mean > 0) != measure.up:
        better, worse = worse, better
    points = f"{percent(abs(test.mean))} points of {measure.title}"
    ahead = f"Not decided: {better} is ahead of {worse} by {points}"
    if test.std == 0:
        return f"{ahead} with each of {seeds}; without spread there is no t test."
    low, high = (test.low, test.high) if test.mean > 0 else (-test.high, -test.low)
    evidence = f"[{percent(low)}, {percent(high)}] (paired t, {'Holm ' if family > 1 else ''}"
    evidence += f"{_p_value(comparison.p_holm)}, {seeds})"
    if comparison.decided:
        return f"{better} is better than {worse} by {points} {evidence}{_doubt(comparison)}."
    return f"{ahead} {evidence}; {_more_seeds(comparison)}."


def comparison_notes(
    compared: Sequence[ComparedMethod], comparisons: Sequence[Comparison], measure: Measure
) -> list[str]:
    """Limits of the comparisons."""
    fewest = min((comparison.test.n for comparison in comparisons if comparison.test.n), default=0)
    methods = [method.label for method in compared if method.choice.provisional]
    blind = [method.label for method in compared if np.isnan(method.choice.validation_aa)]
    optional = (
        "" if measure.up else f"Lower {measure.title} is better.",
        claim(fewest),
        "More seeds: for a power of 80 %, assuming that the true difference is the observed one; it is often smaller."
        if any(comparison.more_seeds for comparison in comparisons)
        else "",
        f"Provisional, because no configuration is complete: {', '.join(methods)}." if methods else "",
        without_validation(blind),
        transductive([method.choice for method in compared]),
        "Methods of different protocols are not tested: their difference is not that of the methods alone."
        if len({method.protocol for method in compared}) > 1
        else "",
    )
    return [text for text in optional if text]


def chosen_configuration(method: ComparedMethod) -> str:
    """'ede: ede-0000000a of runs/demo, prototype head, chosen among 3 by validation AA'."""
    among = f", chosen among {method.choice.candidates} by validation AA" if method.choice.candidates > 1 else ""
    configuration, run = one_line(method.choice.configuration), one_line(method.run.path)
    return f"{method.label}: {configuration} of {run}, {one_line(method.head)} head{among}"


def _apart(comparison: Comparison, measure: Measure) -> str:
    """The difference of methods of two tracks or protocols, without a verdict."""
    test, names = comparison.test, (comparison.first, comparison.second)
    one_protocol = comparison.protocols[0] == comparison.protocols[1]
    of, kinds = ("tracks", comparison.tracks) if one_protocol else ("protocols", comparison.protocols)
    shown = " and ".join(f"{name} ({kind})" for name, kind in zip(names, kinds, strict=True))
    text = f"No verdict: {shown} are of different {of}"
    if not test.n:
        return f"{text} and have no seeds in common."
    interval = f" [{percent(test.low)}, {percent(test.high)}]" if test.n > 1 else ""
    return f"{text}; {measure.title} differs by {percent(test.mean)} points{interval} over {plural(test.n, 'seed')}."


def _doubt(comparison: Comparison) -> str:
    if comparison.p_wilcoxon_holm < ALPHA:
        return ""
    return f"; Wilcoxon's test alone does not confirm it ({_p_value(comparison.p_wilcoxon_holm)})"


def _more_seeds(comparison: Comparison) -> str:
    if comparison.more_seeds is None:
        return f"a difference this small would need more than {MAX_SEEDS:,} seeds"
    return f"about {plural(comparison.more_seeds, 'more seed')} would be needed for a difference of this size"


def _p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"
