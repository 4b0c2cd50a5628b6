"""Names in a configuration: methods, search spaces, benchmarks."""

import json
import re
from pathlib import Path

import pytest

from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.inputs import check_inputs, find_benchmark
from orchestrator.tuning.plan import find_spaces, make_plan
from trainables.store.layout import address_of


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


def test_a_name_that_another_sweep_has_is_found_at_once(tones: Path, tmp_path: Path) -> None:
    command = ["--benchmark", str(tones), "--runs", str(tmp_path), "--name", "mine", "--method", "simplecil"]
    config = parse(command)
    what = {**config.what(), "benchmark": Shards(tones).manifest.fingerprint, "spaces": []}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "sweep.json").write_text(json.dumps({"what": what}))
    check_inputs(parse([*command, "--workers", "3"]))
    for other, key in ((["--seeds", "7"], "seeds"), (["--method", "slda"], "method"), (["--shot", "2"], "protocol")):
        with pytest.raises(EarshotError, match=rf"mine: holds another sweep \({key}: .*; choose another --name$"):
            check_inputs(parse([*command, *other]))


def test_names_of_runs_are_short_and_the_same_sweep_has_the_same(tones: Path, tmp_path: Path) -> None:
    def run(*more: str) -> str:
        config = parse(["--benchmark", str(tones), "--protocol", "free", "--runs", str(tmp_path), *more])
        return make_plan(config, find_spaces(config), find_benchmark(config)).folder.path.name

    methods = ["--method", "mfcc-ncm", "--method", "simplecil", "--method", "slda", "--backbone", "random-tiny"]
    assert re.fullmatch(rf"{tones.name}-mfcc-ncm-[0-9a-f]{{6}}", run("--method", "mfcc-ncm"))
    short = run(*methods)
    assert re.fullmatch(rf"{tones.name}-mfcc-ncm\+2-[0-9a-f]{{6}}", short)
    assert run(*methods, "--workers", "2") == short and run(*methods, "--seeds", "2") != short
    config = parse(["--benchmark", str(tones), "--protocol", "free", "--runs", str(tmp_path), *methods])
    digest = address_of(make_plan(config, find_spaces(config), find_benchmark(config)).what)
    assert digest.startswith(short[-6:])
    earlier = f"{tones.name}-mfcc-ncm+simplecil+slda-free-{digest[:8]}"
    (tmp_path / earlier / "trials").mkdir(parents=True)
    assert run(*methods) == earlier
