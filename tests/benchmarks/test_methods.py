"""The tables of docs/methods.md say what the runs hold."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.ede_prototypes import EPOCHS, ROWS
from benchmarks.methods import FLOOR, differences_table, methods_table
from benchmarks.precision import HEADS, SETTINGS, average_accuracy, scored
from datasets.benchmark.protocol import Protocol
from orchestrator.results.run import Run
from search_spaces.loader import load_space, shipped
from tests.support.chain_runs import methods_on_an_ast
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


def test_every_method_that_runs_on_an_ast_is_in_the_table() -> None:
    assert sorted(space.method for space in load_space(shipped()["table"])) == methods_on_an_ast()


def test_methods_are_ranked_and_held_against_the_floor(tones: Path, tmp_path: Path) -> None:
    run = run_of(tones, tmp_path, [(FLOOR, {}), ("simplecil", {}), ("tape-like", {})])
    chains = run.chains[(run.chains["split"] == "test")].groupby("method")["aa"].mean()
    header, _, *rows, apart = methods_table(run).splitlines()
    assert apart.startswith("| tape-like (transductive) | refined |") and apart.split("|")[10].strip() == ""
    chains = chains.drop("tape-like")
    assert f"AA over {FLOOR}" in header
    named = [row.split(" | ")[0].strip("| ") for row in rows]
    assert named == list(chains.sort_values(ascending=False).index)
    cells = {name: [cell.strip() for cell in row.strip("|").split("|")] for name, row in zip(named, rows, strict=True)}
    assert cells[FLOOR][9] == ""
    assert cells["simplecil"][9].startswith(f"{100 * (chains['simplecil'] - chains[FLOOR]):+.1f} (")
    assert cells["simplecil"][6].startswith(f"{100 * chains['simplecil']:.1f} ±")


def test_differences_come_in_order(tones: Path, tmp_path: Path) -> None:
    quick = {"incremental_epochs": 1}
    run = run_of(
        tones,
        tmp_path,
        [("ede", {"base_epochs": 1, "exemplar_pool": pool, **quick}) for pool in ("class", "support")],
    )
    rows = differences_table({"kaldi": run}).splitlines()[2:]
    assert [row.split(" | ")[:3] for row in rows] == [["| kaldi", "1", "support"], ["| kaldi", "1", "class"]]


def test_average_accuracy_by_hand() -> None:
    """Session 0: 1 of 2; session 1: 1 of 4; AA = 37.5."""
    rows = np.array([[0, 1, 1], [0, 2, 1], [1, 1, 1], [1, 2, 3], [1, 3, 1], [1, 3, 2]])
    assert average_accuracy(rows) == pytest.approx(37.5)


def test_what_16_bits_change_is_shown_for_ede_as_published(tones: Path, tmp_path: Path) -> None:
    assert {**EPOCHS, **ROWS["as published"]} == SETTINGS
    config = ChainConfig(
        benchmark=str(tones),
        method="ede",
        settings={**SETTINGS, "base_epochs": 1, "incremental_epochs": 1},
        protocol=PROTOCOL,
        store=tmp_path / "store",
    )
    rows = scored(Chain(config, tmp_path / "run" / "trials" / config.trial))
    chains = Run.load(tmp_path / "run").chains.set_index(["head", "split"])["aa"]
    assert tuple(rows) == HEADS
    for head in HEADS:
        assert average_accuracy(rows[head]) == pytest.approx(100 * chains[head, "test"])
