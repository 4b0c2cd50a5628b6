"""The benchmark of planning runs, and its second `prepare` has nothing to do."""

import pytest

from benchmarks.planning import CORPORA, main


def test_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--files", "200", "--rejected", "50"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row[:15].split() for row in rows] == [
        *([what, corpus] for corpus in CORPORA for what in ("plan", "again")), ["50", "rejected"]
    ]  # fmt: skip
