"""The benchmark of sweeps whose sessions are all in the store."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.cached_sweep import WAYS, again, row
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.plan import find_benchmark, find_spaces, make_plan
from tests.support.sweep_processes import PROTOCOL
from trainables.session_chain import Chain


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_cached_sweep_is_one_process(tones: Path, tmp_path: Path) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("methods: {mfcc-ncm: {}}\n")
    options = ["--benchmark", str(tones), "--runs", str(tmp_path), "--space", str(space), "--seeds", "1", *PROTOCOL]
    config = parse(options)
    plan = make_plan(config, find_spaces(config), find_benchmark(config))
    chain = Chain(plan.chain("mfcc-ncm", {}, (), config.seeds[0]), tmp_path / "trial")
    while not chain.done:
        chain.step()
    measured = row("ours", [again("ours", options)])
    assert measured["processes"] == 1
    assert float(measured["CPU s"]) == float(measured["of the command itself"]) > 0


def test_both_ways_are_the_sweep() -> None:
    for way in WAYS:
        assert (
            "--resume RUN"
            in subprocess.run([sys.executable, *WAYS[way], "--help"], capture_output=True, text=True).stdout
        )
