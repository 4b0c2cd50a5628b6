"""The command line of a sweep: precedence of its sources, the run that `--resume` finds, the output format."""

import json
from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from orchestrator.tuning.arguments import parse, parser, resume_command, shows_json
from orchestrator.tuning.config import SweepConfig


def write_run(folder: Path, **settings: object) -> Path:
    """A run folder with the configuration that it was started with."""
    config = SweepConfig.model_validate({"runs": str(folder.parent), **settings})
    folder.mkdir(parents=True)
    stored = {"what": config.what(), "where": config.model_dump(mode="json")}
    (folder / "sweep.json").write_text(json.dumps(stored))
    return folder


def test_the_command_line_overrides_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "benchmark: data/ls100\nprotocol: {name: ffcac-50, shot: 1}\nseeds: 5\nshare: false\ndry_run: true\n"
    )
    config = parse(["--config", str(path), "--seeds", "2", "--class-order", "seeded", "--no-dry-run"])
    assert (config.benchmark, len(config.seeds), config.search) == ("data/ls100", 2, "tpe")
    assert (config.share, config.dry_run) == (False, False)
    assert (config.protocol.shot, config.protocol.sessions, config.protocol.class_order) == (1, 10, "seeded")
    assert parse(["--config", str(path), "--share"]).share


def test_options_of_the_protocol_change_the_named_one() -> None:
    assert parse(["--protocol", "ffcac-50", "--shot", "1"]).protocol.name == "ffcac-50-changed"
    assert parse(["--class-order", "3,1,2"]).protocol.class_order == (3, 1, 2)
    assert parse(["--base-shot", "all"]).protocol.base_shot == "all"
    assert parse(["--class-order", "seeded"]).protocol.name == "ffcac-25"
    with pytest.raises(EarshotError, match=r"^protocol: 'ffcac25' is not known; did you mean 'ffcac-25'\?$"):
        parse(["--protocol", "ffcac25", "--shot", "3"])


def test_resume_finds_a_name_in_the_given_folder_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "runs" / "mine", seeds=1)
    write_run(tmp_path / "other" / "mine", seeds=2)
    monkeypatch.chdir(tmp_path)
    assert len(parse(["--resume", "mine"]).seeds) == 1
    config = parse(["--resume", "mine", "--runs", "other"])
    assert (len(config.seeds), config.runs, config.name) == (2, tmp_path / "other", "mine")
    with pytest.raises(EarshotError, match=r"mind: expected a run folder .* in other/.*; did you mean 'mine'"):
        (tmp_path / "other" / "mine" / "trials").mkdir()
        parse(["--resume", "mind", "--runs", "other"])


def test_a_resumed_run_stays_in_its_folder(tmp_path: Path) -> None:
    """`--runs` says where to look for a name; it does not move a run that is given by its path."""
    run = write_run(tmp_path / "runs" / "mine", seeds=2, budget=60)
    config = parse(["--resume", str(run), "--runs", str(tmp_path / "elsewhere"), "--workers", "3"])
    assert (config.runs, config.name, config.workers, config.budget) == (tmp_path / "runs", "mine", 3, None)
    assert len(config.seeds) == 2


def test_the_cluster_of_a_resumed_run_is_named_by_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who can write a run folder would otherwise receive the user's token."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    run = write_run(tmp_path / "mine", address="10.0.0.1:6379")
    expected = (
        r"sweep\.json: the run used the Ray cluster 10\.0\.0\.1:6379, .* add --address 10\.0\.0\.1:6379 to join it"
    )
    for resume in (["--resume", str(run)], ["--resume", "mine", "--runs", str(tmp_path)]):
        with pytest.raises(EarshotError, match=expected):
            parse(resume)
        for address in ("local", "10.0.0.1:6379", "10.0.0.2:6379"):
            assert parse([*resume, "--address", address]).address == address
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    with pytest.raises(EarshotError, match=expected):
        parse(["--resume", str(run)])
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert parse(["--resume", str(run)]).address == "10.0.0.1:6379"
    assert resume_command(run, SweepConfig(address="10.0.0.1:6379")).endswith(f" {run} --address 10.0.0.1:6379")
    assert resume_command(run, SweepConfig()) == f"earshot sweep --resume {run}"


def test_the_code_of_a_resumed_run_is_named_by_the_user(tmp_path: Path) -> None:
    """Anyone who can write a run folder could otherwise run code as the user who resumes the run."""
    run = write_run(tmp_path / "mine", backbone="/data/encoder.py:encoder")
    with pytest.raises(EarshotError, match=r"sweep\.json: .* add --backbone /data/encoder\.py:encoder$"):
        parse(["--resume", str(run)])
    assert parse(["--resume", str(run), "--backbone", "mine:encoder"]).backbone == ("mine:encoder",)
    assert (
        resume_command(run, SweepConfig(backbone=("a b.py:f", "tiny@layer=2")))
        == f"earshot sweep --resume {run} --backbone 'a b.py:f' --backbone tiny@layer=2"
    )
    assert parse(["--resume", str(write_run(tmp_path / "other", backbone="owner/name"))]).backbone == ("owner/name",)


def test_the_revision_of_remote_code_is_named_by_the_user(tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine", backbone="folder", trust_remote_code="local")
    named = ["--backbone", "folder", "--trust-remote-code", "local"]
    for given in ([], named[:2], named[2:]):
        with pytest.raises(EarshotError, match=r"sweep\.json: .* add --backbone folder --trust-remote-code local$"):
            parse(["--resume", str(run), *given])
    config = parse(["--resume", str(run), *named])
    assert config.backbones[0].trust_remote_code == "local"
    assert resume_command(run, config) == f"earshot sweep --resume {run} --backbone folder --trust-remote-code local"
    plain = write_run(tmp_path / "plain", backbone="/tmp/other")  # only the run names it
    with pytest.raises(EarshotError, match=r"add --backbone /tmp/other$"):
        parse(["--resume", str(plain), *named[2:]])
    of_one = write_run(tmp_path / "other", backbone=["folder@trust_remote_code=local", "earshot-tiny"])
    with pytest.raises(EarshotError, match=r"add --backbone folder@trust_remote_code=local --backbone earshot-tiny$"):
        parse(["--resume", str(of_one)])
    with pytest.raises(EarshotError, match="trust_remote_code"):
        parse(["--trust-remote-code", "main"])
    with pytest.raises(EarshotError, match="of several backbones, give it to one: NAME@trust_remote_code="):
        parse([*named, "--backbone", "earshot-tiny"])


def test_resume_without_a_stored_configuration(tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine")
    (run / "sweep.json").write_text("{}")
    with pytest.raises(EarshotError, match=r"sweep\.json: does not contain the configuration of the run"):
        parse(["--resume", str(run)])
    with pytest.raises(EarshotError, match=r"--resume: .* takes no --config"):
        parse(["--resume", str(run), "--config", "x.yaml"])


@pytest.mark.parametrize(
    ("arguments", "file", "expected"),
    [
        ([], "{}", False),
        (["--json"], "{}", True),
        ([], "show: json", True),
        (["--verbose"], "show: json", False),
        (["--json", "--seeds", "0"], "{}", True),
        (["--json"], "- not settings", True),  # the error itself is an event
        ([], "- not settings", False),
    ],
)
def test_json_is_known_before_the_settings_are_valid(
    arguments: list[str], file: str, expected: bool, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(file)
    assert shows_json(parser().parse_args([*arguments, "--config", str(path)])) is expected


def test_paths_are_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(["--runs", "s3://bucket/runs"])
    assert "argument --runs: expected a path on this machine" in capsys.readouterr().err
