"""A chain that is taught outside equals the same chain of a run; forgetting is exact; what fails changes nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from datasets.benchmark.protocol import Protocol, Session, make_sessions
from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from orchestrator.exporting.export import export
from orchestrator.results.run_folder import RunFolder
from tests.support.chain_runs import PROTOCOL, methods_on_an_ast, write_clips, write_run
from tests.support.encoders import write_clap
from trainables.inference.description import Description
from trainables.inference.exported_model import ExportedModel, load_model
from trainables.inference.model_folder import README
from trainables.inference.recording_clips import clip_options, cut_classes
from trainables.inference.teaching import forget, teach, write_changed
from trainables.inference.teaching_checks import cannot_forget, cannot_teach, new_labels
from trainables.methods.registry import find_method
from trainables.records import TrialRecord

REHEARSE = {"der", "ede", "foster", "icarl", "joint", "memo"}
FORGET = {"acil", "anacp", "fecam", "gkeal", "klda", "mfcc-ncm", "simplecil", "slda", "tape-like"}
SAME_SCORES = {"aper", "fecam", "simplecil", "teen"}
"""Methods whose scores of a class do not depend on the classes that come later."""


@pytest.fixture(scope="module")
def train_clips(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The train clips of the tones as WAV, by clip id."""
    return write_clips(tmp_path_factory.mktemp("train") / "wav", tones, "train")


def sessions_of(tones: Path, protocol: Protocol = PROTOCOL, seed: int = 0) -> tuple[Session, ...]:
    return make_sessions(protocol, Shards(tones).table, order_seed=seed, support_seed=seed)


def recordings(tones: Path, session: Session, clips: dict[str, Path]) -> list[tuple[str, Sequence[str]]]:
    """Names of the new classes of a session, and the files of their support clips."""
    table = Shards(tones).table
    return [
        (table.class_names[one.label], [str(clips[table.clip_ids[position]]) for position in one.support])
        for one in session.classes
    ]


def taught(folder: Path, groups: list[tuple[str, Sequence[str]]], code: str = "") -> ExportedModel:
    model = load_model(folder, code=code)
    teach(model, cut_classes(clip_options(model.description), groups))
    return model


def learned(folder: Path) -> tuple[Any, ...]:
    """All that scores of a model depend on, as bytes or their digests."""
    description = Description.load(folder)
    return description.files, description.notes, description.classes, description.session, description.method


@pytest.mark.parametrize("method", methods_on_an_ast())
def test_a_chain_that_is_taught_outside_equals_the_chain_of_the_run(
    method: str, tones: Path, train_clips: dict[str, Path], tmp_path: Path
) -> None:
    trial = write_run(tmp_path, tones, method)
    run = RunFolder(tmp_path / "it")
    before = export(run, trial, tmp_path / "after-1", session=1)
    groups = recordings(tones, sessions_of(tones)[2], train_clips)
    learner = find_method(method)
    assert (cannot_teach(before, learner) != "", cannot_forget(before, learner) == "") == (
        method in REHEARSE,
        method in FORGET,
    )
    readme = (tmp_path / "after-1" / README).read_text()
    assert ("earshot teach" in readme, "earshot forget" in readme) == (method not in REHEARSE, method in FORGET)
    if method in REHEARSE:
        with pytest.raises(EarshotError, match=f"cannot be taught: {method} (rehearses|trains again)"):
            taught(tmp_path / "after-1", groups)
        return
    model = taught(tmp_path / "after-1", groups)
    write_changed(model, tmp_path / "after-1", tmp_path / "taught", replace=False)
    export(run, trial, tmp_path / "after-2", session=2)
    assert learned(tmp_path / "taught") == learned(tmp_path / "after-2")
    assert (model.description.thresholds is not None) == (method in SAME_SCORES)

    record = TrialRecord.load(tmp_path / "it/trials" / trial)
    stored = pq.read_table(tmp_path / "it/trials" / trial / record.sessions[2].predictions).to_pandas()
    stored = stored[stored["split"] == "test"].pivot(index="clip_id", columns="head", values="prediction")
    shards = Shards(tones)
    positions = shards.select(splits=["test"])
    labels = np.array([entry.label for entry in model.description.classes])
    for head, scores in load_model(tmp_path / "taught").score(shards.audio(positions)).items():
        expected = stored[head].loc[[shards.table.clip_ids[position] for position in positions]]
        assert labels[scores.argmax(dim=1).numpy()].tolist() == expected.tolist()


@pytest.mark.parametrize("method", ["anacp", "mfcc-ncm", "slda"])
def test_forgetting_and_teaching_outside_equal_a_chain_in_which_classes_leave(
    method: str, tones: Path, train_clips: dict[str, Path], tmp_path: Path
) -> None:
    """With a seeded order: a class of the benchmark keeps its label, on which the replays of AnaCP depend."""
    protocol = Protocol(base=3, way=2, shot=3, leave=2, class_order="seeded")
    trial = write_run(tmp_path, tones, method, protocol=protocol)
    run = RunFolder(tmp_path / "it")
    sessions = sessions_of(tones, protocol)
    names = Shards(tones).table.class_names
    export(run, trial, tmp_path / "after-1", session=1)
    model = load_model(tmp_path / "after-1")
    for leaving in ([names[clips.label] for clips in sessions[2].leaving],):
        forget(model, leaving)
    teach(model, cut_classes(clip_options(model.description), recordings(tones, sessions[3], train_clips)))
    write_changed(model, tmp_path / "after-1", tmp_path / "taught", replace=False)
    export(run, trial, tmp_path / "after-3", session=3)
    assert learned(tmp_path / "taught") == learned(tmp_path / "after-3")
    actions = [(entry.action, entry.session) for entry in model.description.history]
    assert actions == [("forgotten", 2), ("taught", 3)]


def test_a_method_that_reads_names_needs_the_text_tower(
    tones: Path, train_clips: dict[str, Path], tmp_path: Path
) -> None:
    write_clap(tmp_path / "clap")
    backbone = str(tmp_path / "clap")
    trial = write_run(tmp_path, tones, "clap-text", backbone=backbone)
    for session in (1, 2):
        export(RunFolder(tmp_path / "it"), trial, tmp_path / f"after-{session}", session=session)
    groups = recordings(tones, sessions_of(tones)[2], train_clips)
    with pytest.raises(EarshotError, match=r"which is not in the model; add --backbone clap"):
        taught(tmp_path / "after-1", groups)
    model = taught(tmp_path / "after-1", groups, backbone)
    write_changed(model, tmp_path / "after-1", tmp_path / "taught", replace=False)
    assert learned(tmp_path / "taught") == learned(tmp_path / "after-2")
    write_clap(tmp_path / "other", fused=True)
    with pytest.raises(EarshotError, match=r"other: not the weights that the model was trained with \(expected "):
        load_model(tmp_path / "after-1", code=str(tmp_path / "other"))


@pytest.fixture(scope="module")
def exported(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of SLDA after session 1: four classes."""
    root = tmp_path_factory.mktemp("exported")
    trial = write_run(root, tones, "slda")
    export(RunFolder(root / "it"), trial, root / "model", session=1)
    return root / "model"


def test_a_class_whose_statistics_were_merged_is_not_forgotten(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("CLIPS", 4), ("SLACK", 0.0)):
        monkeypatch.setattr(f"trainables.learners.analytic.moments.{name}", value)
    trial = write_run(tmp_path, tones, "slda")
    export(RunFolder(tmp_path / "it"), trial, tmp_path / "model")
    model = load_model(tmp_path / "model")
    waves = Shards(tones).audio(range(4))
    scores = model.score(waves)["discriminant"]
    with pytest.raises(EarshotError, match=r"'tone 1'.* cannot be forgotten exactly: its statistics are merged"):
        forget(model, ["tone 1"])
    assert model.score(waves)["discriminant"].equal(scores) and not model.description.history


def test_labels_are_never_used_twice(exported: Path) -> None:
    model = load_model(exported)
    assert new_labels(model.description, ["tone 5", "cat", "tone 0", "dog"]) == [5, 6, 7, 8]
    forget(model, ["tone 3"])
    assert new_labels(model.description, ["cat", "tone 3"]) == [6, 3]
    older = model.description.benchmark.model_copy(update={"class_names": ()})
    assert new_labels(model.description.model_copy(update={"benchmark": older}), ["cat"]) == [4]


def test_longer_recordings_are_cut_by_the_rule_of_the_corpus(exported: Path, tmp_path: Path) -> None:
    description = Description.load(exported)
    count = description.num_samples
    levels = np.repeat([0.1, 0.3, 0.2, 0.05], [count, count, count, 100])
    soundfile.write(tmp_path / "long.wav", levels, 16_000)
    soundfile.write(tmp_path / "short.wav", levels[:100], 16_000)

    def peaks(name: str, **settings: Any) -> list[float]:
        benchmark = description.benchmark.model_copy(update={"settings": settings})
        options = clip_options(description.model_copy(update={"benchmark": benchmark}))
        (one,) = cut_classes(options, [("x", [str(tmp_path / name)])])
        assert one.clips.shape[1:] == (count,)
        return [round(float(clip.max()), 2) for clip in one.clips]

    assert peaks("long.wav") == [0.1, 0.3, 0.2]
    assert peaks("long.wav", max_clips_per_file=None, clips="first") == [0.1, 0.3, 0.2]
    assert peaks("long.wav", max_clips_per_file=1) == [0.1]
    assert peaks("long.wav", max_clips_per_file=2, clips="loudest", label_from="{x}") == [0.3, 0.2]
    assert peaks("short.wav") == [0.1]
    with pytest.raises(EarshotError, match=r"short.wav \(shorter than a clip: 0.006 s, at least 0.4 s needed"):
        peaks("short.wav", max_clips_per_file=None, short="reject", min_seconds=0)
    with pytest.raises(EarshotError, match=r"benchmark.settings: clips: input should be 'first', 'spread'"):
        peaks("short.wav", max_clips_per_file=None, clips="x")


def test_an_error_while_learning_leaves_the_model_as_it_was(exported: Path, tones: Path) -> None:
    model = load_model(exported)
    waves = Shards(tones).audio(range(4))
    before, scores = model.description, model.score(waves)["discriminant"]
    with pytest.raises(EarshotError, match=r"does not fit slda \(RuntimeError"):
        model.learn(2, {9: ("cat", np.zeros((2, 10), np.float32))})
    assert model.description is before and model.score(waves)["discriminant"].equal(scores)
