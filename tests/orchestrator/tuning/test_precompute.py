"""What frozen networks say of a benchmark is computed once, by tasks on all nodes, before trials start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cluster.session import start_ray
from orchestrator.tuning import precompute
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.plan import Plan, find_benchmark, find_spaces, make_plan
from orchestrator.tuning.precompute import embed
from tests.support.sweep_processes import PROTOCOL
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


def test_tasks_compute_each_group_once_and_chains_find_them(
    ray_up: None, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precompute, "WORTH", 0.0)
    one = plan(tones, tmp_path / "runs")
    heard: list[tuple[int, int]] = []
    groups = {
        group
        for sessions in one.chains.values()
        for session in sessions
        for group in (session.support, *(clips for c in session.classes for clips in (c.validation, c.query)))
    }
    computed = embed(one, 2, lambda done, of: heard.append((done, of)))
    assert computed == 2 * len(groups) == heard[-1][0] == heard[-1][1]
    assert embed(one, 2, lambda done, of: None) == 0
    before = arrays(tmp_path / "runs")
    assert len(before) == 3 * len(groups)  # spectrograms, embeddings and MFCCs

    lazy = plan(tones, tmp_path / "lazy")
    for method in ("simplecil", "mfcc-ncm"):
        found = []
        for where, of in (("runs", one), ("lazy", lazy)):
            chain = Chain(of.chain(method, {}, (), of.config.seeds[1]), tmp_path / where / method)
            while not chain.done:
                chain.step()
            files = sorted((tmp_path / where / method).glob("session-*.parquet"))
            found.append([path.read_bytes() for path in files])
        assert found[0] == found[1] and len(found[0]) == 3
    assert arrays(tmp_path / "runs") == before  # nothing was left to be computed


def test_little_work_is_left_to_the_trials(tones: Path, tmp_path: Path) -> None:
    """No task is started, so that Ray need not be up; the one group that was timed is kept."""
    assert embed(plan(tones, tmp_path), 2, lambda done, of: None) == 0
    assert arrays(tmp_path)
