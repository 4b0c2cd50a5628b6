"""Outputs of frozen networks on a benchmark are computed once, by tasks on all nodes, before trials start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cluster.session import start_ray
from orchestrator.tuning import precompute
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.plan import Plan, find_benchmark, find_spaces, make_plan
from orchestrator.tuning.precompute import embed
from tests.support.sweep_processes import PROTOCOL
from trainables.chain_inputs import open_features
from trainables.session_chain import Chain

METHODS = ["--method", "simplecil", "--method", "mfcc-ncm"]


@pytest.fixture(scope="module")
def ray_up() -> Iterator[None]:
    with start_ray(cpus=2):
        yield


def plan(tones: Path, runs: Path, *more: str) -> Plan:
    config = parse(["--benchmark", str(tones), "--runs", str(runs), "--seeds", "2", *METHODS, *PROTOCOL, *more])
    return make_plan(config, find_spaces(config), find_benchmark(config))


def arrays(runs: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in runs.rglob("*.npy")}


def test_tasks_compute_each_group_once_and_chains_read_the_results(
    ray_up: None, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precompute, "MIN_SECONDS", 0.0)
    precomputed = plan(tones, tmp_path / "runs")
    progress: list[tuple[int, int]] = []
    groups = {
        group
        for sessions in precomputed.chains.values()
        for session in sessions
        for group in (session.support, *(group for c in session.classes for group in (c.validation, c.query)))
    }
    computed = embed(precomputed, 2, lambda done, total: progress.append((done, total)))
    assert computed == 2 * len(groups) == progress[-1][0] == progress[-1][1]
    assert embed(precomputed, 2, lambda done, total: None) == 0
    before = arrays(tmp_path / "runs")
    assert len(before) == 2 * len(groups)  # embeddings and MFCCs; no spectrograms

    lazy = plan(tones, tmp_path / "lazy")
    for method in ("simplecil", "mfcc-ncm"):
        predictions = []
        for folder, its_plan in (("runs", precomputed), ("lazy", lazy)):
            chain = Chain(its_plan.chain(method, {}, (), its_plan.config.seeds[1]), tmp_path / folder / method)
            while not chain.done:
                chain.step()
            files = sorted((tmp_path / folder / method).glob("session-*.parquet"))
            predictions.append([path.read_bytes() for path in files])
        assert predictions[0] == predictions[1] and len(predictions[0]) == 3
    after = arrays(tmp_path / "runs")
    assert {name: after[name] for name in before} == before  # the chains computed no array again
    assert len(after) == len(before) + 2 * 2  # and none but the scores of classes to come: 2 methods, 2 of 3 sessions


def test_only_groups_that_the_store_lacks_are_computed(
    ray_up: None, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precompute, "MIN_SECONDS", 0.0)
    precomputed = plan(tones, tmp_path)
    features = open_features(precomputed.chain("simplecil", {}, (), precomputed.config.seeds[0]))[0]
    session = next(iter(precomputed.chains.values()))[0]
    total = embed(precomputed, 2, lambda done, total: None)
    removed = features.pooled_request(session.support).address
    (path,) = tmp_path.rglob(f"{removed}.npy")
    inodes = arrays(tmp_path)
    path.unlink()
    assert total > 2
    assert embed(precomputed, 2, lambda done, total: None) == 1
    after = arrays(tmp_path)
    assert set(after) == set(inodes)
    assert {name: inode for name, inode in after.items() if name != path.name} == {
        name: inode for name, inode in inodes.items() if name != path.name
    }


def test_a_small_amount_of_work_is_left_to_the_trials(tones: Path, tmp_path: Path) -> None:
    """No task is started, so Ray is not needed; the one group that was timed is stored."""
    assert embed(plan(tones, tmp_path), 2, lambda done, total: None) == 0
    assert arrays(tmp_path)
