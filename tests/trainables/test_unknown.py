"""Clips of classes still to come: what a chain stores of them, and when it is computed."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from datasets.benchmark.protocol import Protocol
from datasets.utils.errors import EarshotError
from trainables.chain_config import ChainConfig
from trainables.learners.features import Features
from trainables.records import UNKNOWN, TrialRecord, predictions_digest
from trainables.session_chain import Chain
from trainables.store.arrays import ArrayStore
from trainables.store.layout import array_file
from trainables.unknown import classes_to_come, unknown_address

PROTOCOL = Protocol(base=2, way=2, shot=3)


def chain(tones: Path, tmp_path: Path, name: str, **changes: Any) -> Chain:
    fields = {"benchmark": tones, "method": "simplecil", "protocol": PROTOCOL, "store": tmp_path / "store", **changes}
    return Chain(ChainConfig.model_validate(fields), tmp_path / name)


def run(its_chain: Chain) -> list[bool]:
    """Runs a chain; whether each session was cached."""
    cached = []
    while not its_chain.done:
        cached.append(its_chain.step().cached)
    return cached


def tables(folder: Path) -> list[pd.DataFrame]:
    """The file of each session that has one."""
    return [pq.read_table(path).to_pandas() for path in sorted(folder.glob("unknown-*.parquet"))]


def check_equal(first: list[pd.DataFrame], second: list[pd.DataFrame]) -> None:
    assert len(first) == len(second) > 0
    for one, two in zip(first, second, strict=True):
        assert one.drop(columns="top_scores").equals(two.drop(columns="top_scores"))
        np.testing.assert_allclose(np.stack(one["top_scores"]), np.stack(two["top_scores"]), rtol=2e-3)


def test_the_classes_of_the_next_session_are_unknown_to_a_session(tones: Path, tmp_path: Path) -> None:
    its_chain = chain(tones, tmp_path, "trial")
    run(its_chain)
    record = TrialRecord.load(tmp_path / "trial")
    assert [session.unknown for session in record.sessions] == ["unknown-00.parquet", "unknown-01.parquet", None]
    for session, following in zip(record.sessions, record.sessions[1:], strict=False):
        path = tmp_path / "trial" / str(session.unknown)
        assert predictions_digest(path.read_bytes()) == session.unknown_sha256
        table = pq.read_table(path)
        assert table.schema == UNKNOWN
        frame = table.to_pandas()
        after = pq.read_table(tmp_path / "trial" / following.predictions).to_pandas()
        new = after[(after["split"] == "test") & after["label"].isin(following.classes)]
        assert frame["clip_id"].tolist() == new["clip_id"].tolist()  # the test clips of the classes that come
        assert frame["label"].tolist() == new["label"].tolist()
        known = [label for earlier in record.sessions[: session.index + 1] for label in earlier.classes]
        assert set(frame["prediction"]) <= set(known)
        # cosines to the old prototypes, which the next session keeps: no new class can lower the best score
        best, later = np.stack(frame["top_scores"]), np.stack(new["top_scores"])[:, 0]
        assert (best[:, 0] >= best[:, 1]).all() and (best[:, 0] <= later * (1 + 1e-6)).all()
        kept = (new["prediction"] == frame["prediction"].to_numpy()).to_numpy()
        np.testing.assert_allclose(best[kept, 0], later[kept], rtol=2e-3)


def test_every_head_and_a_base_session_of_two_classes(tones: Path, tmp_path: Path) -> None:
    quick = {"base_epochs": 1, "incremental_epochs": 1}
    its_chain = chain(tones, tmp_path, "trial", method="ede", settings=quick)
    its_chain.step()
    (frame,) = tables(tmp_path / "trial")
    assert frame.groupby("head").size().to_dict() == {"prototype": 8, "linear": 8, "nme": 8}
    assert {len(scores) for scores in frame["top_scores"]} == {2}


def test_they_are_computed_once_and_from_the_stored_state_where_they_are_missing(tones: Path, tmp_path: Path) -> None:
    first = chain(tones, tmp_path, "first")
    run(first)
    store = ArrayStore(tmp_path / "store" / "features")
    paths = [
        store.shared_files.path(array_file(unknown_address(address, classes_to_come(first.sessions, index))))
        for index, address in enumerate(first.addresses()[:-1])
        if store.shared_files is not None
    ]
    written = [path.stat().st_mtime_ns for path in paths]
    assert run(chain(tones, tmp_path, "second")) == [True, True, True]
    assert [path.stat().st_mtime_ns for path in paths] == written
    for path in paths:  # as in a store of an earlier version
        path.unlink()
    without = chain(tones, tmp_path, "cached")
    assert not without.has_unknown(0, without.addresses()[0]) and without.cached_step(without.addresses()[0]) is None
    assert not (tmp_path / "cached").exists()
    assert run(chain(tones, tmp_path, "third")) == [True, True, True]  # the stages have the addresses that they had
    assert all(path.is_file() for path in paths)
    for name in ("second", "third"):
        check_equal(tables(tmp_path / "first"), tables(tmp_path / name))
    paths[0].write_bytes(b"damaged")
    shutil.rmtree(tmp_path / "store" / "parts")
    assert run(chain(tones, tmp_path, "damaged")) == [True, True, True]  # the weights are not trained again
    assert len(tables(tmp_path / "damaged")) == 1


def test_evicted_weights_are_not_trained_again_for_them(tones: Path, tmp_path: Path) -> None:
    first = chain(tones, tmp_path, "first")
    run(first)
    for folder in ("parts", "features"):
        shutil.rmtree(tmp_path / "store" / folder)
    again = chain(tones, tmp_path, "again")
    assert all(again.has_unknown(index, address) for index, address in enumerate(again.addresses()))
    assert run(again) == [True, True, True]
    assert [session.unknown for session in again.record.sessions] == [None, None, None]
    assert again.learner is None


def test_a_clip_to_come_without_a_finite_embedding_is_the_error_of_its_own_session(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    its_chain = chain(tones, tmp_path, "trial")
    broken = its_chain.sessions[1].classes[0].query
    pooled = Features.pooled

    def with_nan(features: Features, positions: tuple[int, ...]) -> torch.Tensor:
        values = pooled(features, positions)
        return values.fill_(float("nan")) if positions == broken else values

    monkeypatch.setattr(Features, "pooled", with_nan)
    assert its_chain.step().unknown is None
    with pytest.raises(EarshotError, match=r"session 1: clip '.*': expected a finite embedding, found NaN"):
        its_chain.step()


def test_other_classes_to_come_share_the_stage(tones: Path, tmp_path: Path) -> None:
    one = chain(tones, tmp_path, "one", protocol=PROTOCOL.model_copy(update={"class_order": (0, 1, 2, 3, 4, 5)}))
    run(one)
    other = chain(tones, tmp_path, "other", protocol=PROTOCOL.model_copy(update={"class_order": (0, 1, 4, 5, 2, 3)}))
    assert run(other) == [True, False, False]
    assert [set(table["label"]) for table in tables(tmp_path / "one")] == [{2, 3}, {4, 5}]
    assert [set(table["label"]) for table in tables(tmp_path / "other")] == [{4, 5}, {2, 3}]
    short = chain(tones, tmp_path, "short", protocol=PROTOCOL.model_copy(update={"sessions": 1}))
    assert run(short) == [True]
    assert tables(tmp_path / "short") == []


def test_where_classes_leave_the_next_ones_to_come_count(tones: Path, tmp_path: Path) -> None:
    protocol = Protocol(base=3, way=1, shot=3, leave=1, sessions=5)
    its_chain = chain(tones, tmp_path, "trial", protocol=protocol)
    coming = [[clips.label for clips in classes_to_come(its_chain.sessions, index)] for index in range(5)]
    assert coming == [[3], [4], [4], [], []]
    run(its_chain)
    gone = its_chain.record.sessions[2].left
    assert len(tables(tmp_path / "trial")) == 3
    assert not set(tables(tmp_path / "trial")[2]["prediction"]) & set(gone)
