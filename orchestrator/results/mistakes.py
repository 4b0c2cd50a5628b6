"""Confident mistakes of chains: the wrong predictions with the highest probability, from the stored predictions."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

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
        confidence: probability of the prediction.
    """

    seeds: SeedTriple
    clip: str
    label: int
    prediction: int
    confidence: float


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
    last = run.planned(configuration) - 1
    records = [record for record in run.of(configuration) if len(record.sessions) > last]
    found = [m for record in records for m in _of_chain(record, run.folders[record.trial], last, head, count)]
    return sorted(found, key=lambda mistake: (-mistake.confidence, mistake.clip, str(mistake.seeds)))


def _of_chain(record: TrialRecord, folder: Path, session: int, head: str, count: int) -> list[Mistake]:
    table = read_predictions(record, folder, session, with_clips=True)
    if SCORES.names[0] not in table.column_names:
        return []
    is_wrong = pc.and_(pc.equal(table["split"], "test"), pc.not_equal(table["label"], table["prediction"]))
    rows: pa.Table = table.filter(
        pc.and_(pc.and_(pc.equal(table["head"], head), is_wrong), table["confidence"].is_valid())
    )
    rows = rows.sort_by([("confidence", "descending"), ("clip_id", "ascending")]).slice(0, count)
    columns = (rows[name].to_pylist() for name in ("clip_id", "label", "prediction", "confidence"))
    return [Mistake(record.seeds, *values) for values in zip(*columns, strict=True)]
