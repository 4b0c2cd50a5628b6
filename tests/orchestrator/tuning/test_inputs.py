"""Names in a configuration: methods, search spaces, benchmarks."""

from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.inputs import check_inputs, find_benchmark


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "simplecl"], "method 'simplecl': not known; did you mean 'simplecil'?"),
        (["--space", "tabel"], "tabel: no such file, and no search space of that name; did you mean 'table'?"),
        (["--benchmark", "tons"], r"benchmark 'tons': no manifest\.json in tons nor in .*; did you mean 'tones'"),
        (["--benchmark", "../tones"], r"benchmark '\.\./tones': no manifest\.json"),
    ],
)
def test_unknown_names_are_one_line(
    arguments: list[str], message: str, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tones").symlink_to(tones)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EarshotError, match=message) as caught:
        check_inputs(parse(arguments))
    assert "\n" not in str(caught.value)


def test_valid_names(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tones").symlink_to(tones)
    monkeypatch.chdir(tmp_path)
    check_inputs(parse([]))  # the demo is prepared by the sweep
    check_inputs(parse(["--method", "mfcc-ncm", "--space", "table", "--benchmark", "tones"]))
    check_inputs(parse(["--benchmark", "s3://bucket/nowhere"]))  # not asked: that may take seconds
    assert find_benchmark(parse(["--benchmark", "tones"])).local == Path("data/tones")
    assert find_benchmark(parse(["--benchmark", str(tones)])).local == tones
