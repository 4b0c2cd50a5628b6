"""The plain way says what ours says, and costs what is counted for it."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.chain import ChainError, Compared, Run, agreement, main, run_chain, session_by_session, summary
from benchmarks.clips import RATE, write_clips
from benchmarks.plain import Measured, Plain, Recomputed, run
from datasets.benchmark.manifest import SplitCounts
from datasets.benchmark.protocol import Protocol
from datasets.benchmark.shards import Shards
from trainables.chain_config import ChainConfig
from trainables.learners.features import Features
from trainables.networks.backbones.ast import load_ast
from trainables.networks.frontend import FrontEnd
from trainables.networks.specs import FrontEndSpec
from trainables.store.arrays import ArrayStore, ConcatRows

PROTOCOL = Protocol(base=2, way=2, shot=3, sessions=2, validation=1)


@pytest.fixture
def features(tones: Path, tmp_path: Path) -> Features:
    shards = Shards(tones)
    frontend = FrontEnd(FrontEndSpec(), shards.manifest.sample_rate, shards.manifest.num_samples)
    return Features(shards, frontend, load_ast("random-tiny", frontend.frames), ArrayStore(tmp_path / "features"))


@pytest.fixture
def config(tones: Path, tmp_path: Path) -> ChainConfig:
    settings = {"base_epochs": 1, "incremental_epochs": 2}
    return ChainConfig(
        benchmark=str(tones),
        method="ede",
        settings=settings,
        protocol=PROTOCOL,
        backbone="random-tiny",  # its arithmetic is worked out below
        store=tmp_path / "store",
    )


def test_the_clips_are_of_the_length_and_number_asked_for_and_made_once(tmp_path: Path) -> None:
    counts = SplitCounts(train=2, val=1, test=3)
    write_clips(tmp_path / "tones", 2, counts, seconds=0.25)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    shards = Shards(tmp_path / "tones")
    assert shards.manifest.clips == SplitCounts(train=4, val=2, test=6)
    audio = shards.audio(range(12))
    assert audio.shape == (12, RATE // 4)
    assert len(np.unique(audio, axis=0)) == 12 and 0.01 < np.abs(audio).max() < 1
    write_clips(tmp_path / "tones", 2, counts, seconds=0.25)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_rows_of_the_plain_way_are_the_stored_ones_and_nothing_is_stored(features: Features) -> None:
    plain = Plain.like(features)
    backbone, positions = features.backbone, tuple(range(40))
    ran: list[int] = []

    def network(inputs: torch.Tensor) -> torch.Tensor:
        ran.append(len(inputs))
        return backbone(inputs)

    tokens = plain.tokens(backbone.digest, positions, network)
    assert len(tokens) == 40 and tokens.shape == (40, 38, 96)
    ran.clear()
    for _ in range(2):
        computed = tokens[:]
    assert ran == [32, 8, 32, 8]
    ran.clear()
    some = ConcatRows([tokens, tokens])[torch.tensor([3, 41])]
    assert ran == [1, 1]
    assert features.store.shared_files is not None
    assert len(list(features.store.shared_files.folder.rglob("*.npy"))) == 1  # the spectrograms

    stored = features.tokens(backbone.digest, positions, backbone)
    assert torch.equal(computed, stored[:])
    torch.testing.assert_close(some, stored[torch.tensor([3, 1])], atol=2e-3, rtol=2e-3)
    assert not computed.is_inference()  # a part may be trained on it
    assert torch.equal(plain.pooled(positions), features.pooled(positions))


def test_parts_that_are_asked_in_a_row_share_one_run_of_what_is_below_them(features: Features) -> None:
    plain = Plain.like(features)
    backbone = features.backbone
    ran: list[int] = []

    def below(inputs: torch.Tensor) -> torch.Tensor:
        ran.append(len(inputs))
        return backbone(inputs)

    def part(positions: tuple[int, ...]) -> torch.Tensor:
        rows = plain.frozen("part", "d", positions, backbone.pool, of=lambda: plain.tokens("g", positions, below))
        assert isinstance(rows, Recomputed)
        return rows[:]

    first = part((1, 2, 3))
    assert torch.equal(part((1, 2, 3)), first)
    assert ran == [3]
    part((4,))
    part((1, 2, 3))
    assert ran == [3, 1, 3]


@pytest.mark.parametrize("method", ["ede", "simplecil", "mfcc-ncm"])
def test_both_ways_predict_the_same(method: str, config: ChainConfig, tmp_path: Path) -> None:
    settings = config.settings if method == "ede" else {}
    found = {}
    for way in ("ours", "plain"):
        own = config.model_copy(update={"method": method, "settings": settings, "store": tmp_path / f"store-{way}"})
        found[way] = run(way, own, tmp_path / way, count=True)
    equal, total = agreement(tmp_path / "ours", tmp_path / "plain", 2)
    assert equal == total == (2 + 4) * (4 + 1) * (3 if method == "ede" else 1)
    assert found["ours"].queries == found["plain"].queries == (10, 20)
    if method != "mfcc-ncm":
        assert found["plain"].flops > found["ours"].flops


def test_predictions_that_differ_are_counted(config: ChainConfig, tmp_path: Path) -> None:
    for index, name in enumerate(("first", "second")):
        settings = {"base_epochs": 3, "base_lr": (1e-3, 1.0)[index]}
        own = config.model_copy(update={"settings": settings, "store": tmp_path / f"store-{name}"})
        run("ours", own, tmp_path / name, count=False)
    equal, total = agreement(tmp_path / "first", tmp_path / "second", 2)
    assert 0 < equal < total


def test_the_arithmetic_is_that_of_the_shapes(config: ChainConfig, tmp_path: Path) -> None:
    """A block is 24 d^2 + 4 T d a token, a pass backwards twice the pass forwards; base sessions train G, S_0."""
    measured = {}
    for epochs in (0, 10):
        settings = {"base_epochs": epochs}
        changes = {"settings": settings, "protocol": Protocol(base=2, shot=3, sessions=1, validation=1)}
        own = config.model_copy(update={**changes, "store": tmp_path / f"store-{epochs}"})
        measured[epochs] = run("ours", own, tmp_path / str(epochs), count=True).flops
    support, scored, width, tokens = 2 * 3, 2 * (1 + 4), 96, 2 + 12 * 3
    spectrogram = 2 * 128 * 257 * 38  # the mel filters
    patches = 2 * 256 * width * (tokens - 2)
    block = 24 * width**2 * tokens + 4 * tokens**2 * width
    exemplars = 2  # their tokens and parts, each group anew
    runs = (support + scored) * spectrogram + (support + scored + exemplars) * (2 * (patches + 2 * block) + block)
    assert measured[0] == pytest.approx(runs, rel=0.1)
    trained = 10 * support * (2 * patches + 3 * 3 * block)  # no gradient of the spectrograms
    assert measured[10] - measured[0] == pytest.approx(trained, rel=0.02)


def test_memory_is_that_of_the_process_and_a_failure_says_why(config: ChainConfig, tmp_path: Path) -> None:
    run_ = run_chain("ours", config, tmp_path / "one")
    assert len(run_.measured.seconds) == 2 and run_.seconds > run_.measured.seconds[0] > 0
    assert 100 << 20 < run_.private_bytes < 2 << 30
    assert run_.above_model == run_.private_bytes - run_.measured.weights
    with pytest.raises(ChainError, match="has 8 of 400"):
        run_chain("ours", config.model_copy(update={"protocol": Protocol(way=2, shot=400)}), tmp_path / "two")


def test_the_tables_tell_ratios() -> None:
    ours = Measured(1.0, (2.0, 1.0), (1.5, 0.5), (0.2, 0.4), (0.1, 0.1), (10, 20), 1 << 20, 0, 0)
    plain = dataclasses.replace(ours, seconds=(4.0, 8.0), cpu_seconds=(2.0, 3.0))
    runs = {
        "plain": Run(plain, 9 << 20, 5, Path("plain")),
        "ours": Run(ours, 8 << 20, 3_000_000, Path("ours")),
    }
    one = Compared("ede", runs, 29, 30, 0)
    table = summary([one], "title")
    (row,) = zip(*(column.cells for column in table.columns), strict=True)
    assert row == ("ede", "12.0", "3.0", "4.00", "2.50", "2.00", "1.00", "8.00", "0.6", "3", "8", "7", "29/30")
    rows = list(zip(*(column.cells for column in session_by_session(one).columns), strict=True))
    assert rows == [
        ("0", "10", "4.00", "2.00", "2.00", "1.50", "150.0"),
        ("1", "20", "8.00", "3.00", "1.00", "0.50", "25.0"),
    ]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--sessions", "2", "--way", "2", "--shot", "2", "--queries", "2", "--epochs", "1", "--seconds", "0.4"]
    assert main(["--out", str(tmp_path), "--method", "ede", "simplecil", *sizes, "--each"]) == 0
    said = capsys.readouterr().out
    assert "simplecil" in said and "session by session" in said
    report = json.loads((tmp_path / "chain.json").read_text())
    assert [one["method"] for one in report["chains"]] == ["ede", "simplecil"]
    assert all(one["equal"] == one["predictions"] > 0 for one in report["chains"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chain.json", "tones-4-2-1-2-0.4s"]

    assert main(["--out", str(tmp_path), "--method", "nobody"]) == 2
