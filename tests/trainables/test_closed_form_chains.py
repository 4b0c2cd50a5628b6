"""Chains of closed-form methods: classes leave, and embeddings that are not finite."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from datasets.benchmark.protocol import Protocol
from datasets.utils.errors import EarshotError
from trainables.chain_config import ChainConfig
from trainables.learners.features import Features
from trainables.records import TrialRecord
from trainables.session_chain import Chain

METHODS = ("acil", "anacp", "ds-al", "fecam", "gkeal", "klda", "slda")


def chain(tones: Path, folder: Path, method: str, protocol: Protocol) -> Chain:
    settings = {} if method in ("fecam", "gkeal", "slda") else {"projection": 50}
    config = ChainConfig(
        benchmark=str(tones),
        method=method,
        settings=settings,
        protocol=protocol,
        backbone="random-tiny",
        store=str(folder / "store"),
    )
    return Chain(config, folder / "trial")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shot", [1, 3])
def test_classes_leave(method: str, shot: int, tones: Path, tmp_path: Path) -> None:
    """A class that left is predicted no more, except by the method that cannot forget; one shot is enough."""
    its_chain = chain(tones, tmp_path, method, Protocol(base=3, way=1, shot=shot, leave=1, sessions=4))
    while not its_chain.done:
        its_chain.step()
    left: set[int] = set()
    for session in TrialRecord.load(tmp_path / "trial").sessions:
        left |= set(session.left)
        table = pq.read_table(tmp_path / "trial" / session.predictions)
        assert not left & set(table["label"].to_pylist())
        assert torch.isfinite(torch.tensor(table["top_scores"].to_pylist())).all()
        if method != "ds-al":
            assert not left & set(table["prediction"].to_pylist())
    assert left


def test_an_embedding_that_is_not_finite_is_one_error(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an encoder that takes the logarithm of digital silence."""
    its_chain = chain(tones, tmp_path, "slda", Protocol(base=2, way=2, shot=3))
    silent, pooled = its_chain.sessions[0].support[2], Features.pooled

    def with_silence(features: Features, positions: tuple[int, ...]) -> torch.Tensor:
        rows = pooled(features, positions).clone()
        rows[[position == silent for position in positions]] = float("nan")
        return rows

    monkeypatch.setattr(Features, "pooled", with_silence)
    with pytest.raises(EarshotError, match=r"session 0: clip '.+': expected a finite embedding, found NaN") as error:
        its_chain.step()
    assert its_chain._table.clip_ids[silent] in str(error.value)
    assert not list((tmp_path / "store").rglob("stage.json"))
