"""A chain without Ray: predictions, shared stages, resuming, damaged stores."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from datasets.benchmark.protocol import Protocol
from datasets.utils.errors import EarshotError
from tests.support.chain_runs import PROTOCOL, config
from trainables.records import PROTOCOL_HASH, SCORED_PREDICTIONS, SeedTriple, TrialRecord
from trainables.session_chain import Chain
from trainables.store.layout import predictions_file, stage_file
from trainables.store.stages import StageStore


def run(chain: Chain) -> list[bool]:
    """Runs a chain; whether each session was cached."""
    cached = []
    while not chain.done:
        cached.append(chain.step().cached)
    return cached


def digests(folder: Path) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("session-*.parquet"))]


def test_a_longer_protocol_shares_stages_but_not_the_hash(tones: Path, tmp_path: Path) -> None:
    hashes = []
    for sessions, cached in ((2, [False, False]), (3, [True, True, False])):
        protocol = PROTOCOL.model_copy(update={"sessions": sessions})
        chain = Chain(config(tones, tmp_path / "store", protocol=protocol), tmp_path / "t")
        assert run(chain) == cached
        files = {pq.read_schema(path).metadata[PROTOCOL_HASH].decode() for path in (tmp_path / "t").glob("*.parquet")}
        assert files == {chain.record.protocol_hash}
        hashes.append(chain.record.protocol_hash)
    assert hashes[0] != hashes[1]


def test_predictions_of_every_head_for_all_classes_seen_so_far(tones: Path, tmp_path: Path) -> None:
    chain = Chain(config(tones, tmp_path / "store"), tmp_path / "trial")
    run(chain)
    record = TrialRecord.load(tmp_path / "trial")
    assert record.status == "finished"
    assert record.planned_sessions == len(record.sessions) == 3
    for session in record.sessions:
        table = pq.read_table(tmp_path / "trial" / session.predictions)
        assert table.schema == SCORED_PREDICTIONS
        assert record.protocol_hash and table.schema.metadata[PROTOCOL_HASH].decode() == record.protocol_hash
        frame = table.to_pandas()
        seen = 2 * (session.index + 1)
        assert set(frame["label"]) == set(range(seen))
        assert set(frame["prediction"]) <= set(range(seen))
        counts = frame.groupby(["head", "split"]).size()
        assert {head for head, _ in counts.index} == {"prototype", "linear", "nme"}
        assert {split: counts["linear", split] for split in ("val", "test")} == {
            "val": 3 * seen,
            "test": 4 * seen,
        }
        assert not frame.duplicated(["head", "clip_id"]).any()


def test_the_same_seeds_twice_are_the_same_bytes(tones: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(Chain(config(tones, tmp_path / name / "store"), tmp_path / name / "trial"))
    assert digests(tmp_path / "one" / "trial") == digests(tmp_path / "two" / "trial")


def test_every_session_of_a_second_run_is_cached(tones: Path, tmp_path: Path) -> None:
    settings = config(tones, tmp_path / "store")
    assert run(Chain(settings, tmp_path / "one")) == [False] * 3
    assert run(Chain(settings, tmp_path / "two")) == [True] * 3
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_flipped_bit_in_the_notes_of_a_stage_changes_no_prediction(tones: Path, tmp_path: Path) -> None:
    """Without the checksum, class 1 would be class 0 in every later session."""
    settings = config(tones, tmp_path / "store", method="simplecil").model_copy(update={"settings": {}})
    chain = Chain(settings, tmp_path / "one")
    run(chain)
    (first,) = [path for path in tmp_path.glob("store/stages/*/*") if path.name == chain.record.sessions[1].stage]
    text = (first / "stage.json").read_text()
    at = text.index("1", text.index('"notes"'))
    (first / "stage.json").write_text(text[:at] + "0" + text[at + 1 :])
    (last,) = [path for path in tmp_path.glob("store/stages/*/*") if path.name == chain.record.sessions[2].stage]
    (last / "stage.json").unlink()
    assert run(Chain(settings, tmp_path / "two")) == [True, False, False]
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_resuming_after_any_session_gives_the_same_bytes(tones: Path, tmp_path: Path) -> None:
    settings = config(tones, tmp_path / "store")
    run(Chain(settings, tmp_path / "whole"))
    for done in (1, 2):
        part = config(tones, tmp_path / f"store-{done}")
        interrupted = Chain(part, tmp_path / "interrupted")
        for _ in range(done):
            interrupted.step()
        assert run(Chain(part, tmp_path / f"resumed-{done}")) == [True] * done + [False] * (3 - done)
        assert digests(tmp_path / f"resumed-{done}") == digests(tmp_path / "whole")


def test_classes_leave(tones: Path, tmp_path: Path) -> None:
    """A class that left is queried no longer, and a method that forgets predicts it no longer, also when resumed."""
    protocol = Protocol(base=3, way=1, shot=3, leave=1, sessions=5)
    settings = config(tones, tmp_path / "store", method="simplecil").model_copy(
        update={"settings": {}, "protocol": protocol}
    )
    chain = Chain(settings, tmp_path / "one")
    assert run(chain) == [False] * 5
    gone = chain.record.sessions[2].left
    assert len(gone) == 1 and chain.record.sessions[2].classes == ()
    for session in chain.record.sessions[2:]:
        frame = pq.read_table(tmp_path / "one" / session.predictions).to_pandas()
        assert not {*frame["label"], *frame["prediction"]} & set(gone)
    part = settings.model_copy(update={"store": str(tmp_path / "other")})
    interrupted = Chain(part, tmp_path / "interrupted")
    for _ in range(3):
        interrupted.step()
    assert run(Chain(part, tmp_path / "two")) == [True] * 3 + [False] * 2
    assert digests(tmp_path / "two") == digests(tmp_path / "one")


def test_sessions_are_cached_where_all_that_they_depend_on_is_equal(tones: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run(Chain(config(tones, store), tmp_path / "first"))

    def cached(name: str, **changes: Any) -> list[bool]:
        return run(Chain(config(tones, store, **changes), tmp_path / name))

    assert cached("incremental", settings={"incremental_lr": 0.02}) == [True, False, False]
    assert cached("base", settings={"base_lr": 0.02}) == [False, False, False]
    assert cached("init", seeds=SeedTriple(order=0, support=0, initialisation=1)) == [False, False, False]
    # the class order is fixed: its seed has no effect, so nothing is computed again
    assert cached("order", seeds=SeedTriple(order=1, support=0, initialisation=0)) == [True, True, True]
    assert cached("shorter", protocol=PROTOCOL.model_copy(update={"sessions": 2})) == [True, True]
    assert cached("frontend", frontend={"kind": "reference"}) == [False, False, False]


@pytest.mark.parametrize("damage", ["part", "predictions"])
def test_damaged_files_of_the_store_are_computed_again(tones: Path, tmp_path: Path, damage: str) -> None:
    settings = config(tones, tmp_path / "store")
    whole = Chain(settings, tmp_path / "whole")
    run(whole)
    before = digests(tmp_path / "whole")
    store = StageStore(tmp_path / "store")
    last = whole.record.sessions[-1].stage
    for path in [store.shared_files.path(predictions_file(last))] if damage == "predictions" else []:
        path.write_bytes(b"PAR1")
    if damage == "part":  # the last stage is missing, and the state that it would start from is damaged
        store.shared_files.path(stage_file(last)).unlink()
        for path in (tmp_path / "store" / "parts").rglob("*.safetensors"):
            path.write_bytes(path.read_bytes()[:100])
    assert run(Chain(settings, tmp_path / "again")) == [True, True, False]
    assert digests(tmp_path / "again") == before


def test_half_precision_has_its_own_stages(tones: Path, tmp_path: Path) -> None:
    run(Chain(config(tones, tmp_path / "store"), tmp_path / "single"))
    assert run(Chain(config(tones, tmp_path / "store", precision="bf16"), tmp_path / "half")) == [False] * 3


def test_learning_does_not_depend_on_the_validation_clips(tones: Path, tmp_path: Path) -> None:
    """The learner's state is the same for different numbers of validation clips."""
    states = []
    for validation in (1, 3):
        protocol = PROTOCOL.model_copy(update={"validation": validation})
        chain = Chain(config(tones, tmp_path / f"store-{validation}", protocol=protocol), tmp_path / str(validation))
        chain.step()
        stage = StageStore(tmp_path / f"store-{validation}").state(chain.record.sessions[0].stage)
        assert stage is not None
        states.append({name: {k: v.sum().item() for k, v in part.items()} for name, part in stage.parts.items()})
    assert states[0] == states[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"benchmark": "/nowhere"}, "/nowhere"),
        ({"method": "edee"}, "method 'edee': not known"),
        ({"settings": {"lr": 1}}, "method ede: no key 'lr'"),
        ({"device": "cuda"}, "device 'cuda': PyTorch finds no GPU"),
        ({"backbone": "nothing"}, "backbone 'nothing': not found"),
        ({"protocol": {"base": 5, "way": 5, "sessions": 5}}, "needs 25 classes"),
    ],
)
def test_errors_of_bad_configurations_are_one_line(
    tones: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    if "device" in changes:
        import torch

        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
    with pytest.raises(EarshotError) as caught:
        Chain(config(tones, tmp_path / "store", **changes), tmp_path / "trial")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "trial").exists()


def test_chains_and_exported_models_import_no_ray() -> None:
    code = (
        "import sys, trainables.session_chain, trainables.inference.exported_model, trainables.inference.windows\n"
        "from trainables.methods.registry import methods\n"
        "methods(); print('ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_protocol_that_does_not_fit_the_method_raises(tones: Path, tmp_path: Path) -> None:
    """The error says what is missing and what to do, before anything is computed."""

    def error(**changes: Any) -> str:
        with pytest.raises(EarshotError) as caught:
            Chain(config(tones, tmp_path / "store", **changes), tmp_path / "trial")
        return str(caught.value)

    without_memory = PROTOCOL.model_copy(update={"exemplars": 0})
    message = error(protocol=without_memory)
    assert message.startswith("method ede: rehearses 1 clip(s) of every old class, the protocol allows 0")
    assert "--exemplars 1" in message
    methods = message.split("without memory: ")[1].split(", ")
    assert "simplecil" in methods
    assert not {"ede", "joint"} & set(methods)  # joint stores all clips
    assert "exemplars_per_class" not in message  # no number of exemplars would fit
    one = PROTOCOL.model_copy(update={"exemplars": 1})
    message = error(protocol=one, settings={"exemplars_per_class": 2})
    assert "rehearses 2 clip(s)" in message
    assert "set its exemplars_per_class to 1" in message
    assert Chain(config(tones, tmp_path / "store", protocol=one), tmp_path / "trial").sessions
    assert not (tmp_path / "store").exists()
