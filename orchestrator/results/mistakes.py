"""Mistakes of chains: the most confident and the most frequent wrong predictions, from the stored predictions."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orchestrator.results.loading import read_predictions
from orchestrator.results.run import Run
from trainables.records import SCORES, SeedTriple, TrialRecord

COUNT = 20
"""Mistakes of a chain that are listed."""


@dataclass(frozen=True)
class Mistake:
    """A wrong prediction for a test clip.

    Attributes:
        seeds: of the chain.
        clip: untrusted text.
        label: the true class.
        prediction: the predicted class.
        confidence: probability of the prediction; NaN if it is unknown.
    """

    seeds: SeedTriple
    clip: str
    label: int
    prediction: int
    confidence: float


@dataclass(frozen=True)
class Confusion:
    """Clips of one class that are taken for another one, over all chains of a configuration.

    Attributes:
        label: the true class.
        prediction: the predicted class.
        clips: predictions of this kind; the same clip counts once in every chain.
        total: all predictions for clips of the true class.
        example: of these mistakes the one that most chains make, then the most confident one.
        chains: number of chains that make it.
    """

    label: int
    prediction: int
    clips: int
    total: int
    example: Mistake
    chains: int


def confident_mistakes(run: Run, configuration: str, head: str, count: int = COUNT) -> list[Mistake]:
    """The most confident mistakes of each chain after the last session, the most confident first.

    Chains that have not finished the last session are left out, and those whose predictions have no probabilities:
    without validation clips, or of version 0.1.

    Args:
        run: the run.
        configuration: name of the configuration.
        head: name of the head.
        count: mistakes of each chain, at most.

    Raises:
        EarshotError: a file of predictions was removed or damaged since the run was loaded.
    """
    found: list[Mistake] = []
    for seeds, rows in _wrong_rows(run, configuration, head):
        known = rows.filter(rows["confidence"].is_valid())
        known = known.sort_by([("confidence", "descending"), ("clip_id", "ascending")])
        found += _mistakes(seeds, known.slice(0, count))
    return sorted(found, key=lambda mistake: (-mistake.confidence, mistake.clip, str(mistake.seeds)))


def frequent_confusions(run: Run, configuration: str, head: str, count: int) -> list[Confusion]:
    """The pairs of classes that are confused most often after the last session, relative to the clips of the true one.

    Args:
        run: the run.
        configuration: name of the configuration; chains that have not finished the last session are left out.
        head: name of the head.
        count: pairs, at most.

    Raises:
        EarshotError: a file of predictions was removed or damaged since the run was loaded.
    """
    counts = run.confusion(configuration, head, run.planned(configuration) - 1)
    pairs = most_confused(counts, count)
    wrong = list(_wrong_rows(run, configuration, head)) if pairs else []
    return [
        Confusion(label, prediction, clips, total, *_example(wrong, label, prediction))
        for label, prediction, clips, total in pairs
    ]


def trial_of(run: Run, configuration: str, mistake: Mistake) -> str:
    """Name of the trial of a configuration that makes a mistake."""
    return next(record.trial for record in run.of(configuration) if record.seeds == mistake.seeds)


def answers(run: Run, record: TrialRecord, head: str) -> dict[str, int]:
    """The prediction of a trial for each test clip after its last finished session: clip -> label.

    Args:
        run: the run.
        record: of the trial.
        head: name of the head.

    Raises:
        EarshotError: a file of predictions was removed or damaged since the run was loaded.
    """
    table = read_predictions(record, run.folders[record.trial], len(record.sessions) - 1, with_clips=True)
    rows = table.filter(pc.and_(pc.equal(table["split"], "test"), pc.equal(table["head"], head)))
    return dict(zip(rows["clip_id"].to_pylist(), rows["prediction"].to_pylist(), strict=True))


def most_confused(counts: NDArray[np.int64], count: int) -> list[tuple[int, int, int, int]]:
    """The largest cells of a confusion matrix off its diagonal, relative to their rows.

    Args:
        counts: clips by true and predicted label, [classes, classes].
        count: cells, at most.

    Returns:
        (true label, predicted label, clips, clips of the true class) of each.
    """
    totals = counts.sum(axis=1)
    wrong = [(int(i), int(j)) for i, j in np.argwhere(counts) if i != j]
    wrong.sort(key=lambda cell: (-counts[cell] / totals[cell[0]], cell))
    return [(i, j, int(counts[i, j]), int(totals[i])) for i, j in wrong[:count]]


def _example(wrong: Sequence[tuple[SeedTriple, pa.Table]], label: int, prediction: int) -> tuple[Mistake, int]:
    """The mistake of a kind that most chains make, as the most confident of them makes it, and their number."""
    by_clip: dict[str, list[Mistake]] = {}
    for seeds, rows in wrong:
        kind = pc.and_(pc.equal(rows["label"], label), pc.equal(rows["prediction"], prediction))
        for mistake in _mistakes(seeds, rows.filter(kind)):
            by_clip.setdefault(mistake.clip, []).append(mistake)
    chosen = max(sorted(by_clip), key=lambda clip: (len(by_clip[clip]), max(map(_certainty, by_clip[clip]))))
    return max(by_clip[chosen], key=_certainty), len(by_clip[chosen])


def _certainty(mistake: Mistake) -> float:
    return 0.0 if math.isnan(mistake.confidence) else mistake.confidence


def _wrong_rows(run: Run, configuration: str, head: str) -> Iterator[tuple[SeedTriple, pa.Table]]:
    """The wrong predictions for test clips after the last session, of each chain that has finished it."""
    last = run.planned(configuration) - 1
    for record in run.of(configuration):
        if len(record.sessions) <= last:
            continue
        table = read_predictions(record, run.folders[record.trial], last, with_clips=True)
        if SCORES.names[0] not in table.column_names:
            table = table.append_column("confidence", pa.nulls(len(table), pa.float32()))
        is_wrong = pc.and_(pc.equal(table["split"], "test"), pc.not_equal(table["label"], table["prediction"]))
        yield record.seeds, table.filter(pc.and_(pc.equal(table["head"], head), is_wrong))


def _mistakes(seeds: SeedTriple, rows: pa.Table) -> list[Mistake]:
    columns = (rows[name].to_pylist() for name in ("clip_id", "label", "prediction", "confidence"))
    return [
        Mistake(seeds, clip, label, prediction, math.nan if confidence is None else confidence)
        for clip, label, prediction, confidence in zip(*columns, strict=True)
    ]
