"""The unknown score of a run: AUROC by session and of a chain, in tables and reports; earlier runs have none."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from datasets.utils.errors import EarshotError
from orchestrator.reporting.write import write_report
from orchestrator.results.run import Run
from tests.support.chain_runs import seeds, write_run
from trainables.records import TrialRecord


@pytest.fixture(scope="module")
def run_folder(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two chains of simplecil."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        write_run(root, tones, "simplecil", seeds=seeds(seed))
    return root / "it"


@pytest.fixture
def changed(run_folder: Path, tmp_path: Path) -> Path:
    """A copy of the trials to be changed."""
    for path in run_folder.glob("trials/*/*"):
        copy = tmp_path / "it" / path.relative_to(run_folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return tmp_path / "it"


def expected(folder: Path, session: int) -> float:
    """AUROC of the first seed after a session, by scikit-learn, from the files."""
    frame = pq.read_table(folder / f"session-0{session}.parquet").to_pandas()
    known = [scores[0] for scores in frame[frame["split"] == "test"]["top_scores"]]
    unknown = [scores[0] for scores in pq.read_table(folder / f"unknown-0{session}.parquet")["top_scores"].to_pylist()]
    return float(roc_auc_score([1] * len(known) + [0] * len(unknown), known + unknown))


def test_tables_have_the_auroc_of_each_session(run_folder: Path, tmp_path: Path) -> None:
    run = Run.load(run_folder)
    trial = min(run.trials)
    rows = run.sessions[run.sessions["trial"] == trial]
    test = rows[rows["split"] == "test"].set_index("session")["unknown_auroc"]
    values = [expected(run.folders[trial], session) for session in (0, 1)]
    assert [test[0], test[1]] == pytest.approx(values) and math.isnan(test[2])
    assert rows[rows["split"] == "val"]["unknown_auroc"].isna().all()
    chains = run.chains[run.chains["trial"] == trial].set_index("split")
    assert chains.loc["test", "unknown_auroc"] == pytest.approx(np.mean(values))
    report = write_report(run, tmp_path, formats=("svg",))
    text = report.report.read_text(encoding="utf-8")
    assert "## Classes still to come" in text and "| unknown AUROC | up |" in text
    with report.summary.open(newline="", encoding="utf-8") as file:
        (summary,) = csv.DictReader(file)
    means = [run.chains[run.chains["split"] == "test"]["unknown_auroc"].mean()]
    assert [float(summary["unknown_auroc_mean"])] == pytest.approx(means, abs=1e-5)
    with report.sessions.open(newline="", encoding="utf-8") as file:
        shown = [row["unknown_auroc_n"] for row in csv.DictReader(file) if row["split"] == "test"]
    assert shown == ["2", "2", "0"]


def rewrite(path: Path, **fields: object) -> None:
    """Changes a record's sessions as an earlier version, or another program, would have written them."""
    content = json.loads(path.read_text())
    content.pop("checksum", None)
    for session in content["sessions"]:
        for key in ("unknown", "unknown_sha256"):
            session.pop(key, None)
        session.update({key: value for key, value in fields.items() if session["index"] == 0})
    path.write_text(json.dumps(content))


def test_a_run_of_an_earlier_version_has_none(changed: Path) -> None:
    for folder in changed.glob("trials/*"):
        rewrite(folder / "trial.json")
        for path in folder.glob("unknown-*"):
            path.unlink()
    run = Run.load(changed)
    assert run.sessions["unknown_auroc"].isna().all() and run.chains["unknown_auroc"].isna().all()
    assert run.chains["aa"].notna().all()
    report = write_report(run, formats=("svg",)).report.read_text(encoding="utf-8")
    assert "Classes still to come" not in report


def write(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path)
    rewrite(path.parent / "trial.json", unknown=path.name)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", 0, "label: expected one of [2, 3, 4, 5], found 0"),
        ("prediction", 2, "prediction: expected one of [0, 1], found 2"),
        ("head", "linear", "head: expected one of ['prototype'], found 'linear'"),
        ("top_scores", [], "top_scores: expected at least one score in every row, found none"),
        ("top_scores", None, "top_scores: expected a value in every row, found empty ones"),
    ],
)
def test_inconsistent_files_are_one_line(changed: Path, column: str, value: object, message: str) -> None:
    path = next(iter(sorted(changed.glob("trials/*")))) / "unknown-00.parquet"
    table = pq.read_table(path)
    values = pa.array([value] * table.num_rows, table.schema.field(column).type)
    write(table.set_column(table.column_names.index(column), column, values), path)
    with pytest.raises(EarshotError) as caught:
        Run.load(changed)
    assert message in str(caught.value) and str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_a_missing_a_changed_and_a_foreign_file(changed: Path) -> None:
    path = next(iter(sorted(changed.glob("trials/*")))) / "unknown-01.parquet"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(
        EarshotError, match=r"unknown-01.parquet: expected the predictions of a finished session, found"
    ):
        Run.load(changed)
    path.write_bytes(content[:-1])
    with pytest.raises(EarshotError, match=r"unknown-01.parquet: expected SHA-256"):
        Run.load(changed)
    rewrite(path.parent / "trial.json", unknown="../unknown-00.parquet")
    with pytest.raises(EarshotError, match=r"unknown: expected a name like unknown-00.parquet, found '\.\./unknown"):
        Run.load(changed)
    rewrite(path.parent / "trial.json")
    assert TrialRecord.load(path.parent).sessions[0].unknown is None
