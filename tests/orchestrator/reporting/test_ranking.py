"""The methods of a run have one order in all outputs: by validation AA of the selected configuration."""

import io
import re
from pathlib import Path

import openpyxl
from rich.console import Console

from orchestrator.reporting.summary import summary_table
from orchestrator.reporting.write import write_report
from orchestrator.results.run import Run
from tests.orchestrator.conftest import WriteTrial

ORDER = ["mar", "anacp", "simplecil", "tape-like", "fecam"]
"""Ties are in the order of names; the method that has the highest accuracy of all is transductive, so it is apart."""


def test_one_order_in_all_outputs(write_trial: WriteTrial, tmp_path: Path) -> None:
    for seed in range(2):
        write_trial("simplecil-0000000a", seed, [[0.8], [0.7, 0.7]])
        write_trial("anacp-0000000b", seed, [[0.8], [0.7, 0.7]])
        write_trial("mar-0000000c", seed, [[0.9], [0.8, 0.8]])
        write_trial("tape-like-0000000d", seed, [[0.95], [0.95, 0.95]], track="transductive")
        write_trial("fecam-0000000e", seed, [[1.0]], track="transductive", planned=2)
    run, buffer = Run.load(tmp_path / "run"), io.StringIO()
    Console(file=buffer, width=120).print(summary_table(run, 120))
    written = write_report(run)
    report, folder = written.report.read_text(), written.report.parent
    by_method = re.compile(rf"^\W*({'|'.join(ORDER)})\b", re.MULTILINE)
    sheet = openpyxl.load_workbook(folder / "tables.xlsx")["methods"]
    page = re.findall(r'<tr[^>]*data-method="([\w-]+)"', (folder / "report.html").read_text())
    orders = {
        "console": by_method.findall(buffer.getvalue()),
        "report.md": by_method.findall(report.split("## Methods")[1].split("\n## ")[0]),
        "methods.md": by_method.findall((folder / "methods.md").read_text()),
        "methods.tex": by_method.findall((folder / "methods.tex").read_text()),
        "methods.csv": by_method.findall((folder / "methods.csv").read_text()),
        "tables.xlsx": [row[0].value for row in sheet.iter_rows(min_row=2)],
        "report.html": page,
    }
    assert orders == dict.fromkeys(orders, ORDER)
    assert "methods in descending order of it" in buffer.getvalue()
    assert "Methods in descending order of validation AA." in report
