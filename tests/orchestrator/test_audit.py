"""The audit finds exactly the defects of a benchmark with each defect once, and none in a clean benchmark."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets.benchmark.audit import Audit, examine
from datasets.benchmark.listing import Listing
from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from orchestrator.audit import listed_corpora, main, parser
from orchestrator.auditing import measure
from orchestrator.auditing.audit import audit
from orchestrator.auditing.files import format_markdown
from orchestrator.auditing.findings import KINDS, Finding, findings, merged_ceilings
from tests.support.audited_benchmarks import NAMES, write_clean

ROOT = Path(__file__).parents[2]

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def results(audited: Audit) -> dict[str, Finding]:
    return {finding.kind: finding for finding in findings(audited)}


def ids(audited: Audit, finding: Finding) -> list[str]:
    return [audited.clips.table.clip_ids[position] for position in finding.positions]


def test_exactly_the_planted_defects_are_found(audited: Audit, results: dict[str, Finding]) -> None:
    assert tuple(results) == KINDS
    assert {kind: ids(audited, finding) for kind, finding in results.items()} == {
        "labels": ["0-test-0", "0-train-0", "1-test-0", "1-val-1"],
        "splits": ["0-train-0", "1-val-1", "2-test-3", "2-train-0"],
        "similar": ["2-val-0"],
        "repeats": ["3-train-1"],
        "sources": ["5-test-0", "5-test-2"],
        "silent": ["4-test-1"],
        "clipped": ["5-train-2"],
        "loudness": [],
        "imbalance": [],
    }
    verdicts = {kind: finding.verdict for kind, finding in results.items()}
    assert verdicts == {
        "labels": "warning", "splits": "warning", "similar": "warning", "repeats": "note", "sources": "warning",
        "silent": "warning", "clipped": "warning", "loudness": "note", "imbalance": "note",
    }  # fmt: skip


def test_text_of_findings(results: dict[str, Finding]) -> None:
    assert {kind: (finding.result, finding.example) for kind, finding in results.items() if kind != "loudness"} == {
        "labels": ("4 clips, 1 pair of labels", "0=1"),
        "splits": ("1 test clip also in train; 1 val clip also in train", "2-train-0 = 2-test-3"),
        "similar": ("1 val clip as in train", "2-train-5 ~ 2-val-0"),
        "repeats": ("1 clip twice or more", "3-train-1"),
        "sources": ("1 of 23 in test; 2 of 24 test clips", "5/shared.wav (1 class)"),
        "silent": ("1 clip", "4-test-1 at -90.3 dBFS"),
        "clipped": ("1 clip", "5-train-2: 4 samples"),
        "imbalance": ("5 to 8, median 8", "base train: 1.6 times"),
    }
    assert results["clipped"].details == ("4 samples",) and results["sources"].details == ("5/shared.wav",) * 2
    assert results["loudness"].example.startswith(f"4 '{'f' * 31}…' to ")


def test_clean_benchmark_has_no_findings(clean: Path) -> None:
    result = audit(clean)
    assert [finding.verdict for finding in findings(result)] == ["ok"] * len(KINDS)
    assert result.ceiling == 1 and [ceiling.protocol for ceiling in result.ceilings] == ["ffcac-100", "fcac", "free"]


def test_without_groups_the_recordings_are_not_known_to_be_separate(tmp_path: Path, command: Command) -> None:
    code, out, _ = command(write_clean(tmp_path, grouped=False), "--fail-on", "any")
    assert code == 0
    assert re.search(
        r"recordings in train and test +no file is in both, but no groups of files were given +unknown", out
    )


def test_a_group_in_two_splits_is_a_warning_and_a_class_without_groups_is_named(clean: Path) -> None:
    facts = audit(clean)
    clips = facts.clips
    assert clips.groups is not None
    groups = list(clips.groups)
    groups[clips.table.clip_ids.index("2-test-1")] = "2/train"
    finding = sources_of(replace(clips, groups=tuple(groups)))
    assert (finding.verdict, finding.result) == ("warning", "1 of 7 groups in test; 1 of 24 test clips")
    assert [clips.table.clip_ids[position] for position in finding.positions] == ["2-test-1"]
    separate = [
        source if label == 3 else group
        for label, source, group in zip(clips.table.labels, clips.sources, clips.groups, strict=True)
    ]
    finding = sources_of(replace(clips, groups=tuple(separate)))
    assert (finding.verdict, finding.result) == (
        "unknown", "no file is in both, but no groups were given in 1 of 6 classes",
    )  # fmt: skip


def test_names_that_share_a_stem_are_listed(clean: Path) -> None:
    """As in ESC-10, in which `1-1000-A.wav` and `1-1000-B.wav` are parts of one recording."""
    clips = audit(clean).clips
    sources = list(clips.sources)
    for number, position in enumerate(np.flatnonzero(clips.table.labels == 1)):
        sources[position] = f"1/2-{1000 + number % 9}-{'AB'[number // 9]}.wav"
    finding = sources_of(replace(clips, sources=tuple(sources), groups=None))
    assert finding.verdict == "note" and finding.result.startswith("no groups were given: ")
    assert re.search(r"\d of 24 names in test share a stem with train; \d of 24 test clips", finding.result)
    first, second = finding.example.split(" and ")
    assert first[:-5] == second[:-5] and first != second and set(finding.details) <= {source[:-6] for source in sources}


def sources_of(clips: Listing) -> Finding:
    return next(finding for finding in findings(examine("x", clips)) if finding.kind == "sources")


def test_ceilings_of_the_protocols_that_fit(audited: Audit) -> None:
    """There are 24 test clips, and one of class 0 is identical to one of class 1."""
    assert audited.ceiling == 23 / 24
    ceilings = {ceiling.protocol: (ceiling.classes, ceiling.accuracy) for ceiling in audited.ceilings}
    assert ceilings == {
        "ffcac-100": ((5, 6), (19 / 20, 23 / 24)),
        "fcac": ((4, 6), (15 / 16, 23 / 24)),
        "free": ((4, 6), (15 / 16, 23 / 24)),
    }
    assert [names for names, _ in merged_ceilings(audited)] == ["ffcac-100", "fcac, free"]


def test_measures_on_ray_equal_those_of_one_process(
    planted: Path, audited: Audit, ray_up: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "SMALL", 0)
    counts: list[int] = []
    measures = measure.measure_clips(Shards(planted), listener=counts.append)
    assert audited.measures is not None and counts[-1] == len(audited.clips.table) and counts == sorted(counts)
    for name in ("contents", "rms_db", "clipped"):
        np.testing.assert_array_equal(getattr(measures, name), getattr(audited.measures, name))


def test_damaged_clip_is_reported_by_one_process_and_by_workers(
    clean: Path, tmp_path: Path, ray_up: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shards").mkdir()
    for path in clean.rglob("*.*"):
        content = bytearray(path.read_bytes())
        if path.name == "00001.parquet":
            at = content.index(b"fLaC", len(content) // 3)
            content[at : at + 4] = b"xxxx"
        (tmp_path / path.relative_to(clean)).write_bytes(content)
    for small in (measure.SMALL, 0):
        monkeypatch.setattr(measure, "SMALL", small)
        with pytest.raises(
            EarshotError, match=r"00001\.parquet: not readable \(could not verify page .* prepare the benchmark again"
        ):
            audit(tmp_path)


# --- command line


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line; returns exit status, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:
            code = int(str(error.code))
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def test_printed_tables(command: Command, planted: Path) -> None:
    code, out, err = command(planted)
    assert (code, err) == (0, "") and len(out.splitlines()) < 25 and "written" not in out
    assert "planted: 6 classes, 81 clips of 0.1 s (train 45, val 12, test 24)" in out
    for line in (
        r"identical audio under two labels +4 clips, 1 pair of labels +0=1 +warning",
        r"all classes at once +6 +95.83",
        r"ffcac-100 +5 to 6 +95 95.83 +95.42",
    ):
        assert any(re.fullmatch(line + r"[ -]*", printed) for printed in out.splitlines()), line


@pytest.mark.parametrize(
    ("benchmark", "kinds", "code", "failed"),
    [
        ("planted", "any", 1, "labels, splits, similar, repeats, sources, silent, clipped, loudness, imbalance"),
        ("planted", "labels,clipped", 1, "labels, clipped"),
        ("planted", "imbalance, sources,", 1, "sources, imbalance"),
        ("clean", "imbalance", 0, ""),
        ("clean", "any", 0, ""),
    ],
)
def test_exit_status(
    command: Command, request: pytest.FixtureRequest, benchmark: str, kinds: str, code: int, failed: str
) -> None:
    status, _, err = command(request.getfixturevalue(benchmark), "--fail-on", kinds)
    assert status == code and err == (f"failed: findings matched --fail-on: {failed}\n" if failed else "")


def test_files(command: Command, planted: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    code, printed, _ = command(planted, "--out", out)
    assert code == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "audit.json", "audit.md", "audit.png", "audit.svg", "clips.csv",
    ]  # fmt: skip
    assert all(f"written: {path}" in printed for path in out.iterdir())
    content = json.loads((out / "audit.json").read_text())
    assert content["clips"] == {"train": 45, "val": 12, "test": 24} and content["with_audio"]
    assert {finding["kind"]: finding["clips"] for finding in content["findings"]} == {
        "labels": 4, "splits": 4, "similar": 1, "repeats": 1, "sources": 2, "silent": 1, "clipped": 1, "loudness": 0,
        "imbalance": 0,
    }  # fmt: skip
    assert content["label_pairs"] == [{"labels": [0, 1], "contents": 2, "clips": {"train": 1, "val": 1, "test": 2}}]
    assert [entry["name"] for entry in content["classes"]] == list(NAMES)
    rows = list(csv.DictReader(io.StringIO((out / "clips.csv").read_text())))
    assert len(rows) == 14
    assert rows[0] | {"detail": ""} == {
        "kind": "labels", "clip_id": "0-test-0", "split": "test", "label": "0", "class_name": NAMES[0], "detail": "",
    }  # fmt: skip
    same = [row["clip_id"] for row in rows if row["kind"] == "labels" and row["detail"] == rows[0]["detail"]]
    assert same == ["0-test-0", "1-test-0"]


def test_class_name_that_is_a_formula_is_quoted(
    audited: Audit, command: Command, tmp_path: Path, planted: Path
) -> None:
    command(planted, "--out", tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "clips.csv").read_text())))
    assert {row["class_name"] for row in rows if row["label"] == "2"} == {"'=1+1"}


def test_names_are_escaped_in_markdown(audited: Audit) -> None:
    page = format_markdown(audited, findings(audited))
    assert r"| 0 '&lt;b&gt;\$x\$&lt;/b&gt;' | 1 'b\|\*c\*' | 2 | 1 | 1 | 2 |" in page
    assert "![Ceilings" in page and "<b>" not in page


def test_lists_without_audio(command: Command, shared: Path, tmp_path: Path) -> None:
    meta = shared / "published" / "ls100"
    code, out, err = command(
        "ls100-published", "--meta", meta, "--protocol", "ffcac-25", "--fail-on", "labels", "--out", tmp_path
    )
    assert (code, err) == (1, "failed: findings matched --fail-on: labels\n")
    for line in ("12=13, 14=15, 17=18, 53=54, 92=93", "100 100 93.33 85 88", "from lists only", "need audio"):
        assert line in out
    assert "ffcac-50" not in out
    page = (tmp_path / "audit.md").read_text()
    assert "| 12 '19' | 13 '1926' | 750 | 1000 | 300 | 200 |" in page and "unknown without audio" in page
    assert len((tmp_path / "clips.csv").read_text().splitlines()) == 1 + 7500


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nowhere"], "error: nowhere: expected a prepared benchmark or one of .*ls100-published.*, found neither"),
        (["."], r"error: manifest.json: not found; expected a complete benchmark"),
        (["ls100-published"], "error: --meta: expected the folder of the lists"),
        (["ls100-published", "--meta", "nowhere"], "error: .*nowhere"),
        (["PLANTED", "--protocol", "ffcac"], "error: protocol 'ffcac': not known; did you mean 'f?fcac.*"),
        (
            ["PLANTED", "--protocol", "ffcac-25"],
            "error: protocol ffcac-25: does not fit this .*: needs 25 classes .*has 6; leave",
        ),
        (
            ["PLANTED", "--order-seed", str(2**63)],
            "(?s).*--order-seed: .*less than 9223372036854775808, found",
        ),
        (["PLANTED", "--order-seed", "-1"], "(?s).*--order-seed: .*greater than or equal to 0, found '-1'"),
        (
            ["nowhere", "--out", "s3://key:secret@x/y"],
            "(?s).*--out: expected a path on this machine, found a URI, .*$",
        ),
        (["nowhere", "--out", ""], "(?s).*--out: expected a path on this machine, found nothing$"),
        (["PLANTED", "--fail-on", ","], "(?s).*--fail-on: expected any or some of labels, .* found ','"),
        (["PLANTED", "--out", "FILE/x"], "error: .*/x: expected a folder to write to, found: "),
        (["PLANTED", "--fail-on", "label"], "(?s).*--fail-on: expected any or some of labels, .* found 'label'"),
        (["PLANTED", "--workers", "0"], "(?s).*--workers: .*greater than or equal to 1, found '0'"),
        (["PLANTED", "--meta", "x"], "error: no option --meta; .*"),
        ([], "(?s).*BENCHMARK"),
    ],
)
def test_errors_are_one_line_and_status_2(
    command: Command, planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FILE").touch()
    code, out, err = command(*(planted if word == "PLANTED" else word for word in arguments))
    assert (code, out) == (2, "")
    assert re.match(error, err) and "Traceback" not in err and "secret" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


def test_exception_has_another_exit_status_than_a_defect(
    command: Command, planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.audit.findings", lambda result: 1 / 0)
    code, _, err = command(planted, "--fail-on", "any")
    assert code == 2 and err.rstrip().endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize("reader", ["all", "none"])
def test_ascii_terminal_and_closed_pipe_do_not_change_the_exit_status(planted: Path, reader: str) -> None:
    """The output contains "±", which ASCII cannot encode, and the exit status is that of a defect."""
    words = [sys.executable, "-m", "orchestrator.audit", str(planted), "--protocol", "fcac", "--fail-on", "labels"]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, env={**os.environ, "PYTHONIOENCODING": "ascii"}, cwd=ROOT, **pipe)
    if reader == "none":
        process.stdout.close()
        assert process.stderr.read() == "failed: findings matched --fail-on: labels\n"
    else:
        out, err = process.communicate()
        assert "within a class ?" in out and err == "failed: findings matched --fail-on: labels\n"
    assert process.wait() == 1


def test_fail_on_a_check_that_needs_audio_is_rejected_for_lists(command: Command, shared: Path) -> None:
    code, _, err = command("nsynth100", "--meta", shared / "published" / "nsynth", "--fail-on", "silent")
    assert code == 2
    assert err == "error: --fail-on silent: expected audio, found only lists; audit the prepared benchmark\n"


def test_seeded_class_order(command: Command, planted: Path) -> None:
    steps = {
        next(line for line in command(planted, "--protocol", "ffcac-100", "--order-seed", seed)[1].splitlines()
             if line.startswith("ffcac-100"))
        for seed in range(6)
    }  # fmt: skip
    assert {" ".join(line.split()[4:6]) for line in steps} == {"95 95.83", "100 95.83"}


@pytest.mark.parametrize("name", sorted(listed_corpora()))
def test_help_of_every_published_list_has_its_options(name: str, command: Command) -> None:
    code, out, _ = command(name, "--help")
    assert code == 0 and f"options of {name}" in out and "--meta" in out
    assert "protocol" not in parser().parse_args(["x"])
