"""All commands: their name in the help, suggestions, completion in a real bash, exit statuses."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from orchestrator.__main__ import COMMANDS, EXIT_STATUSES, completion, main
from orchestrator.results.run_folder import RunFolder
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.plan import find_benchmark
from trainables.methods.registry import find_method
from trainables.networks.backbones.ast import load_ast

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: earshot {command} ")
    assert f"    earshot {command} " in printed.split("options:")[0], "an example"
    assert "python -m" not in printed


def test_help_is_the_same_when_a_command_is_run_as_a_module() -> None:
    module = [sys.executable, "-m", "orchestrator.stages", "--help"]
    printed = subprocess.run(module, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.startswith("usage: earshot stages ")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str) -> None:
    parser = importlib.import_module(COMMANDS[command][0]).parser()
    assert [action.option_strings for action in parser._actions if not action.help and action.option_strings] == []


def test_help_lists_all_commands_and_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([])
    printed = capsys.readouterr().out
    assert printed.startswith("usage: earshot COMMAND [options]\n")
    assert all(f"  {name} " in printed and text in printed for name, (_, text) in COMMANDS.items())
    statuses = " ".join(printed.split("exit statuses:")[1].split("options:")[0].split())
    assert statuses == " ".join(f"{status} {text}" for status, text in EXIT_STATUSES.items())
    assert list(EXIT_STATUSES) == [0, 1, 2, 3, 129, 130, 143]
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("earshot 0.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["swep"], "no command 'swep'; did you mean 'sweep'?"),
        (["completion", "cmd"], "completion: expected one of bash, zsh"),
        (["sweep", "--protocol", "ffcac25", "--dry-run"], "did you mean 'ffcac-25'?"),
        (["sweep", "--method", "simplecl", "--dry-run"], "did you mean 'simplecil'?"),
        (["audit", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sweep", "--protocl", "fcac"], "no option --protocl; did you mean '--protocol'?"),
        (["prepare", "nsynt100"], "no 'nsynt100'; did you mean 'nsynth100'?"),
        (["prepare", "demo", "--out", "x", "--clips-per-clas", "3"], "did you mean '--clips-per-class'?"),
        (
            ["prepare", "folder", "--source", "x", "--out", "y", "--meta", "x"],
            "no option --meta; it is an option of fsc89, ls100-published, n",
        ),
        (
            ["prepare", "demo", "--out", "x", "--annotations", "y"],
            "no option --annotations; it is an option of fsd-mix-sed\n",
        ),
        (["prepare", "demo", "--out", "x", "--versio"], "no option --versio; see --help"),
        (["stages", "ls", "--unused-for", "3d"], "no option --unused-for; it is an option of gc\n"),
        (["stages", "gcc"], "did you mean 'gc'?"),
        (["predict", "model"], "the following arguments are required: PATH"),
    ],
)
def test_bad_usage_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_suggestions() -> None:
    assert suggestion("nsynth10", ["ls100", "nsynth100", "nsynth400"]) == "did you mean 'nsynth100'?"
    assert suggestion("methods.ede.base_epoch", ["base_epochs", "base_lr"]) == "did you mean 'base_epochs'?"
    assert suggestion("xyz", ["a", "b"]) == "expected one of a, b"
    with pytest.raises(EarshotError, match="did you mean 'mfcc-ncm'"):
        find_method("mfcc-nmc")
    with pytest.raises(EarshotError, match="did you mean 'earshot-tiny'"):
        load_ast("earshot-tny", 98)


def test_names_of_folders_are_suggested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "nsynth100").mkdir(parents=True)
    (tmp_path / "data" / "nsynth100" / "manifest.json").touch()
    with pytest.raises(EarshotError, match="did you mean 'nsynth100'"):
        find_benchmark(parse(["--benchmark", "nsynth10"]))
    (tmp_path / "runs" / "first" / "trials").mkdir(parents=True)
    with pytest.raises(EarshotError, match="did you mean 'first'"):
        RunFolder.find("frist")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "earshot"
    path.write_text(completion("bash"))
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("earshot sw", "sweep"),
        ("earshot sweep --meth", "--method"),
        ("earshot sweep --method ed", "ede"),
        ("earshot sweep --protocol ffcac-1", "ffcac-100"),
        ("earshot sweep --backbone ears", "earshot-tiny"),
        ("earshot prepare fsc", "fsc89"),
        ("earshot stages ver", "verify"),
        ("earshot completion z", "zsh"),
    ],
)
def test_completion_in_a_real_bash(script: Path, words: str, expected: str) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    ask = f"""
        source {script}
        COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE="{words}"; COMP_POINT=${{#COMP_LINE}}
        function=$(complete -p earshot | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        $function earshot "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected], done.stderr


def test_a_reader_that_leaves_early_is_no_error() -> None:
    module = [sys.executable, "-m", "orchestrator", "completion", "zsh"]
    left = subprocess.Popen(["head", "-n", "1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    done = subprocess.run(module, stdout=left.stdin, stderr=subprocess.PIPE, text=True, check=False)
    assert left.stdin is not None
    left.stdin.close()
    left.wait()
    assert (done.returncode, done.stderr) == (0, "")
