"""The LaTeX table: its structure, so that it compiles, and its contents."""

import re
from pathlib import Path

import pytest

from orchestrator.reporting.latex import escape, latex
from orchestrator.reporting.tables import method_rows
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from tests.support.run_folders import WriteTrial


def written(run_dir: Path) -> str:
    run = Run.load(run_dir)
    return latex(run, method_rows(run, Estimates(run)))


def assert_valid(text: str) -> None:
    """Braces and environments are balanced, rows have as many cells as the tabular has columns, text is escaped."""
    plain = re.sub(r"\\[\\&%$#_{}]", lambda match: "\\\\" if match[0] == "\\\\" else "", text)
    depth = 0
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
    assert begun == ended[::-1] == ["table", "tabular"]
    columns = re.search(r"\\begin{tabular}{(\w+)}", text)
    assert columns is not None
    rows = [line for line in plain.splitlines() if line.endswith("\\\\")]
    for row in rows:
        merged = sum(int(count) - 1 for count in re.findall(r"\\multicolumn{(\d+)}", row))
        assert row.count("&") + 1 + merged == len(columns[1]), row
        assert not re.match(r"\s*[\[*]", row)
    body = "\n".join(plain.splitlines()[1:])  # the first line is a comment
    assert body.count("$") % 2 == 0 and "%" not in body and "#" not in body and "^" not in re.sub(r"\$.*?\$", "", body)
    assert "_" not in body and text.isascii() and text.startswith("% ")
    assert text.count("\n%") == 0


def test_the_table_has_sessions_then_aa_and_pd(tmp_path: Path, write_trial: WriteTrial) -> None:
    for seed, final in ((0, 0.5), (1, 0.7)):
        write_trial("ede-0000000a", seed, [[0.9], [0.8, final]])
        write_trial("icarl-0000000b", seed, [[0.5], [0.9, 0.9]])
    text = written(tmp_path / "run")
    assert_valid(text)
    assert r"& \multicolumn{2}{c}{Session (classes seen)} &  & \\" in text and r"\cmidrule(lr){2-3}" in text
    assert r"Method & 0 (2) & 1 (4) & AA & PD \\" in text
    assert r"    ede & 90.0 & 70.0 & 80.0 $\pm$ 3.5 & 20.0 $\pm$ 7.1 \\" in text
    assert r"    icarl & 50.0 & 90.0 & 70.0 $\pm$ 0.0 & $-$40.0 $\pm$ 0.0 \\" in text
    assert "Means over 2 seeds" in text and "chosen by its validation accuracy" in text and "textbf" not in text


def test_names_are_escaped_and_unfinished_chains_are_marked(tmp_path: Path, write_trial: WriteTrial) -> None:
    for name in ("[x]", "*y", "a_b&c%d$e#f{g}h~i^j\\k", "--<z>|"):
        write_trial(f"{name}-0000000a", 0, [[0.9]], planned=2, benchmark="50 %_#1\nnext")
    text = written(tmp_path / "run")
    assert_valid(text)
    assert r"    {[}x]$^*$ & 90.0 & -- & -- & -- \\" in text
    assert r"a\_b\&c\%d\$e\#f\{g\}h\textasciitilde{}i\textasciicircum{}j\textbackslash{}k$^*$ &" in text
    assert r"50 \%\_\#1 next" in text and "provisional" in text


@pytest.mark.parametrize("sessions", [1, 20])
def test_tables_with_many_sessions_are_set_smaller(tmp_path: Path, write_trial: WriteTrial, sessions: int) -> None:
    write_trial("ede-0000000a", 0, [[1.0] * (t + 1) for t in range(sessions)], way=1, clips=2)
    text = written(tmp_path / "run")
    assert_valid(text)
    assert ("footnotesize" in text) == (sessions == 20)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mfcc-ncm", "mfcc-ncm"),
        ("a--b", "a-{}-b"),
        ("a\n b", "a b"),
        ("50%", r"50\%"),
        ("\x07", r"\textbackslash{}x07"),
    ],
)
def test_text_is_escaped(text: str, shown: str) -> None:
    assert escape(text) == shown
