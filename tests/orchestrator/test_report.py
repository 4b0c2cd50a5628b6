"""Reports of complete, partial and damaged runs: files, their numbers, output of the command line."""

import csv
import html
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import openpyxl
import pytest
from PIL import Image
from rich.console import Console

from datasets.utils.checksum import with_checksum
from datasets.utils.errors import EarshotError
from orchestrator.report import main
from orchestrator.reporting.facts import choices_of, what_ran
from orchestrator.reporting.latex import escape as latex_escape
from orchestrator.reporting.markdown import escape, table
from orchestrator.reporting.run_figures import figures_of
from orchestrator.reporting.sentences import methods_caption, notes, selection
from orchestrator.reporting.summary import summary_table
from orchestrator.reporting.write import ReportPaths, write_report
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from tests.support.run_folders import WriteTrial
from trainables.records import SeedTriple


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture(scope="module")
def two_methods(write_trial_to: WriteTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two configurations of ede (b is better on validation, a on test clips), one of icarl."""
    run_dir = tmp_path_factory.mktemp("two") / "run"
    for seed, final in ((0, 0.5), (1, 0.7)):
        heads = {"linear": [[0.5], [0.4, 0.2]]}
        write_trial_to(run_dir, "ede-0000000a", seed, [[1.0], [1.0, 1.0]], val=[[0.3], [0.3, 0.3]], heads=heads)
        write_trial_to(run_dir, "ede-0000000b", seed, [[0.9], [0.8, final]], val=[[0.6], [0.6, 0.6]], heads=heads)
        write_trial_to(run_dir, "icarl-0000000c", seed, [[0.8], [0.2, 0.4]])
    return run_dir


@pytest.fixture(scope="module")
def written(two_methods: Path) -> ReportPaths:
    """The report of that run."""
    return write_report(two_methods)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def printed(run: Path, width: int = 110) -> str:
    """The summary table in a terminal of that width."""
    console = Console(file=io.StringIO(), width=width)
    console.print(summary_table(Run.load(run), width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_summary_csv_has_a_row_per_configuration_and_head(written: ReportPaths) -> None:
    rows = {(r["configuration"], r["head"]): r for r in read_csv(written.summary)}
    assert len(rows) == 5
    row = rows["ede-0000000b", "prototype"]
    # A_0 = 0.9, A_1 = 0.65 and 0.75: AA = 0.775 and 0.825
    assert float(row["aa_mean"]) == pytest.approx(0.8)
    assert float(row["aa_std"]) == pytest.approx(0.05 / 2**0.5, abs=1e-6)
    assert row["aa_n"] == "2"
    # t_{0.975, 1} = 12.7062: half the interval is 12.7062 * 0.05 / sqrt(2) / sqrt(2)
    assert float(row["aa_low"]) == pytest.approx(0.8 - 12.7062 * 0.025, abs=1e-5)
    assert float(row["pd_mean"]) == pytest.approx(0.2)
    assert float(row["final_mean"]) == pytest.approx(0.7)
    assert float(row["forgetting_mean"]) == pytest.approx(0.1)
    assert float(row["bwt_mean"]) == pytest.approx(-0.1)
    assert float(row["validation_aa_mean"]) == pytest.approx(0.6)
    assert (row["selected"], row["complete"], row["trials"], row["default_head"]) == (
        "yes",
        "yes",
        "2",
        "yes",
    )
    assert row["varied"] == '{"lr": 0.1}'
    assert float(row["parameters_used_mean"]) == 1000
    linear = rows["ede-0000000b", "linear"]
    assert float(linear["aa_mean"]) == pytest.approx(0.4) and float(linear["aa_std"]) == 0
    assert (linear["default_head"], linear["selected"]) == ("no", "yes")
    assert rows["ede-0000000a", "prototype"]["selected"] == "no"


def test_sessions_csv_has_a_row_per_session(written: ReportPaths) -> None:
    rows = read_csv(written.sessions)
    assert len(rows) == (2 * 2 + 1) * 2 * 2  # heads of the configurations, splits, sessions
    by_key = {(r["configuration"], r["head"], r["split"], r["session"]): r for r in rows}
    row = by_key["ede-0000000b", "prototype", "test", "1"]
    assert float(row["micro_mean"]) == pytest.approx(0.7)
    assert float(row["micro_std"]) == pytest.approx(0.1 / 2**0.5, abs=1e-6)
    assert (row["micro_n"], row["novel_n"]) == ("2", "2")
    assert float(row["base_mean"]) == pytest.approx(0.8)
    assert float(row["novel_mean"]) == pytest.approx(0.6)
    assert float(row["harmonic_mean"]) == pytest.approx((0.8 / 1.3 + 1.12 / 1.5) / 2, abs=1e-6)
    first = by_key["ede-0000000b", "prototype", "test", "0"]
    assert (first["novel_mean"], first["novel_n"], first["harmonic_mean"]) == ("", "0", "")


def test_report_md_states_facts_and_results(written: ReportPaths) -> None:
    text = written.report.read_text(encoding="utf-8")
    assert "| trials | 6: 6 finished, 0 running, 0 failed |" in text
    assert "| protocol | name ffcac-25, way 2, shot 5 |" in text
    assert "| seeds (order.support.initialisation) | 2: s0, s1 |" in text
    row = ["ede", "ede-0000000b", "prototype", "2", "90.0", "70.0", "80.0 ± 3.5", "48.2 to 100.0"]
    assert " | ".join(["", *row, "20.0", "10.0", "70.0", "60.0", ""]).strip() in text
    assert "ddof 1" in text and "validation" in text
    assert "Provisional" not in text and "Incomplete" not in text
    assert "| **ede-0000000b** | lr 0.1 | 2 |" in text and "\n| ede-0000000a |" in text
    assert "| 1 | 2 | class 2, class 3 |" in text


def test_every_embedded_figure_exists_and_every_figure_is_embedded(written: ReportPaths) -> None:
    embedded = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", written.report.read_text(encoding="utf-8"))
    assert sorted(embedded) == ["accuracy.png", "heads.png", "matrix-ede.png", "matrix-icarl.png"]
    assert {path.name for path in written.figures} == {
        name.replace(".png", ending) for name in embedded for ending in (".png", ".svg")
    }
    for path in written.figures:
        if path.suffix == ".png":
            with Image.open(path) as image:
                image.verify()
        else:
            assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_the_same_run_gives_the_same_files(two_methods: Path, written: ReportPaths, tmp_path: Path) -> None:
    again = write_report(two_methods, tmp_path / "elsewhere" / "report")
    names = {path.name for path in written.report.parent.iterdir()}
    assert names == {path.name for path in again.report.parent.iterdir()}
    grids = {f"{name}.csv" for name in ("methods", "summary", "sessions", "classes", "confusion", "mistakes")}
    others = {"report.md", "report.html", "methods.md", "methods.tex", "tables.xlsx"}
    assert names == grids | others | {path.name for path in written.figures}
    for name in names - {"report.html"}:
        assert (written.report.parent / name).read_bytes() == (again.report.parent / name).read_bytes(), name


def test_the_summary_table_has_a_row_per_method(two_methods: Path) -> None:
    text = printed(two_methods)
    assert re.search(r"ede +0000000b +2 +90\.0 70\.0 +80\.0 ± 3\.5 +20\.0 +10\.0 +70\.0", text)
    # icarl: A_0 = 0.8, A_1 = 0.3
    assert re.search(r"icarl +0000000c +2 +80\.0 30\.0 +55\.0 ± 0\.0 +50\.0 +60\.0 +30\.0", text)
    assert "validation" in text and "provisional" not in text


@pytest.mark.parametrize(
    ("sessions", "method", "width", "shown"),
    [
        (1, "simplecil", 80, 1),
        (5, "simplecil", 80, 3),
        (5, "a-method-of-a-long-name", 110, 5),
        (9, "simplecil", 110, 8),
        (20, "a-method-of-a-long-name", 110, 5),
    ],
)
def test_the_summary_table_fits_into_the_terminal(
    run_dir: Path, write_trial: WriteTrial, sessions: int, method: str, width: int, shown: int
) -> None:
    matrix = [[1.0] * (t + 1) for t in range(sessions)]  # 100.0 is the widest value
    for name in (method, "ede"):
        write_trial(f"{name}-0123abcd", 0, matrix, way=1, clips=2)
        write_trial(f"{name}-0123abcd", 1, matrix, way=1, clips=2, status="running")
    text = printed(run_dir, width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" not in text
    for name in (method, "ede"):
        row = next(line.rstrip() for line in text.splitlines() if line.startswith(name))
        assert (" .. " in row) == (shown < sessions)
        assert row.count("100.0") == shown + 2  # and AA, final
        assert "100.0 ± -" in row and "1/2" in row and row.endswith("100.0")


def test_a_single_seed_has_no_std(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-0000000a", 0, [[0.9], [0.8, 0.6]])
    paths = write_report(run_dir)
    assert "80.0 ± -" in paths.report.read_text(encoding="utf-8")
    row = next(r for r in read_csv(paths.summary) if r["head"] == "prototype")
    assert (row["aa_std"], row["aa_n"], row["aa_low"]) == ("", "1", "")


def test_a_partial_run_counts_finished_sessions(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-0000000a", 0, [[0.9], [0.8, 0.6]])
    write_trial("ede-0000000a", 1, [[0.7]], planned=2)
    write_trial("ede-0000000a", 2, [[0.5]], planned=2, status="failed", error="RuntimeError: boom | at\nepoch 3")
    write_trial("icarl-0000000b", 0, [], planned=2)
    paths = write_report(run_dir)
    text = paths.report.read_text(encoding="utf-8")
    assert "| trials | 4: 1 finished, 2 running, 1 failed |" in text
    assert r"| ede-0000000a-s2 | failed | 1 of 2 | RuntimeError: boom \| at epoch 3 |" in text
    assert "| ede-0000000a-s1 | running | 1 of 2 |" in text and "| icarl-0000000b-s0 | running | 0 of 2 |" in text
    assert "| ede | ede-0000000a | prototype | 1/3 | 70.0 | 70.0 (n 1/3) | 80.0 ± - |" in text
    assert "| icarl | icarl-0000000b | prototype | 0/1 | - | - | - | - | - | - | - | - |" in text
    assert "Provisional" in text
    sessions = {r["session"]: r for r in read_csv(paths.sessions) if r["split"] == "test"}
    assert (sessions["0"]["micro_n"], sessions["1"]["micro_n"]) == ("3", "1")
    assert float(sessions["0"]["micro_mean"]) == pytest.approx(0.7)
    assert float(sessions["0"]["micro_std"]) == pytest.approx(0.2)
    summary = {r["configuration"]: r for r in read_csv(paths.summary)}
    assert (summary["ede-0000000a"]["aa_n"], summary["icarl-0000000b"]["aa_n"]) == ("1", "0")
    assert float(summary["ede-0000000a"]["aa_mean"]) == pytest.approx(0.8)
    shown = printed(run_dir)
    assert re.search(r"ede +0000000a\* +1/3 +70\.0 70\.0 +80\.0 ± -", shown)
    assert re.search(r"icarl +0000000b\* +0/1 +- +- +- +- +- +-", shown)
    assert [path.stem for path in paths.figures if path.suffix == ".png"] == ["accuracy", "heads", "matrix-ede"]


def test_stopped_chains_are_reported_as_stopped(run_dir: Path, write_trial: WriteTrial) -> None:
    """Their missing sessions are not counted: neither as zeros nor as failures."""
    for seed in (0, 1):
        write_trial("ede-0000000a", seed, [[0.6], [0.6, 0.6]])
    write_trial("ede-0000000b", 0, [[0.9], [0.9, 0.9]])
    write_trial("ede-0000000b", 1, [[0.1]], planned=2, status="stopped", stopped_by="asha")
    write_trial("ede-0000000c", 0, [[0.5]], planned=2, status="stopped", stopped_by="budget")
    paths = write_report(run_dir)
    text = paths.report.read_text(encoding="utf-8")
    assert "| trials | 5: 3 finished, 0 running, 0 failed, 2 stopped |" in text
    assert "| ede-0000000b-s1 | stopped | 1 of 2 | stopped early by ASHA: behind other trials of its method" in text
    assert "| ede-0000000c-s0 | stopped | 1 of 2 | stopped early: the budget was used up |" in text
    assert re.search(r"\| ede-0000000b \| lr 0\.1 \| 1/2 \| 90\.0 ± - \| .* \| 1 \|", text)
    assert re.search(r"\| \*\*ede-0000000a\*\* \| lr 0\.1 \| 2 \| 60\.0 ± 0\.0 \| .* \| - \|", text)
    rows = {row["configuration"]: row for row in read_csv(paths.summary)}
    assert {name: row["stopped"] for name, row in rows.items()} == {
        "ede-0000000a": "0",
        "ede-0000000b": "1",
        "ede-0000000c": "1",
    }
    assert float(rows["ede-0000000b"]["aa_mean"]) == pytest.approx(0.9) and rows["ede-0000000b"]["aa_n"] == "1"
    sessions = {(r["configuration"], r["session"]): r for r in read_csv(paths.sessions) if r["split"] == "test"}
    assert sessions["ede-0000000b", "1"]["micro_n"] == "1" and ("ede-0000000c", "1") not in sessions
    shown = printed(run_dir)
    assert re.search(r"ede +0000000a +2 +60\.0 60\.0", shown)
    assert "2 chains stopped early; only complete configurations are compared" in shown


def test_a_run_without_sessions_has_a_report(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-0000000a", 0, [], planned=5)
    paths = write_report(run_dir)
    assert paths.figures == ()
    text = paths.report.read_text(encoding="utf-8")
    assert "No session is finished yet." in text and "![" not in text
    assert len(read_csv(paths.sessions)) == 0
    assert "ede" in printed(run_dir)


def test_the_number_of_class_orders_is_reported(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-0000000a", 0, [[0.9], [0.8, 0.6]])
    record = write_trial("ede-0000000a", 1, [[0.9], [0.8, 0.6]])
    for session in record.sessions:
        (run_dir / "trials" / record.trial / session.predictions).unlink()
    record.model_copy(update={"sessions": ()}).save(run_dir / "trials" / record.trial)
    assert "orders" not in write_report(run_dir).report.read_text(encoding="utf-8")
    write_trial("ede-0000000a", 2, [[0.9]], planned=2, way=1, protocol=record.protocol)
    assert "the run has 2 orders" in write_report(run_dir).report.read_text(encoding="utf-8")


def test_names_are_escaped_in_every_file(run_dir: Path, write_trial: WriteTrial) -> None:
    names = ("=1+1", "a|b", "<b>x</b>", "two\nlines")
    write_trial("@m|[x]-0000000a", 0, [[0.9], [0.8, 0.6]], class_names=names, benchmark="[red]demo")
    write_trial("$m$-0000000b", 0, [[0.9], [0.8, 0.6]], class_names=names, benchmark="[red]demo")
    paths = write_report(run_dir)
    text = paths.report.read_text(encoding="utf-8")
    assert r"=1+1, a\|b" in text and "&lt;b&gt;x&lt;/b&gt;, two lines" in text and "<b>" not in text
    assert r"| @m\|\[x\] | @m\|\[x\]-0000000a |" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    cells = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
    assert all(count == 3 for line, count in zip(tables, cells, strict=True) if "benchmark" in line)
    rows = read_csv(paths.summary)
    assert {row["method"] for row in rows} == {"'@m|[x]", "$m$"}
    assert {row["configuration"] for row in rows} == {"'@m|[x]-0000000a", "$m$-0000000b"}
    assert {path.name for path in paths.figures} >= {"matrix-_m_.png", "matrix-_m__x_.png"}
    assert "[red]demo" in printed(run_dir) and "@m|[x]" in printed(run_dir)


def test_negative_numbers_are_not_escaped_in_csv(run_dir: Path, write_trial: WriteTrial) -> None:
    write_trial("ede-0000000a", 0, [[0.5], [0.8, 0.6]])
    row = read_csv(write_report(run_dir).summary)[0]
    assert float(row["pd_mean"]) == pytest.approx(-0.2) and row["pd_mean"].startswith("-")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("*x* `y` [z](u)", r"\*x\* \`y\` \[z\](u)"),
        ("init_epoch A_0", "init_epoch A_0"),
        ("_x_", r"\_x\_"),
        ("a\r\n b", "a b"),
        ("<i> & $x$ ~", r"&lt;i&gt; &amp; \$x\$ \~"),
        ("\\|", r"\\\|"),
    ],
)
def test_text_is_escaped_for_markdown(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_a_markdown_table() -> None:
    assert table(["name", ">n"], [["a|b", 1], ["c", 2]], bold=[(1, 0)]) == (
        "| name | n |\n| --- | ---: |\n| a\\|b | 1 |\n| **c** | 2 |"
    )


def test_the_command_writes_the_report_and_prints_the_table(
    run_dir: Path, write_trial: WriteTrial, tmp_path: Path
) -> None:
    write_trial("ede-0000000b", 0, [[0.9]])
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.report", str(run_dir), "--out", str(out)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"ede +0000000b", done.stdout)
    assert done.stdout.splitlines()[-1] == f"report: {out / 'report.html'}"
    assert (out / "report.html").is_file() and (out / "report.md").is_file() and not (run_dir / "report").exists()


def test_several_runs_are_one_report(
    two_methods: Path, tmp_path: Path, write_trial_to: WriteTrial, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        write_trial_to(tmp_path / "more", "der-0000000d", seed, [[0.7], [0.6, 0.6]])
    runs = [str(two_methods), str(tmp_path / "more")]
    assert main(runs) == 2
    assert capsys.readouterr().err == "error: --out: expected a folder for the report of 2 runs, found none\n"
    assert main([*runs, "--out", str(tmp_path / "out"), "--format", "pdf", "pdf"]) == 0
    assert re.search(r"der +0000000d +2 ", capsys.readouterr().out)
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert text.startswith("# Report of run + more\n") and "\n[Accuracy matrix, der](matrix-der.pdf)\n" in text
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".md", ".html", ".csv", ".tex", ".xlsx", ".pdf"}
    assert main([runs[0], runs[0], "--out", str(tmp_path / "out")]) == 0  # the same trials twice are the same trials


def test_runs_of_several_protocols_are_one_report_with_a_column(
    two_methods: Path, tmp_path: Path, write_trial_to: WriteTrial, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another benchmark with more sessions: trials of the same name are kept apart."""
    other = {"benchmark": "more <b>clips</b>", "benchmark_fingerprint": "0" * 64}
    for name in ("ede-0000000a", "der-0000000d"):
        write_trial_to(tmp_path / "more", name, 0, [[0.7], [0.6, 0.6], [0.5, 0.5, 0.5]], **other)
    runs = [str(two_methods), str(tmp_path / "more"), "--out", str(tmp_path / "out")]
    assert main(runs) == 2
    error = capsys.readouterr().err
    hashes = [Run.load(run).protocol_hashes[0] for run in runs[:2]]
    assert f"benchmark_fingerprint: expected the same for all trials, found '{'f' * 64}' in " in error
    assert f"also different: planned_sessions (protocol {hashes[0]} of {runs[0]}, {hashes[1]} of {runs[1]})" in error
    assert "or show them together with --mixed" in error and not (tmp_path / "out").exists()
    assert main([*runs, "--mixed"]) == 0
    printed = capsys.readouterr().out
    assert re.search(rf"ede +{hashes[1]} +0000000a@?{hashes[1]}? ", printed), printed
    assert f"protocols {', '.join(sorted(hashes))}" in printed
    out = tmp_path / "out"
    rows = {(row["method"], row["protocol"]): row for row in read_csv(out / "methods.csv")}
    assert len(rows) == len(read_csv(out / "methods.csv")) and {protocol for _, protocol in rows} == set(hashes)
    assert float(rows["ede", hashes[1]]["aa_mean"]) == pytest.approx(0.6) and rows["ede", hashes[0]]["a2_mean"] == ""
    for name in ("report.md", "methods.md", "methods.tex", "report.html"):
        text = (out / name).read_text(encoding="utf-8")
        assert hashes[0] in text and hashes[1] in text and "<b>clips" not in text, name
    markdown = (out / "report.md").read_text(encoding="utf-8")
    assert f"| ede | {hashes[1]} |" in markdown and f"### Protocol {hashes[0]}" in markdown
    assert f"Protocols {', '.join(sorted(hashes))}." in markdown
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Average accuracy of the best method of each protocol and track: " in page
    assert "Methods of different protocols are not ranked against each other." in markdown


def test_the_protocol_hash_is_under_every_table_and_in_every_file(two_methods: Path) -> None:
    out = write_report(two_methods).report.parent
    (expected,) = Run.load(two_methods).protocol_hashes
    for path in out.glob("*.csv"):
        assert {row["protocol"] for row in read_csv(path)} <= {expected}, path
    for name, count in (("report.md", 4), ("methods.md", 1), ("methods.tex", 1)):
        assert (out / name).read_text(encoding="utf-8").count(f"Protocol {expected}.") >= count, name
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count(f'<p class="note protocol">protocol {expected}</p>') >= 10


def test_classes_and_confusion(written: ReportPaths) -> None:
    rows = {(r["method"], r["class"]): r for r in read_csv(written.report.parent / "classes.csv")}
    assert len(rows) == 8
    # of class 0 nine of ten clips, then eight; in both chains
    assert (rows["ede", "class 0"]["a0"], rows["ede", "class 0"]["a1"]) == ("0.900000", "0.800000")
    assert (rows["ede", "class 2"]["a0"], rows["ede", "class 2"]["a1"]) == ("", "0.600000")
    cells = {
        (r["method"], r["class"], r["predicted_class"]): int(r["clips"])
        for r in read_csv(written.report.parent / "confusion.csv")
    }
    assert cells["ede", "class 0", "class 0"] == 16 and cells["ede", "class 0", "class 1"] == 4
    assert sum(cells.values()) == 2 * 2 * 40


def test_the_report_says_how_sure_it_is(written: ReportPaths) -> None:
    text = written.report.read_text(encoding="utf-8")
    assert "the test accuracy of the chosen configuration is reported once" in text
    assert "A claim needs at least 10 seeds; the smallest number here is 2." in text
    # icarl is 0.55 on validation clips, ede 0.6: on test 0.775 and 0.825 against 0.55 and 0.55
    assert "- Not decided: ede is ahead of icarl by 25.0 points of AA" in text
    assert (
        "| forgetting (l = T included) | down | 10.0 ± 0.0 | 60.0 ± 0.0 |" in text
        and "| intransigence | down | - | - |" in text
    )
    assert "cannot be estimated: this needs seeds that are crossed" in text


def test_the_ceiling_is_reported(run_dir: Path, write_trial: WriteTrial) -> None:
    fingerprint = write_trial("ede-0000000a", 0, [[0.5], [0.5, 0.5]]).benchmark_fingerprint
    # of the ten test clips of labels 0 and 1 each, four have the same content: 16 of 20, then 36 of 40 can be right
    shared = {"fingerprint": fingerprint, "clips": [10] * 4, "shared": [[[0, 4], [1, 4]]]}
    (run_dir / "ceilings.json").write_text(json.dumps(shared))
    paths = write_report(run_dir)
    text = paths.report.read_text(encoding="utf-8")
    assert (
        "2 labels share identical test clips, so no classifier can exceed 80.0 / 90.0 % after sessions 0 to 1." in text
    )
    assert "    Ceiling & 80.0 & 90.0 & 85.0 & -- \\\\\n" in (paths.report.parent / "methods.tex").read_text()
    run = Run.load(run_dir)
    axes = figures_of(run, Estimates(run), [run.best("ede")])["accuracy"].axes[0]
    assert {label.get_text() for label in axes.texts} == {"ede  50.0", "ceiling  90.0"}


def test_variance_components_and_importances_are_reported(run_dir: Path, write_trial: WriteTrial) -> None:
    for number in range(5):
        varied = {"lr": number}
        for seed, (support, start) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
            seeds = SeedTriple(order=0, support=support, initialisation=start)
            value = (2 * number + 1 + support * (1 + start)) / 20
            write_trial(f"ede-0000000{number}", seed, [[value]], settings=varied, varied=varied, seeds=seeds)
    text = write_report(run_dir).report.read_text(encoding="utf-8")
    assert "| ede | lr | 100.0 |" in text
    # AA of the best configuration: 45 45 / 50 55: rows 45, 52.5; columns 47.5, 50: SS 56.25, 6.25, rest 6.25
    assert "| ede | support draw | 2 | 5.0 | 80.0 |  |" in text
    assert "| ede | interaction | - | 2.5 | 20.0 |  |" in text


@pytest.mark.parametrize("case", ["no folder", "no trials", "damaged"])
def test_command_line_errors(
    run_dir: Path, write_trial: WriteTrial, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    if case == "no trials":
        run_dir.mkdir()
    if case == "damaged":
        record = write_trial("ede-0000000a", 0, [[0.9]])
        (run_dir / "trials" / record.trial / "session-00.parquet").write_bytes(b"PAR1")
    assert main([str(run_dir)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1 and str(run_dir) in captured.err
    assert not (run_dir / "report").exists()


def test_an_unwritable_folder_is_one_error(run_dir: Path, write_trial: WriteTrial, tmp_path: Path) -> None:
    write_trial("ede-0000000a", 0, [[0.9]])
    (tmp_path / "file").write_text("")
    with pytest.raises(
        EarshotError,
        match=r"file/report: expected a folder to write to, found: Not a directory; name another with --out",
    ):
        write_report(run_dir, tmp_path / "file" / "report")


def test_a_file_that_cannot_be_read_is_one_line(
    run_dir: Path, write_trial: WriteTrial, capsys: pytest.CaptureFixture[str]
) -> None:
    write_trial("ede-0000000a", 0, [[0.9]])
    record = run_dir / "trials" / "ede-0000000a-s1" / "trial.json"
    record.mkdir(parents=True)
    assert main([str(run_dir)]) == 2
    assert capsys.readouterr() == ("", f"error: {record}: Is a directory\n")


def test_runs_are_found_by_name(run_dir: Path, write_trial: WriteTrial, capsys: pytest.CaptureFixture[str]) -> None:
    write_trial("ede-0000000a", 0, [[0.9]])
    assert main(["run", "--runs", str(run_dir.parent)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"report: {run_dir / 'report' / 'report.html'}"
    assert main(["rum", "--runs", str(run_dir.parent)]) == 2
    assert "did you mean 'run'?" in capsys.readouterr().err


def test_the_files_state_the_same_sentences(written: ReportPaths, two_methods: Path) -> None:
    run = Run.load(two_methods)
    estimates, choices = Estimates(run), choices_of(run)
    for note in notes(run, estimates, choices):
        assert escape(note) in written.report.read_text(encoding="utf-8")
        assert note in html.unescape(written.page.read_text(encoding="utf-8"))
    workbook = openpyxl.load_workbook(written.report.parent / "tables.xlsx")
    cells = {row[0].value: row[1].value for row in workbook["read-me"].iter_rows()}
    assert cells["how chosen"] == selection(choices)
    for name, value in what_ran(run):
        assert f"| {escape(name)} | {escape(value)} |" in written.report.read_text(encoding="utf-8")
        assert f'<th scope="row">{name}</th><td>{value}</td>' in written.page.read_text(encoding="utf-8")
        assert cells[name] == value
    assert escape(methods_caption(run, "n chains")) in (written.report.parent / "methods.md").read_text()
    assert latex_escape(methods_caption(run, "2 seeds")) in (written.report.parent / "methods.tex").read_text()


def test_facts_of_the_provenance_and_of_cached_sessions(run_dir: Path, write_trial: WriteTrial) -> None:
    record = write_trial("ede-0000000a", 0, [[0.9], [0.8, 0.6]], backbone="small")
    cached = record.sessions[0].model_copy(update={"cached": True, "seconds": 30.0})
    record.model_copy(update={"sessions": (cached, record.sessions[1])}).save(run_dir / "trials" / record.trial)
    write_trial("icarl-0000000b", 0, [[0.9], [0.8, 0.6]])
    (run_dir / "sweep.json").write_text('{"made": {"began": "2026-01-01 10:00 UTC", "seconds": 240, "commit": "abc+"}}')
    run = Run.load(run_dir)
    facts = dict(what_ran(run))
    assert facts["sessions"] == "4: 3 computed in 4 s, 1 cached (saved 30 s)"
    assert [value for name, value in what_ran(run) if name == "backbone"] == ["small", "tiny"]
    assert facts["front end"] == "kaldi"
    assert (facts["began"], facts["wall time"], facts["code"]) == ("2026-01-01 10:00 UTC", "4 min", "abc+")


def test_what_an_upsampled_corpus_lacks_is_a_fact(run_dir: Path, write_trial: WriteTrial) -> None:
    record = write_trial("ede-0000000a", 0, [[0.9], [0.8, 0.6]])
    assert "sample rate" not in dict(what_ran(Run.load(run_dir)))
    record.model_copy(update={"upsampled": (16_000, 48_000)}).save(run_dir / "trials" / record.trial)
    write_trial("icarl-0000000b", 0, [[0.9], [0.8, 0.6]])
    facts = dict(what_ran(Run.load(run_dir)))
    assert facts["sample rate"] == "16000 Hz; the backbone's is 48000 Hz: the clips have nothing above 8000 Hz"


def test_a_changed_digit_of_the_ceilings_is_one_line(
    run_dir: Path, write_trial: WriteTrial, capsys: pytest.CaptureFixture[str]
) -> None:
    fingerprint = write_trial("ede-0000000a", 0, [[0.5], [0.5, 0.5]]).benchmark_fingerprint
    shared = {"fingerprint": fingerprint, "clips": [10] * 4, "shared": [[[0, 4], [1, 4]]]}
    path = run_dir / "ceilings.json"
    path.write_text(json.dumps(with_checksum(shared)).replace("[1, 4]", "[1, 5]"))
    assert main([str(run_dir)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}: checksum: expected ") and "delete it and resume the sweep" in line
    path.write_text(json.dumps(shared).replace("[1, 4]", "[1, 4"))
    assert main([str(run_dir)]) == 2
    assert f"error: {path}: expected JSON" in capsys.readouterr().err
