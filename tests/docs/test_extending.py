"""The method and the corpus of docs/extending.md; its networks are run by test_backbones.py, its entry points by
tests/orchestrator/test_entry_points.py, its sweep and its corpus by tests/orchestrator/test_outside_*.py."""

import json
from pathlib import Path

import pytest

from orchestrator import check_method
from tests.support.outside_code import write_examples


def test_the_method_passes_every_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(write_examples(tmp_path))
    assert check_method.main(["mymethod.py:MyLearner", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["method"] == "mine" and len(document["checks"]) > 10
    (tmp_path / "mymethod.py").write_text((tmp_path / "mymethod.py").read_text().replace('"ours"', '""'))
    assert check_method.main(["mymethod.py:MyLearner"]) == 1
    output = capsys.readouterr().out
    assert "declaration" in output and "failed" in output and "paper" in output
