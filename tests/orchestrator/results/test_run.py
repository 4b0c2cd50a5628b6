"""Run folders read back: every number here was written into the folder by hand."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets.utils.checksum import with_checksum
from datasets.utils.errors import EarshotError
from orchestrator.results.merging import check_same_backbones
from orchestrator.results.run import Run
from tests.support.run_folders import WriteTrial
from trainables.records import PREDICTIONS, TrialRecord

HIGH, LOW = [[1.0], [0.9, 0.7]], [[0.8], [0.5, 0.6]]


def flat(value: float, sessions: int = 2) -> list[list[float]]:
    """A matrix with one accuracy in all cells."""
    return [[value] * (t + 1) for t in range(sessions)]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_tables_of_sessions_and_chains(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-00000001", 3, HIGH, val=LOW)
    run = Run.load(run_dir)
    test = run.sessions[run.sessions["split"] == "test"].set_index("session")
    assert list(test.index) == [0, 1]
    assert list(test["micro"]) == pytest.approx([1.0, 0.8])
    assert list(test["macro"]) == pytest.approx([1.0, 0.8])
    assert list(test["base"]) == pytest.approx([1.0, 0.9])
    assert test["novel"][1] == pytest.approx(0.7) and math.isnan(test["novel"][0])
    assert test["harmonic"][1] == pytest.approx(2 * 0.9 * 0.7 / 1.6)
    assert list(test["classes_seen"]) == [2, 4] and list(test["clips"]) == [20, 40]
    assert set(test["seeds"]) == {"s3"} and set(test["order_seed"]) == {3}

    chains = run.chains.set_index("split")
    assert chains.loc["test", "aa"] == pytest.approx(0.9)
    assert chains.loc["test", "pd"] == pytest.approx(0.2)
    assert chains.loc["test", "final"] == pytest.approx(0.8)
    assert chains.loc["test", "forgetting"] == pytest.approx(0.1)
    assert chains.loc["val", "aa"] == pytest.approx((0.8 + 0.55) / 2)
    assert chains.loc["test", "seconds"] == pytest.approx(3.0)
    assert chains.loc["test", "parameters_used"] == 1000
    assert bool(chains.loc["test", "complete"])
    np.testing.assert_allclose(run.matrices("ede-00000001", "prototype"), [[[1.0, np.nan], [0.9, 0.7]]])


def test_heads_have_separate_scores_and_the_default_comes_first(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-00000001", 0, HIGH, heads={"linear": LOW}, default_head="linear")
    run = Run.load(run_dir)
    assert run.heads("ede") == ("linear", "prototype")
    by_head = run.chains[run.chains["split"] == "test"].set_index("head")["aa"]
    assert by_head["prototype"] == pytest.approx(0.9)
    assert by_head["linear"] == pytest.approx((0.8 + 0.55) / 2)


def test_an_unfinished_chain_has_sessions_but_no_chain_metrics(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-00000001", 0, HIGH, planned=4, status="failed", error="out of memory")
    run = Run.load(run_dir)
    test = run.sessions[run.sessions["split"] == "test"]
    assert list(test["session"]) == [0, 1]
    assert run.chains["aa"].isna().all() and run.chains["pd"].isna().all()
    assert not run.chains["complete"].any()


def test_a_trial_without_sessions_has_no_rows(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-00000001", 0, [], planned=2)
    run = Run.load(run_dir)
    assert run.sessions.empty and run.chains.empty
    assert run.matrices("ede-00000001", "prototype").shape == (0, 2, 2)
    assert math.isnan(run.best("ede").validation_aa)


def test_best_is_chosen_on_validation_not_test_clips(run_dir: Path, write_trial: WriteTrial) -> None:
    for seed in (0, 1):
        write_trial("ede-0000000a", seed, flat(0.9), val=flat(0.5))
        write_trial("ede-0000000b", seed, flat(0.2), val=flat(0.6))
    write_trial("icarl-0000000c", 0, flat(0.1), val=flat(0.1))
    run = Run.load(run_dir)
    best = run.best("ede")
    assert (best.configuration, best.n, best.candidates, best.provisional) == ("ede-0000000b", 2, 2, False)
    assert best.validation_aa == pytest.approx(0.6)
    assert run.best("icarl").configuration == "icarl-0000000c"
    with pytest.raises(KeyError):
        run.best("der")


def test_best_is_by_the_mean_over_seeds(run_dir: Path, write_trial: WriteTrial) -> None:
    for seed, (a, b) in enumerate([(0.9, 0.6), (0.2, 0.6)]):
        write_trial("ede-0000000a", seed, flat(a))
        write_trial("ede-0000000b", seed, flat(b))
    assert Run.load(run_dir).best("ede").configuration == "ede-0000000b"


def test_best_is_by_the_default_head(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-0000000a", 0, flat(0.5), heads={"linear": flat(1.0)})
    write_trial("ede-0000000b", 0, flat(0.6), heads={"linear": flat(0.1)})
    assert Run.load(run_dir).best("ede").configuration == "ede-0000000b"


def test_ties_go_to_the_first_by_name(run_dir: Path, write_trial: WriteTrial) -> None:
    for name in ("ede-0000000b", "ede-0000000a", "ede-0000000c"):
        # the same three accuracies in another order of seeds, so that their sums differ in the last bit
        values = [0.1, 0.7, 0.3] if name.endswith("a") else [0.3, 0.1, 0.7]
        for seed, value in enumerate(values):
            write_trial(name, seed, flat(value))
    assert Run.load(run_dir).best("ede").configuration == "ede-0000000a"


@pytest.mark.parametrize("second_seed", ["absent", "running", "failed", "stopped"])
def test_incomplete_configurations_are_not_compared(run_dir: Path, write_trial: WriteTrial, second_seed: str) -> None:
    for seed in (0, 1):
        write_trial("ede-0000000b", seed, flat(0.5))
    write_trial("ede-0000000a", 0, flat(0.9))
    if second_seed != "absent":
        write_trial("ede-0000000a", 1, flat(0.9, sessions=1), planned=2, status=second_seed)
    best = Run.load(run_dir).best("ede")
    assert (best.configuration, best.candidates, best.provisional) == ("ede-0000000b", 1, False)


def test_without_complete_configurations_all_are_compared_on_their_common_sessions(
    run_dir: Path, write_trial: WriteTrial
) -> None:
    # a has the higher mean over its sessions, but only because it lacks the hard ones
    write_trial("ede-0000000a", 0, [[0.8]], planned=3)
    write_trial("ede-0000000b", 0, [[0.9], [0.5, 0.5]], planned=3)
    write_trial("ede-0000000c", 0, [], planned=3)
    best = Run.load(run_dir).best("ede")
    assert (best.configuration, best.provisional, best.sessions, best.candidates) == (
        "ede-0000000b",
        True,
        1,
        2,
    )
    assert best.validation_aa == pytest.approx(0.9)


def test_without_complete_configurations_stopped_seeds_count(run_dir: Path, write_trial: WriteTrial) -> None:
    # the better seed of a ran to the end; over both seeds, b is better in the sessions that all have
    write_trial("ede-0000000a", 0, flat(0.9, sessions=3))
    write_trial("ede-0000000a", 1, flat(0.1, sessions=1), planned=3, status="stopped", stopped_by="asha")
    write_trial("ede-0000000b", 0, flat(0.6, sessions=2), planned=3, status="stopped", stopped_by="asha")
    write_trial("ede-0000000b", 1, flat(0.6, sessions=3))
    best = Run.load(run_dir).best("ede")
    assert (best.configuration, best.provisional, best.sessions, best.n) == ("ede-0000000b", True, 1, 2)
    assert best.validation_aa == pytest.approx(0.6)


def test_without_validation_clips_the_first_configuration_by_name_is_best(
    run_dir: Path, write_trial: WriteTrial
) -> None:
    write_trial("ede-0000000b", 0, flat(0.9), val=[])
    write_trial("ede-0000000a", 0, flat(0.1), val=[])
    best = Run.load(run_dir).best("ede")
    assert best.configuration == "ede-0000000a" and math.isnan(best.validation_aa)


def test_intransigence_refers_to_the_joint_chain_of_the_same_seeds(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-00000001", 0, HIGH)
    write_trial("ede-00000001", 1, HIGH)
    assert Run.load(run_dir).chains["intransigence"].isna().all()
    write_trial("joint-00000002", 0, [[1.0], [0.9, 0.95]])
    write_trial("joint-00000003", 0, flat(0.0), val=flat(0.0))  # not the best configuration of joint
    chains = Run.load(run_dir).chains
    values = chains[chains["split"] == "test"].set_index("trial")["intransigence"]
    assert values["ede-00000001-s0"] == pytest.approx(0.25) and math.isnan(values["ede-00000001-s1"])
    assert values["joint-00000002-s0"] == 0


def test_confusion_and_class_accuracies(run_dir: Path, write_trial: WriteTrial) -> None:
    # Of the 20 clips of each session, ten of each of its two classes in turn, the first are right, the others
    # predicted as the next label; with all classes known, label 3 is predicted as 0.
    write_trial("ede-00000001", 0, [[1.0], [0.9, 0.7]], heads={"linear": flat(1.0)})
    write_trial("ede-00000001", 1, [[0.5]], planned=2)
    run = Run.load(run_dir)
    first = run.confusion("ede-00000001", "prototype", 0)
    np.testing.assert_array_equal(first[:2, :2], [[10 + 5, 5], [5, 10 + 5]])
    assert first.sum() == 40
    last = run.confusion("ede-00000001", "prototype", 1)
    np.testing.assert_array_equal(last, [[9, 1, 0, 0], [0, 9, 1, 0], [0, 0, 7, 3], [3, 0, 0, 7]])
    assert run.confusion("ede-00000001", "linear", 1, "val").trace() == 40
    accuracies = run.class_accuracies("ede-00000001", "prototype")
    np.testing.assert_allclose(accuracies, [[0.75, 0.75, np.nan, np.nan], [0.9, 0.9, 0.7, 0.7]])


def test_runs_are_merged(tmp_path: Path, write_trial_to: WriteTrial) -> None:
    first, second = tmp_path / "one", tmp_path / "other"
    write_trial_to(first, "ede-00000001", 0, HIGH)
    write_trial_to(first, "ede-00000001", 1, HIGH[:1], planned=2)
    write_trial_to(second, "ede-00000001", 1, HIGH)  # the same chain with more sessions
    write_trial_to(second, "icarl-00000002", 0, LOW)
    for folder, trials in ((first, 1), (second, 2)):
        (folder / "sweep.json").write_text(f'{{"where": {{"objective": ["aa"], "trials": {trials}}}, "x": {trials}}}')
    run = Run.merged([Run.load(first), Run.load(second)])
    assert run.name == "one + other" and run.path == first
    assert run.sweep == {"where": {"objective": ["aa"]}}
    assert sorted(run.trials) == ["ede-00000001-s0", "ede-00000001-s1", "icarl-00000002-s0"]
    assert run.is_complete("ede-00000001") and len(run.chains) == 6
    assert run.confusion("ede-00000001", "prototype", 1).sum() == 80
    assert Run.merged([run]) is run


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"benchmark_fingerprint": "0" * 64}, "benchmark_fingerprint: expected the same"),
        (
            {"protocol": {"name": "ffcac-25", "way": 2, "shot": 1}},
            "protocol.shot: expected the same .*found 5 .* and 1",
        ),
        ({"seed": 0}, "other/trials/ede-00000001-s0: expected the same predictions as .*one.*found different ones"),
    ],
)
def test_runs_that_differ_are_not_merged(
    tmp_path: Path, write_trial_to: WriteTrial, changes: dict[str, object], message: str
) -> None:
    write_trial_to(tmp_path / "one", "ede-00000001", 0, HIGH)
    write_trial_to(tmp_path / "other", "ede-00000001", changes.pop("seed", 1), LOW, **changes)
    with pytest.raises(EarshotError, match=message):
        Run.merged([Run.load(tmp_path / "one"), Run.load(tmp_path / "other")])


def test_sweep_json_is_optional(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-00000001", 0, HIGH)
    assert Run.load(run_dir).sweep == {}
    (run_dir / "sweep.json").write_text('{"seeds": 3}')
    assert Run.load(run_dir).sweep == {"seeds": 3}
    (run_dir / "sweep.json").write_text("{")
    with pytest.raises(EarshotError, match=r"sweep\.json: expected JSON"):
        Run.load(run_dir)


def test_classes_seen(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-00000001", 0, HIGH, planned=3)
    assert Run.load(run_dir).classes_seen == (2, 4, None)  # no chain has finished session 2
    write_trial("ede-00000001", 1, [[1.0]], planned=3, way=1, class_names=tuple(map(str, range(6))))
    assert Run.load(run_dir).classes_seen == (None, 4, None)  # the chains differ in session 0


def test_a_missing_folder_and_a_folder_without_trials(tmp_path: Path) -> None:
    with pytest.raises(EarshotError, match=r"nowhere: no such folder"):
        Run.load(tmp_path / "nowhere")
    with pytest.raises(EarshotError, match=r"at least one trial"):
        Run.load(tmp_path)


def predictions(**changes: object) -> pa.Table:
    """Four correct predictions of the two classes of session 0, with the changes of a test."""
    columns: dict[str, object] = {
        "split": ["test"] * 4,
        "clip_id": ["a", "b", "c", "d"],
        "label": [0, 0, 1, 1],
        "head": ["prototype"] * 4,
        "prediction": [0, 0, 1, 1],
    }
    return pa.table({**columns, **changes}, schema=PREDICTIONS)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (predictions().drop_columns("head"), "head: expected string, found no such column"),
        (
            predictions().cast(pa.schema([*list(PREDICTIONS)[:4], ("prediction", pa.int64())])),
            "expected int32, found int64",
        ),
        (predictions(split=["train"] * 4), "split: expected one of .*found 'train'"),
        (predictions(head=["nme"] * 4), "head: expected one of .*found 'nme'"),
        (predictions(label=[0, 0, 1, 2]), "label: expected one of .*found 2"),
        (predictions(prediction=[0, 2, 1, 1]), "prediction: expected one of .*found 2"),
        (predictions(prediction=[0, None, 1, 1]), "prediction: expected a value in every row"),
        (predictions(split=["val"] * 4), "expected test clips of head 'prototype', found none"),
        (predictions().slice(0, 0), "expected test clips of head 'prototype', found none"),
    ],
)
def test_errors_about_invalid_predictions_name_the_file(
    run_dir: Path, write_trial: WriteTrial, table: pa.Table, message: str
) -> None:
    record = write_trial("ede-00000001", 0, HIGH, digests=False)
    pq.write_table(table, run_dir / "trials" / record.trial / "session-00.parquet")
    with pytest.raises(EarshotError, match=rf"ede-00000001-s0/session-00\.parquet: .*{message}") as caught:
        Run.load(run_dir)
    assert "\n" not in str(caught.value) and "run the sweep again" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not Parquet", None], ids=["empty", "garbage", "cut"])
def test_errors_about_damaged_predictions_name_the_file(
    run_dir: Path, write_trial: WriteTrial, content: bytes | None
) -> None:
    record = write_trial("ede-00000001", 0, HIGH, digests=False)
    file = run_dir / "trials" / record.trial / "session-01.parquet"
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)
    with pytest.raises(EarshotError, match=r"session-01\.parquet: expected a Parquet file") as caught:
        Run.load(run_dir)
    assert "\n" not in str(caught.value)


def test_a_wrong_checksum_of_a_page_is_an_error(run_dir: Path, write_trial: WriteTrial) -> None:
    record = write_trial("ede-00000001", 0, HIGH, digests=False)
    file = run_dir / "trials" / record.trial / "session-01.parquet"
    content = bytearray(file.read_bytes())
    chunk = pq.read_metadata(file).row_group(0).column(PREDICTIONS.get_field_index("label"))
    content[chunk.dictionary_page_offset + chunk.total_compressed_size - 1] ^= 0xFF  # last byte of the last page
    file.write_bytes(content)
    with pytest.raises(EarshotError, match=r"session-01\.parquet"):
        Run.load(run_dir)


def test_errors_about_missing_predictions_name_the_file(run_dir: Path, write_trial: WriteTrial) -> None:
    record = write_trial("ede-00000001", 0, HIGH)
    (run_dir / "trials" / record.trial / "session-01.parquet").unlink()
    with pytest.raises(EarshotError, match=r"session-01\.parquet: .*found no file"):
        Run.load(run_dir)


def test_predictions_that_no_record_names_are_ignored(run_dir: Path, write_trial: WriteTrial) -> None:
    record = write_trial("ede-00000001", 0, HIGH)
    (run_dir / "trials" / record.trial / "session-02.parquet").write_bytes(b"half written")
    (run_dir / "trials" / "just-made").mkdir()
    assert list(Run.load(run_dir).trials) == ["ede-00000001-s0"]


def with_session(record: TrialRecord, number: int, /, **changes: object) -> tuple[object, ...]:
    """The sessions of a record, with one of them changed."""
    sessions = list(record.sessions)
    sessions[number] = sessions[number].model_copy(update=changes)
    return tuple(sessions)


@pytest.mark.parametrize(
    ("index", "change", "message"),
    [
        (1, {"index": 2}, r"sessions: expected 0, 1, \.\.\. of 2 planned, found \[0, 2\]"),
        (1, {"classes": (1, 2)}, "sessions: expected each of the labels 0 to 3 at most once"),
        (1, {"classes": (2, 4)}, "sessions: expected each of the labels 0 to 3 at most once"),
        (0, {"predictions": "../../secret.parquet"}, "predictions: expected a name like session-00.parquet"),
    ],
)
def test_inconsistent_records_are_errors(
    run_dir: Path, write_trial: WriteTrial, index: int, change: dict[str, object], message: str
) -> None:
    record = write_trial("ede-00000001", 0, HIGH)
    changed = record.model_copy(update={"sessions": with_session(record, index, **change)})
    changed.save(run_dir / "trials" / record.trial)
    with pytest.raises(EarshotError, match=rf"trial\.json: {message}"):
        Run.load(run_dir)


def test_records_that_do_not_match_their_folder_or_heads_are_errors(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-00000001", 0, HIGH)
    shutil.copytree(run_dir / "trials" / "ede-00000001-s0", run_dir / "trials" / "copy")
    with pytest.raises(EarshotError, match=r"copy/trial\.json: trial: expected the folder's name"):
        Run.load(run_dir)
    shutil.rmtree(run_dir)
    write_trial("ede-00000001", 0, HIGH, default_head="linear")
    with pytest.raises(EarshotError, match=r"default_head: expected one of \['prototype'\], found 'linear'"):
        Run.load(run_dir)


@pytest.mark.parametrize("change", [{"benchmark_fingerprint": "0" * 64}, {"planned": 3}])
def test_trials_of_different_benchmarks_or_sessions_are_errors(
    run_dir: Path, write_trial: WriteTrial, change: dict[str, object]
) -> None:
    write_trial("ede-00000001", 0, HIGH)
    write_trial("ede-00000001", 1, HIGH, **change)
    with pytest.raises(EarshotError, match="expected the same for all trials"):
        Run.load(run_dir)


def test_changed_digits_in_predictions_and_the_description_are_errors(run_dir: Path, write_trial: WriteTrial) -> None:
    """Predictions with valid page checksums, of another chain."""
    record = write_trial("ede-00000001", 0, HIGH)
    other = write_trial("ede-00000002", 0, LOW)
    paths = [run_dir / "trials" / trial.trial / "session-00.parquet" for trial in (record, other)]
    original = paths[0].read_bytes()
    paths[0].write_bytes(paths[1].read_bytes())
    with pytest.raises(EarshotError, match=r"session-00\.parquet: expected SHA-256 .* was edited; delete the fol"):
        Run.load(run_dir)
    paths[0].write_bytes(original)
    (run_dir / "sweep.json").write_text(json.dumps(with_checksum({"where": {"objective": ["aa"]}})))
    assert Run.load(run_dir).sweep == {"where": {"objective": ["aa"]}}
    (run_dir / "sweep.json").write_text((run_dir / "sweep.json").read_text().replace("aa", "pd"))
    with pytest.raises(EarshotError, match=r"sweep\.json: checksum: expected"):
        Run.load(run_dir)


def test_runs_on_other_weights_of_the_same_name_are_not_merged() -> None:
    facts = {"model": {"digest": "1" * 64}}
    check_same_backbones("a, b", [facts, {}, {**facts, "another": {"digest": "3" * 64}}])
    with pytest.raises(
        EarshotError, match=r"^a, b: backbone model: expected the same weights in all runs, found others;"
    ):
        check_same_backbones("a, b", [facts, {"model": {"digest": "2" * 64}}])
