"""Metrics of a chain from its stored predictions: accuracies after each session, forgetting, transfer.

Notation, with T + 1 planned sessions counted from 0:

    a[t, j]   accuracy after session t on clips of the classes that session j introduced, among all classes seen
    A_t       accuracy after session t over all classes seen so far
    B_t, N_t  the same over the base classes (of session 0) and over all later classes

Classes that have left are queried no longer: a[t, j] and A_t are over those that are still present, a class that has
left and is predicted is an error, and the column of a session in which classes leave is NaN.

Every function is pure and takes NumPy arrays. Accuracies are fractions of one. **A session that a chain has
not finished is NaN, never zero**, and NaN spreads: a chain without its last session has no AA, no PD and no
forgetting.

The definitions are those of docs/metrics.md; sources are named where a definition has one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainables.recency import errors_to_newest, newest_classes
from trainables.unknown_score import auroc

Floats = NDArray[np.float64]


def accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Micro accuracy: (1/n) sum_i [prediction_i = label_i]; NaN without clips.

    Args:
        labels: true label of each clip, [clips].
        predictions: predicted label of each clip, [clips].
    """
    correct = np.asarray(labels) == np.asarray(predictions)
    return float(correct.mean()) if correct.size else float("nan")


def class_accuracies(labels: ArrayLike, predictions: ArrayLike) -> dict[int, float]:
    """Accuracy of each class with clips: label -> (1/n_c) sum over its n_c clips of [prediction = label]."""
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    present, index = np.unique(labels, return_inverse=True)
    totals = np.bincount(index, minlength=len(present))
    hits = np.bincount(index, weights=(labels == predictions).astype(float), minlength=len(present))
    return {int(label): float(rate) for label, rate in zip(present, hits / totals, strict=True)}


def macro_accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Mean over classes with clips of their accuracies: (1/C) sum_c acc_c; NaN without clips."""
    rates = class_accuracies(labels, predictions)
    return float(np.mean(list(rates.values()))) if rates else float("nan")


def confusion(labels: ArrayLike, predictions: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Counts of clips by true label (row) and predicted label (column), int64 [classes, classes].

    Args:
        labels: true label of each clip, [clips].
        predictions: predicted label of each clip, [clips].
        classes: number of classes; labels are 0 to classes - 1.
    """
    cells = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predictions, dtype=np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def session_of_labels(classes: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    """Maps labels to the sessions that introduced them.

    Args:
        classes: the labels that each session introduced, in session order.

    Returns:
        int32 [largest label + 1]: the index of the session; -1 for a label that no session introduced.

    Raises:
        ValueError: two sessions introduce the same label.
    """
    flat = [label for session in classes for label in session]
    if len(set(flat)) != len(flat):
        raise ValueError("a label was introduced by two sessions")
    sessions = np.full(max(flat, default=-1) + 1, -1, dtype=np.int32)
    for index, labels in enumerate(classes):
        sessions[list(labels)] = index
    return sessions


def accuracy_row(labels: ArrayLike, predictions: ArrayLike, session_of: ArrayLike, sessions: int) -> Floats:
    """One row of the accuracy matrix: a[t, j] for all j.

    Args:
        labels: true label of each clip scored after session t, [clips]; each introduced by session t or earlier.
        predictions: predicted label of each clip, [clips].
        session_of: label -> session that introduced it, from `session_of_labels`.
        sessions: length of the row.

    Returns:
        float64 [sessions]; NaN for a session without clips.
    """
    labels = np.asarray(labels, dtype=np.int64)
    index = np.asarray(session_of)[labels]
    totals = np.bincount(index, minlength=sessions)
    hits = np.bincount(index, weights=(labels == np.asarray(predictions)).astype(float), minlength=sessions)
    return np.divide(hits, totals, out=np.full(sessions, np.nan), where=totals > 0)


def expected_calibration_error(confidences: ArrayLike, correct: ArrayLike, bins: int = 15) -> float:
    """ECE = sum over bins b of (n_b / n) |accuracy_b - mean confidence_b| (Guo et al. 2017, arXiv 1706.04599).

    Args:
        confidences: probability of the prediction for each clip, [clips].
        correct: whether the prediction is right, [clips].
        bins: number of bins of equal width from 0 to 1; a confidence on an edge belongs to the lower bin.

    Returns:
        From 0 to 1; NaN without clips, or if a confidence is NaN.
    """
    confidences = np.asarray(confidences, dtype=float)
    if not confidences.size or np.isnan(confidences).any():
        return float("nan")
    bin_of = np.clip(np.ceil(confidences * bins).astype(np.int64), 1, bins) - 1
    excess = confidences - np.asarray(correct, dtype=float)
    return float(np.abs(np.bincount(bin_of, weights=excess, minlength=bins)).sum() / confidences.size)


def harmonic_mean(base: float, novel: float) -> float:
    """2 B N / (B + N): high only if both are high. NaN if either is NaN (as N at t = 0); 0 for B = N = 0."""
    if np.isnan(base) or np.isnan(novel):
        return float("nan")
    return 2 * base * novel / (base + novel) if base + novel > 0 else 0.0


@dataclass(frozen=True)
class ChainScores:
    """The accuracies of one chain, one head, one split; all fractions of one, NaN for sessions not finished.

    Attributes:
        matrix: a[t, j], float64 [T + 1, T + 1]; NaN above the diagonal.
        micro: A_t over clips, float64 [T + 1].
        macro: mean over classes of their accuracies after session t, float64 [T + 1].
        base: B_t, float64 [T + 1].
        novel: N_t, float64 [T + 1]; NaN at t = 0.
        clips: scored clips after session t, int64 [T + 1]; 0 for sessions not finished.
        top5: fraction of clips whose class is among the five with the highest scores, float64 [T + 1]; NaN for up to
            five classes, and for predictions without scores.
        ece: expected calibration error after session t, float64 [T + 1]; NaN for predictions without confidences.
        residual: fraction of clips that are predicted to be of a class that has left, float64 [T + 1]; NaN before any
            has left.
        unknown_auroc: AUROC of the unknown score after session t, float64 [T + 1]; NaN where no class is to come, and
            for predictions without such clips.
        recency: share of the errors that go to the newest classes, float64 [T + 1]; see `trainables.recency`.
        recency_expected: what that share would be if errors had no preference, float64 [T + 1].
    """

    matrix: Floats
    micro: Floats
    macro: Floats
    base: Floats
    novel: Floats
    clips: NDArray[np.int64]
    top5: Floats
    ece: Floats
    residual: Floats
    unknown_auroc: Floats
    recency: Floats
    recency_expected: Floats

    @property
    def harmonic(self) -> Floats:
        """2 B_t N_t / (B_t + N_t), float64 [T + 1]; NaN at t = 0."""
        return np.array([harmonic_mean(b, n) for b, n in zip(self.base, self.novel, strict=True)], dtype=float)


class SessionPredictions(NamedTuple):
    """Predictions of the clips scored after a session.

    Attributes:
        labels: true label of each clip, [clips].
        predictions: predicted label of each clip, [clips].
        confidences: probability of each prediction, [clips]; None if unknown.
        in_top5: whether the true label is among the five with the highest scores, [clips]; None if unknown.
        scores: the unknown score of each clip, [clips]; None if it was not stored.
        unknown_scores: that of each clip of the classes to come, [other clips]; None if there are none.
    """

    labels: ArrayLike
    predictions: ArrayLike
    confidences: ArrayLike | None = None
    in_top5: ArrayLike | None = None
    scores: ArrayLike | None = None
    unknown_scores: ArrayLike | None = None


def score_chain(
    sessions: Sequence[SessionPredictions],
    classes: Sequence[Sequence[int]],
    planned: int,
    left: Sequence[Sequence[int]] = (),
) -> ChainScores:
    """Scores a chain from its predictions.

    Args:
        sessions: the clips scored after each finished session, in session order.
        classes: the labels that each finished session introduced.
        planned: number of planned sessions, T + 1.
        left: the labels that left in each finished session; empty if none ever did.
    """
    session_of = session_of_labels(classes)
    matrix = np.full((planned, planned), np.nan)
    micro, macro, base, novel, top5, ece, residual, unknown = (np.full(planned, np.nan) for _ in range(8))
    recency = np.full((planned, 2), np.nan)
    clips = np.zeros(planned, dtype=np.int64)
    gone: set[int] = set()
    known: set[int] = set()  # classes that have come and not left
    for t, scored in enumerate(sessions):
        labels = np.asarray(scored.labels, dtype=np.int64)
        predictions = np.asarray(scored.predictions, dtype=np.int64)
        is_base = session_of[labels] == 0
        gone |= set(left[t]) if left else set()
        known = (known | set(classes[t])) - gone
        recency[t] = errors_to_newest(labels, predictions, newest_classes(classes[: t + 1]), known)
        matrix[t] = accuracy_row(labels, predictions, session_of, planned)
        micro[t] = accuracy(labels, predictions)
        macro[t] = macro_accuracy(labels, predictions)
        base[t] = accuracy(labels[is_base], predictions[is_base])
        novel[t] = accuracy(labels[~is_base], predictions[~is_base])
        clips[t] = len(labels)
        if scored.in_top5 is not None and len(known) > 5 and len(labels):
            top5[t] = float(np.mean(np.asarray(scored.in_top5, dtype=float)))
        if scored.confidences is not None:
            ece[t] = expected_calibration_error(scored.confidences, labels == predictions)
        if gone and len(labels):
            residual[t] = float(np.isin(predictions, list(gone)).mean())
        if scored.scores is not None and scored.unknown_scores is not None:
            unknown[t] = auroc(scored.scores, scored.unknown_scores)
    return ChainScores(matrix, micro, macro, base, novel, clips, top5, ece, residual, unknown, *recency.T)


def average_accuracy(accuracies: ArrayLike) -> float:
    """AA = (1/(T+1)) sum_{t=0..T} A_t; NaN if any session is missing."""
    accuracies = np.asarray(accuracies, dtype=float)
    return float(accuracies.mean()) if accuracies.size else float("nan")


def final_accuracy(accuracies: ArrayLike) -> float:
    """Final = A_T."""
    accuracies = np.asarray(accuracies, dtype=float)
    return float(accuracies[-1]) if accuracies.size else float("nan")


def performance_drop(accuracies: ArrayLike) -> float:
    """PD = A_0 - A_T, in fractions of one (papers print points: PD * 100)."""
    accuracies = np.asarray(accuracies, dtype=float)
    return float(accuracies[0] - accuracies[-1]) if accuracies.size else float("nan")


def forgetting(matrix: ArrayLike) -> float:
    """F_T = mean_{j<T} ( max_{j<=l<=T-1} a[l, j] - a[T, j] ); may be negative.

    The range of l ends before T (Chaudhry et al., "Riemannian Walk", ECCV 2018, arXiv 1801.10112). NaN for one session.

    Args:
        matrix: a[t, j], [T + 1, T + 1]. Sessions j whose classes have no clips are left out of the mean.
    """
    return _mean_over_old(matrix, lambda curve: curve[:-1].max() - curve[-1])


def forgetting_including_last(matrix: ArrayLike) -> float:
    """mean_{j<T} ( max_{j<=l<=T} a[l, j] - a[T, j] ): as `forgetting`, with l = T included, so never negative.

    Some libraries report this variant.

    Args:
        matrix: a[t, j], [T + 1, T + 1]. Sessions j whose classes have no clips are left out of the mean.
    """
    return _mean_over_old(matrix, lambda curve: curve.max() - curve[-1])


def forgetting_avalanche(matrix: ArrayLike) -> float:
    """mean_{j<T} ( a[j, j] - a[T, j] ): relative to when j was learned, as in the library Avalanche; equals -BWT.

    Args:
        matrix: a[t, j], [T + 1, T + 1]. Sessions j whose classes have no clips are left out of the mean.
    """
    return _mean_over_old(matrix, lambda curve: curve[0] - curve[-1])


def backward_transfer(matrix: ArrayLike) -> float:
    """BWT = mean_{j<T} ( a[T, j] - a[j, j] ) (Lopez-Paz and Ranzato, NeurIPS 2017); NaN for one session.

    Args:
        matrix: a[t, j], [T + 1, T + 1]. Sessions j whose classes have no clips are left out of the mean.
    """
    return _mean_over_old(matrix, lambda curve: curve[-1] - curve[0])


def _mean_over_old(matrix: ArrayLike, measure: Callable[[Floats], float]) -> float:
    """Mean over the sessions j < T of a measure of the curve a[j, j], a[j + 1, j], ..., a[T, j]."""
    matrix = np.asarray(matrix, dtype=float)
    last = len(matrix) - 1
    curves = [matrix[j:, j] for j in range(last) if not np.isnan(matrix[last, j])]
    return float(np.mean([measure(curve) for curve in curves])) if curves else float("nan")


def intransigence(matrix: ArrayLike, reference: ArrayLike) -> float:
    """I = mean_{1<=t<=T} ( a*[t, t] - a[t, t] ): inability to learn new classes; may be negative.

    a* is the accuracy matrix of a chain with the same sessions that is retrained on all data after each session (joint)
    (Chaudhry et al., ECCV 2018, who define the term of one session). NaN for one session.

    Args:
        matrix: a[t, j] of the chain, [T + 1, T + 1].
        reference: a*[t, j], likewise. Sessions t whose classes have no clips are left out of the mean.
    """
    chain, joint = np.asarray(matrix, dtype=float), np.asarray(reference, dtype=float)
    unfinished = np.isnan(chain[-1]).all() or np.isnan(joint[-1]).all()
    differences = (np.diagonal(joint) - np.diagonal(chain))[1:]
    differences = differences[~np.isnan(differences)]
    return float(differences.mean()) if differences.size and not unfinished else float("nan")


def ar(base: ArrayLike) -> float:
    """AR = (B_0 - B_T) / B_0: the fraction of the base accuracy that was lost; NaN for B_0 = 0."""
    base = np.asarray(base, dtype=float)
    return float((base[0] - base[-1]) / base[0]) if base.size and base[0] != 0 else float("nan")


def msr(base: ArrayLike) -> float:
    """MSR = 1 - AR = B_T / B_0: the fraction of the base accuracy that was retained; NaN for B_0 = 0."""
    return 1.0 - ar(base)


def cpi(base: ArrayLike, novel: ArrayLike) -> float:
    """CPI = ( MSR + mean_{t=1..T} N_t ) / 2; NaN for a chain of one session.

    Args:
        base: B_t, [T + 1].
        novel: N_t, [T + 1]; entry 0 is ignored.
    """
    novel = np.asarray(novel, dtype=float)
    return (msr(base) + float(novel[1:].mean())) / 2 if novel.size > 1 else float("nan")


def mean_unknown_auroc(scores: ChainScores) -> float:
    """Mean of the AUROC of the unknown score over the sessions after which classes come; NaN if any has none."""
    introduced = np.flatnonzero(~np.isnan(np.diagonal(scores.matrix)))
    unfinished = np.isnan(scores.micro).any() or introduced.size < 2
    return float("nan") if unfinished else float(scores.unknown_auroc[: introduced[-1]].mean())


@dataclass(frozen=True)
class ChainSummary:
    """Summary metrics of one chain, all fractions of one; NaN if undefined or the chain is unfinished."""

    aa: float  # mean of A_t (micro)
    aa_macro: float  # mean of A_t (macro)
    pd: float  # A_0 - A_T (micro)
    pd_macro: float  # A_0 - A_T (macro)
    final: float  # A_T (micro)
    final_macro: float  # A_T (macro)
    final_base: float  # B_T
    final_novel: float  # N_T
    final_harmonic: float  # 2 B_T N_T / (B_T + N_T)
    forgetting: float  # Chaudhry 2018: relative to the best before T
    forgetting_including_last: float  # relative to the best up to T
    forgetting_avalanche: float  # relative to when it was learned
    bwt: float
    ar: float
    msr: float
    cpi: float
    final_top5: float  # of the last session
    final_ece: float  # of the last session
    final_residual: float  # of the last session
    unknown_auroc: float  # mean over the sessions after which classes come


def summarise(scores: ChainScores) -> ChainSummary:
    """Summarises a chain; see the function of each metric for its formula."""
    return ChainSummary(
        aa=average_accuracy(scores.micro),
        aa_macro=average_accuracy(scores.macro),
        pd=performance_drop(scores.micro),
        pd_macro=performance_drop(scores.macro),
        final=final_accuracy(scores.micro),
        final_macro=final_accuracy(scores.macro),
        final_base=final_accuracy(scores.base),
        final_novel=final_accuracy(scores.novel),
        final_harmonic=final_accuracy(scores.harmonic),
        forgetting=forgetting(scores.matrix),
        forgetting_including_last=forgetting_including_last(scores.matrix),
        forgetting_avalanche=forgetting_avalanche(scores.matrix),
        bwt=backward_transfer(scores.matrix),
        ar=ar(scores.base),
        msr=msr(scores.base),
        cpi=cpi(scores.base, scores.novel),
        final_top5=final_accuracy(scores.top5),
        final_ece=final_accuracy(scores.ece),
        final_residual=final_accuracy(scores.residual),
        unknown_auroc=mean_unknown_auroc(scores),
    )
