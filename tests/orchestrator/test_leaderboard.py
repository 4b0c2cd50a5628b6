"""`earshot leaderboard`: rows of several people, what is checked, ranking, the page, concurrent writers."""

import json
import multiprocessing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from orchestrator.leaderboard import main
from orchestrator.publishing.leaderboard import add, parse, read
from orchestrator.publishing.run_results import results_of
from orchestrator.reporting.html.leaderboard import boards, leaderboard_page
from orchestrator.reporting.write import write_report
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimates
from tests.support.object_store import empty_bucket
from tests.support.run_folders import trial

HOSTILE = "<script>alert(1)</script>\x1b[31m"


def write_run(run: Path, **changes: Any) -> Path:
    """ede is better on validation clips, icarl on test clips; two chains each."""
    for seed, final in ((0, 0.5), (1, 0.7)):
        trial(run, "ede-0000000a", seed, [[0.9], [0.8, final]], val=[[0.8], [0.8, 0.8]], **changes)
        trial(run, "icarl-0000000b", seed, [[1.0], [1.0, final]], val=[[0.6], [0.6, 0.6]], **changes)
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


@pytest.fixture
def board(tmp_path: Path, run: Path) -> Path:
    """A leaderboard with that run."""
    file = tmp_path / "board" / "board.jsonl"
    assert main(["add", str(run), "--to", str(file), "--by", "A. Author"]) == 0
    return file


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="ascii").splitlines()]


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_a_row_has_the_numbers_of_the_report(board: Path, run: Path) -> None:
    ede, icarl = lines(board)
    assert (ede["method"], icarl["method"], ede["by"]) == ("ede", "icarl", "A. Author")
    content = json.loads((write_report(run).report.parent / "results.json").read_bytes())
    entry = next(c for c in content["configurations"] if c["method"] == "ede")
    of_head = entry["estimates"]["prototype"]
    assert ede["aa"] == of_head["test"]["chain"]["aa"] and ede["validation_aa"] == of_head["val"]["chain"]["aa"]
    assert ede["pd"] == of_head["test"]["chain"]["pd"]
    assert ede["forgetting"] == of_head["test"]["chain"]["forgetting"]
    assert [chain["aa"] for chain in ede["chains"]] == [0.775, 0.825] and ede["protocol"] == content["protocols"][0][
        "hash"
    ]
    assert board.read_bytes().isascii() and [path.name for path in board.parent.iterdir()] == [board.name]


def test_ranked_by_validation_accuracy_with_test_accuracy_beside(
    board: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(board)]) == 0
    printed = capsys.readouterr().out
    assert printed.index("ede") < printed.index("icarl")  # 80 > 60 on validation, 80 < 90 on test
    assert "80.0 ± 3.5" in printed and "90.0 ± 7.1" not in printed and "Ranked by the mean AA on validation" in printed
    assert main(["check", str(board)]) == 0 and "2 rows, no problem" in capsys.readouterr().out


def test_the_same_run_again_adds_nothing(board: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = board.read_bytes()
    assert main(["add", str(run), "--to", str(board), "--by", "Someone else"]) == 0
    assert "2 rows of this run" in capsys.readouterr().out and board.read_bytes() == before


def test_other_protocols_and_tracks_are_other_tables(board: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", benchmark_fingerprint="e" * 64)
    for seed in range(2):
        trial(
            other, "tape-like-0000000c", seed, [[1.0], [1.0, 1.0]], benchmark_fingerprint="e" * 64, track="transductive"
        )
    before = board.read_text(encoding="ascii").splitlines()
    assert main(["add", str(other), "--to", str(board), "--by", "B"]) == 0
    tables = boards(read(Location.of(board)))
    assert sorted(len(table.cells) for table in tables) == [1, 2, 2]
    assert sum("transductive" in table.title for table in tables) == 1
    hashes = {table.title.split("protocol ")[1][:8] for table in tables}
    assert len(hashes) == 2
    after = board.read_text(encoding="ascii").splitlines()
    assert set(before) <= set(after) and len(after) == 5  # a reviewer sees three new lines


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"aa": {"mean": 0.9}}, "line 1: aa.mean: expected 0.8, computed from its chains, found 0.9"),
        ({"aa": {"high": 0.9}}, "line 1: aa.high: expected 1.0, computed from its chains, found 0.9"),
        ({"pd": {"n": 5}}, "line 1: pd.n: expected 2"),
        ({"protocol": "00000000"}, "line 1: protocol: expected "),
        ({"rules": {"name": "x", "way": 2, "shot": 500}}, "line 1: protocol: expected "),
        ({"protocol": "0000"}, "line 1: protocol: String should match"),
        ({"schema_version": 2}, "line 1: schema_version: Input should be 1"),
        ({"rank": 1}, "line 1: rank: Extra inputs"),
        ({"by": "A\u202eB"}, "line 1: by: expected printable"),
        ({"seconds": float("nan")}, "line 1: seconds: Input should be a finite number"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_edited_row_is_named(
    board: Path, change: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = lines(board)
    for key, value in change.items():
        merged = {**rows[0][key], **value} if isinstance(value, dict) and key != "rules" else value
        rows[0][key] = merged
    write(board, rows)
    assert main(["show", str(board)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert main(["check", str(board)]) == 1
    assert message in capsys.readouterr().out


def test_edited_chains_need_edited_means(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = lines(board)
    rows[1]["chains"][0]["validation_aa"] = 0.99
    write(board, rows)
    assert main(["show", str(board)]) == 2
    assert "line 2: validation_aa.mean" in capsys.readouterr().err


def test_duplicates_other_forms_and_other_orders(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = lines(board)
    for content, reason in (
        ([rows[0], rows[0], rows[1]], "line 2: expected different rows, found that of line 1 again"),
        ([rows[1], rows[0]], "line 1: expected rows sorted by"),
        ([rows[0], dict(reversed(rows[1].items()))], "line 2: expected the keys, their order"),
    ):
        write(board, content)
        assert main(["check", str(board)]) == 1
        assert reason in capsys.readouterr().out
    board.write_text("not JSON\n\n", encoding="utf-8")
    assert main(["check", str(board)]) == 1
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == ["line 1", "line 2"]


def test_other_values_of_the_same_chains(board: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    for seed in range(2):
        trial(again, "ede-0000000a", seed, [[0.9], [0.9, 0.9]], val=[[0.8], [0.8, 0.8]])
    before = board.read_bytes()
    found = Run.load(again)
    results = results_of(found, Estimates(found))
    with pytest.raises(EarshotError, match=r"other values for the same chains; nothing was written"):
        add(Location.of(board), results, "A. Author")
    assert board.read_bytes() == before
    add(Location.of(board), results, "B. Author")  # has computed it on another machine
    assert [row["by"] for row in lines(board) if row["method"] == "ede"].count("B. Author") == 1


def test_equal_seeds_need_equal_draws(board: Path, tmp_path: Path) -> None:
    def with_draw(run: Path, configuration: str, draw: str) -> Path:
        for seed in range(2):
            trial(run, configuration, seed, [[0.9], [0.9, 0.9]], draw=draw)
        return run

    first = with_draw(tmp_path / "first", "slda-0000000a", "a" * 16)
    other = with_draw(tmp_path / "second", "klda-0000000a", "b" * 16)
    assert main(["add", str(first), "--to", str(board), "--by", "A"]) == 0
    assert main(["add", str(other), "--to", str(board), "--by", "A"]) == 2
    assert {row["method"] for row in lines(board)} == {"ede", "icarl", "slda"}


def test_what_is_not_finished_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run")
    trial(run, "der-0000000d", 0, [[0.9]], planned=2)
    file = tmp_path / "board.jsonl"
    assert main(["add", str(run), "--to", str(file), "--by", "A"]) == 0
    assert "left out der: no configuration of it has finished all chains" in capsys.readouterr().out
    only = tmp_path / "only"
    trial(only, "der-0000000d", 0, [[0.9]], planned=2)
    assert main(["add", str(only), "--to", str(tmp_path / "none.jsonl"), "--by", "A"]) == 2
    assert "expected a method with finished chains" in capsys.readouterr().err
    assert not (tmp_path / "none.jsonl").exists()


def test_in_a_bucket(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with empty_bucket("boards") as bucket:
        assert main(["add", str(run), "--to", f"{bucket}/board.jsonl", "--by", "A"]) == 0
        assert main(["check", f"{bucket}/board.jsonl"]) == 0
    assert "2 rows, no problem" in capsys.readouterr().out


class Tags(HTMLParser):
    """Names of the elements of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_hostile_text_is_text(tmp_path: Path, board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = lines(board)
    for number, row in enumerate(rows):
        row |= {"method": f"{number}{HOSTILE}", "benchmark": HOSTILE, "settings": {HOSTILE: '"onload="x'}, "by": "<b>"}
        row["backbone"]["id"] = "'><img src=x>"
    write(board, rows)
    page = tmp_path / "page.html"
    assert main(["show", str(board), "--html", str(page)]) == 0
    assert "\x1b" not in capsys.readouterr().out
    tags = Tags()
    tags.feed(page.read_text(encoding="utf-8"))
    assert not {"script", "img", "b"} & set(tags.names)
    assert any("0<script>alert(1)</script>" in text for text in tags.text)
    assert "default-src 'none'" in page.read_text(encoding="utf-8")


def test_a_page_of_no_rows_and_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(b"") == ([], []) and "<section>" not in leaderboard_page([], "Leaderboard")
    assert main(["show", str(tmp_path / "none.jsonl")]) == 2
    assert "no such file; expected a leaderboard" in capsys.readouterr().err


def _add(run: Path, board: Path, by: str) -> None:
    assert main(["add", str(run), "--to", str(board), "--by", by]) == 0


def test_concurrent_writers_lose_nothing(tmp_path: Path) -> None:
    board = tmp_path / "board.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = []
    for number in range(3):
        run = write_run(tmp_path / f"run{number}", benchmark_fingerprint=str(number) * 64)
        writers.append(context.Process(target=_add, args=(run, board, f"writer {number}")))
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 3
    assert len(read(Location.of(board))) == 6
