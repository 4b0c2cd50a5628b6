"""The benchmark of a GPU runs in its reduced form on a CPU; what it reports is checked, not how fast it was."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import filter_bank, gpu
from benchmarks.batched_chains import compare
from benchmarks.rows import rows_table

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")  # attention under vmap on a CPU


def test_reduced_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--out", str(tmp_path), "--reduced", "--method", "simplecil", "mfcc-ncm"]) == 0
    assert "complete" in capsys.readouterr().out
    sections = json.loads((tmp_path / "gpu.json").read_text())["sections"]
    assert list(sections) == list(gpu.SECTIONS)
    chains = sections["chain"]["rows"]
    assert [row["precision"] for row in chains] == ["bf16", "float32"]
    for row in chains:
        assert row["queries"] == 10 and row["arithmetic, TFLOP"] == chains[0]["arithmetic, TFLOP"] > 0
        done, limit = row["TFLOP/s"], row["matrix product, TFLOP/s"]
        assert done == pytest.approx(row["arithmetic, TFLOP"] / row["sessions, s"])
        assert 0 < row["share of the limit, %"] == pytest.approx(100 * done / limit)
        # a CPU without bf16 arithmetic multiplies matrices of it more slowly than the chain computes
        assert done < limit or row["precision"] == "bf16"
    assert all(row["chains"] == 8 and row["ratio"] > 0 for row in sections["batched"]["rows"])
    assert all(row["steps/s"] > 0 for row in sections["pretraining"]["rows"])
    compared = {row["method"]: (row["predictions"], row["other on cpu, bf16"]) for row in sections["methods"]["rows"]}
    assert compared["mfcc-ncm"] == (18, 0)  # no network: no precision
    assert compared["simplecil"][0] == 18
    text = (tmp_path / "gpu.md").read_text()
    assert all(f"## {name}\n" in text for name in gpu.SECTIONS) and "| mfcc-ncm |" in text


def test_a_failure_is_noted_and_the_rest_is_measured(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    setup = gpu.Setup(torch.device("meta"), True, tmp_path / "work", ("mfcc-ncm", "simplecil"))
    assert not gpu.measure(setup, ["chain", "methods"], tmp_path)
    sections = json.loads((tmp_path / "gpu.json").read_text())["sections"]
    reason = "EarshotError: device 'meta': expected cpu or cuda"
    assert (sections["chain"]["rows"], sections["chain"]["failed"]) == ([], reason)
    for row, method in zip(sections["methods"]["rows"], setup.methods, strict=True):
        assert (row["method"], row["failed"]) == (method, reason)
        assert row["cpu, s"] > 0
    assert f"Failed: {reason}" in (tmp_path / "gpu.md").read_text()


def test_chains_trained_together_end_where_they_end_alone() -> None:
    compared = compare("random-tiny", 38, 3, 2, torch.device("cpu"), "float32")
    assert compared.difference < 1e-4
    assert compared.apart > 0 and compared.together > 0


def test_the_filter_bank_is_compared_with_the_loop(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = filter_bank.measure(torch.device("cpu"), 1, ((0.25, 2),))
    assert (row["clip, s"], row["clips"], row["largest difference"]) == (0.25, 2, 0)
    if not torch.cuda.is_available():
        assert filter_bank.main(["--device", "cuda"]) == 2
        assert "PyTorch finds no GPU" in capsys.readouterr().err


def test_rows_may_lack_columns() -> None:
    assert rows_table([{"method": "a", "s": 0.12345}, {"method": "b", "failed": "x|y", "s": 12345.6}]).splitlines() == [
        "| method | s | failed |",
        "| --- | ---: | --- |",
        "| a | 0.123 |  |",
        r"| b | 12346 | x\|y |",
    ]
