"""Names, titles and definitions of what is measured of sessions and of chains; imports nothing heavy."""

import math
from dataclasses import dataclass

ACCURACIES = ("micro", "macro", "base", "novel", "harmonic")
SESSION_METRICS = (*ACCURACIES, "unknown_auroc", "recency", "recency_expected")
COST = ("seconds", "parameters_stored", "parameters_used")


@dataclass(frozen=True)
class Measure:
    """A metric of a chain: a fraction of one, shown in percent or in points.

    Attributes:
        name: column of the table of chains.
        title: in tables and sentences.
        up: whether higher is better.
        range: the least and the greatest value that it can have.
    """

    name: str
    title: str
    up: bool
    range: tuple[float, float] = (0.0, 1.0)


_DIFFERENCE = (-1.0, 1.0)  # of two accuracies
_MEASURES = (
    Measure("aa", "AA", up=True),
    Measure("aa_macro", "AA macro", up=True),
    Measure("pd", "PD", up=False, range=_DIFFERENCE),
    Measure("pd_macro", "PD macro", up=False, range=_DIFFERENCE),
    Measure("final", "final", up=True),
    Measure("final_macro", "final macro", up=True),
    Measure("final_base", "final base", up=True),
    Measure("final_novel", "final novel", up=True),
    Measure("final_harmonic", "final harmonic", up=True),
    Measure("forgetting", "forgetting (Chaudhry 2018)", up=False, range=_DIFFERENCE),
    Measure("forgetting_including_last", "forgetting (l = T included)", up=False),
    Measure("forgetting_avalanche", "forgetting (Avalanche)", up=False, range=_DIFFERENCE),
    Measure("bwt", "BWT", up=True, range=_DIFFERENCE),
    Measure("ar", "AR", up=False, range=(-math.inf, 1.0)),
    Measure("msr", "MSR", up=True, range=(0.0, math.inf)),
    Measure("cpi", "CPI", up=True, range=(0.0, math.inf)),
    Measure("final_top5", "final top-5", up=True),
    Measure("final_ece", "final ECE", up=False),
    Measure("final_residual", "final residual", up=False),
    Measure("unknown_auroc", "unknown AUROC", up=True),
    Measure("intransigence", "intransigence", up=False, range=_DIFFERENCE),
)
MEASURES = {measure.name: measure for measure in _MEASURES}
CHAIN_METRICS = tuple(MEASURES)

FORMULAE = (
    (
        "A_t",
        "accuracy after session t on the test clips of all classes seen so far: over clips (micro), or the mean of the"
        " accuracies of the classes (macro)",
    ),
    ("AA, final, PD", "mean of A_0 to A_T; A_T; performance drop A_0 - A_T; micro unless named macro"),
    ("a[t, j]", "accuracy after session t on the classes introduced in session j, among all classes seen by then"),
    (
        "forgetting (Chaudhry 2018)",
        "mean over j < T of (max over j <= l < T of a[l, j]) - a[T, j]; may be negative; the default where no variant"
        " is named",
    ),
    ("forgetting (l = T included)", "the same with the maximum over j <= l <= T; never negative"),
    ("forgetting (Avalanche)", "mean over j < T of a[j, j] - a[T, j]; equals -BWT"),
    ("BWT", "backward transfer, mean over j < T of a[T, j] - a[j, j]"),
    (
        "base, novel, harmonic",
        "accuracy B_t on the classes of session 0, N_t on all later classes, and 2 B_t N_t / (B_t + N_t)",
    ),
    ("AR, MSR, CPI", "(B_0 - B_T) / B_0; 1 - AR; (MSR + mean over t >= 1 of N_t) / 2"),
    (
        "final top-5",
        "fraction of clips whose class is among the five with the highest scores after session T; undefined for up to"
        " five classes",
    ),
    (
        "final ECE",
        "expected calibration error after session T, 15 bins: how far the probabilities of the predictions, with a"
        " temperature fitted to the validation clips of the session, are from the accuracy; undefined without them",
    ),
    (
        "final residual",
        "fraction of clips that are predicted to be of a class that has left, after session T; undefined if none"
        " leaves",
    ),
    (
        "unknown AUROC",
        "how often a test clip of a known class has a higher unknown score (its highest score) than one of a class that"
        " the next session brings, ties counted by half: 50 % for a score that does not separate them; mean over the"
        " sessions after which classes come; undefined for runs of earlier versions",
    ),
    (
        "recency",
        "share of the errors that go to the classes of the last session that brought any; expected: what that share"
        " would be if an error were each of the other classes with the same probability; undefined in session 0",
    ),
    (
        "intransigence",
        "mean over t >= 1 of a*[t, t] - a[t, t], where a* is the method joint with the same seeds; undefined if the run"
        " does not include joint",
    ),
    ("interval", "95 % t interval of the mean over chains, cut to the values that the metric can have"),
)
"""(name, definition) of each metric."""
