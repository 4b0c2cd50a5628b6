"""The table of EDE's departures from the release says what the runs hold."""

from pathlib import Path

from benchmarks.ede_differences import differences_table
from datasets.benchmark.protocol import Protocol
from orchestrator.results.run import Run
from trainables.chain_config import ChainConfig
from trainables.records import SeedTriple
from trainables.session_chain import Chain

PROTOCOL = Protocol(base=2, way=2, shot=3, class_order="seeded")


def run_of(tones: Path, folder: Path, configurations: list[tuple[str, dict[str, object]]]) -> Run:
    """Two seeds of each configuration, as a sweep leaves them."""
    for method, settings in configurations:
        for seed in (0, 1):
            config = ChainConfig(
                benchmark=str(tones),
                method=method,
                settings=settings,
                protocol=PROTOCOL,
                seeds=SeedTriple(order=seed, support=seed, initialisation=seed),
                store=folder / "store",
            )
            chain = Chain(config, folder / "run" / "trials" / config.trial)
            while not chain.done:
                chain.step()
    return Run.load(folder / "run")


def test_differences_come_in_order(tones: Path, tmp_path: Path) -> None:
    quick = {"incremental_epochs": 1}
    run = run_of(
        tones,
        tmp_path,
        [("ede", {"base_epochs": 1, "exemplar_pool": pool, **quick}) for pool in ("class", "support")],
    )
    rows = differences_table({"kaldi": run}).splitlines()[2:]
    assert [row.split(" | ")[:3] for row in rows] == [["| kaldi", "1", "support"], ["| kaldi", "1", "class"]]
