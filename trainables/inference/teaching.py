"""Teaches an exported model new classes, and makes it forget classes: what a chain does in a session, outside of a run.

    teach    session k + 1 of the chain: the method learns the support clips of the new classes
    forget   a session in which classes leave: the method removes them exactly

The generator is that of the chain's next session, and a class of the benchmark keeps its label, so a chain that is
taught outside equals the same chain of a run.

Temperatures of probabilities stay as they were fitted. Thresholds for sounds of none of the classes stay if the scores
of the classes that were known already are the same as before, which is measured on fixed noise; otherwise they are
dropped.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from trainables.inference.description import SCHEMA_VERSION, ExportedClass
from trainables.inference.exported_model import ExportedModel, save_model
from trainables.inference.history import HistoryClass, HistoryEntry, now
from trainables.inference.model_folder import README, written_folder
from trainables.inference.readme import readme
from trainables.inference.recording_clips import ClassRecordings
from trainables.inference.teaching_checks import (
    check_can_teach,
    check_counts,
    check_new_names,
    check_text_tower,
    find_classes,
    needs_of,
    new_labels,
)

PROBES = 4  # clips of noise whose scores are compared
PROBE_LEVEL = 0.05  # standard deviation of their samples
SAME = 1e-4  # relative to the spread of the scores: differences of rounding are far smaller


def teach(model: ExportedModel, classes: Sequence[ClassRecordings]) -> None:
    """Teaches a model new classes, as one session. After an error the model is as before.

    Args:
        model: its learner and description are changed.
        classes: new ones, with their clips.

    Raises:
        EarshotError: the method cannot, a name is no new one, a class has too few clips, or training diverges.
    """
    before, method = model.description, type(model.learner)
    check_can_teach(before, method)
    check_new_names([one.name for one in classes], [entry.name for entry in before.classes])
    check_counts(before.method, needs_of(before, method), {one.name: len(one.clips) for one in classes})
    check_text_tower(before, method, model.learner.features.backbone.text if before.backbone else None)
    labels = new_labels(before, [one.name for one in classes])
    index = before.session + 1
    probed = _probe(model)
    model.learn(index, {label: (one.name, one.clips) for label, one in zip(labels, classes, strict=True)})
    new = tuple(
        ExportedClass(label=label, name=one.name, session=index) for label, one in zip(labels, classes, strict=True)
    )
    learned = tuple(
        HistoryClass(label=label, name=one.name, clips=len(one.clips), files=one.files)
        for label, one in zip(labels, classes, strict=True)
    )
    _update(model, (*before.classes, *new), HistoryEntry(action="taught", session=index, time=now(), classes=learned))
    _check_thresholds(model, probed)


def forget(model: ExportedModel, names: Sequence[str]) -> None:
    """Makes a model forget classes exactly, as one session. After an error the model is as before.

    Raises:
        EarshotError: the method cannot, the model does not know a class, or it would know none.
    """
    before = model.description
    leaving = find_classes(before, type(model.learner), names)
    gone = {one.label for one in leaving}
    probed = _probe(model)
    state = model.learner.state()
    try:
        for one in leaving:
            model.forget(one.label)
    except BaseException as error:
        model.learner.load(state)  # also the classes that were forgotten before the error
        if isinstance(error, EarshotError):
            raise EarshotError(f"class {printable(repr(one.name))}: {error}") from None
        raise
    left = tuple(HistoryClass(label=one.label, name=one.name) for one in leaving)
    entry = HistoryEntry(action="forgotten", session=before.session + 1, time=now(), classes=left)
    _update(model, tuple(one for one in before.classes if one.label not in gone), entry)
    _check_thresholds(model, probed)


def write_changed(model: ExportedModel, source: Path | None, out: Path, *, replace: bool) -> None:
    """Writes a model that was taught or has forgotten, or that belongs to no run.

    Args:
        model: with a new description.
        source: folder that it was read from, whose backbone is copied; None: it is written again.
        out: see `written_folder`.
        replace: whether `out` may exist.
    """
    with written_folder(out, replace=replace) as folder:
        uses = model.description.backbone is not None
        backbone = (source or model.learner.features.backbone) if uses else None
        model.description = save_model(folder, model.description, model.learner.state(), backbone)
        (folder / README).write_text(readme(model.description, type(model.learner)), encoding="utf-8")


def _update(model: ExportedModel, classes: tuple[ExportedClass, ...], entry: HistoryEntry) -> None:
    before = model.description
    model.description = before.model_copy(
        update={
            "schema_version": SCHEMA_VERSION,
            "notes": model.learner.state().notes,
            "classes": classes,
            "session": entry.session,
            "history": (*before.history, entry),
        }
    )


def _probe(model: ExportedModel) -> Mapping[int, Mapping[str, Tensor]] | None:
    """Scores of fixed noise by label and head, `[PROBES]`; None for a model without thresholds."""
    if model.description.thresholds is None:
        return None
    shape = PROBES, model.description.num_samples
    noise = np.random.default_rng(0).normal(0, PROBE_LEVEL, shape).clip(-1, 1).astype(np.float32)
    scores = model.score(noise)
    return {
        label: {head: values[:, column] for head, values in scores.items()}
        for column, label in enumerate(model.learner.classes)
    }


def _check_thresholds(model: ExportedModel, before: Mapping[int, Mapping[str, Tensor]] | None) -> None:
    """Drops the thresholds if the scores of a class that was known before and is known now have changed."""
    after = _probe(model)
    if before is None or after is None:
        return
    same = [label for label in before if label in after]
    for head in model.description.heads:
        old, new = (torch.stack([scores[label][head] for label in same]).double() for scores in (before, after))
        spread = float(torch.cat([old, new]).abs().max())
        if not bool(((old - new).abs() <= SAME * spread).all()):
            model.description = model.description.model_copy(update={"thresholds": None})
            return
