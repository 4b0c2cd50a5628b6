"""A method in a file that imports another: in a chain, in the workers of a sweep, reported, exported, in use."""

import json
import shutil
from pathlib import Path

import pytest
import ray

from datasets.utils.errors import EarshotError
from datasets.utils.own_code import find_code
from orchestrator import compare, export, predict, report, sweep
from tests.support.chain_runs import write_clips
from tests.support.outside_code import write_examples
from tests.support.sweep_processes import PROTOCOL, records
from trainables import chain
from trainables.chain_config import ChainConfig
from trainables.methods.registry import find_method, recorded_code
from trainables.records import TrialRecord

CODE = "mymethod.py:MyLearner"
CHAIN = """\
benchmark: {benchmark}
method: {method}
backbone: random-tiny
protocol: {{name: free, base: 2, way: 2, shot: 3}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: the method of the docs, whose exponent is in a file beside it."""
    folder = write_examples(tmp_path / "project")
    code = (folder / "mymethod.py").read_text()
    (folder / "mymethod.py").write_text("from beside import SIGN\n" + code.replace(": -(", ": SIGN * ("))
    (folder / "beside.py").write_text("SIGN = -1\n")
    monkeypatch.chdir(folder)
    return folder


def test_a_chain_is_computed_again_after_an_edit_of_what_the_method_imports(project: Path, tones: Path) -> None:
    (project / "chain.yaml").write_text(CHAIN.format(benchmark=tones, method=CODE))
    arguments = ["--config", "chain.yaml", "--out", "trial"]
    computed = []
    for edit in ("", "", "# edited\n"):
        with (project / "beside.py").open("a") as file:
            file.write(edit)
        assert chain.main(arguments) == 0
        computed.append([not session.cached for session in TrialRecord.load(project / "trial").sessions])
    assert computed == [[True] * 3, [False] * 3, [True] * 3]
    record = TrialRecord.load(project / "trial")
    assert record.method_code is not None
    assert (record.method, record.method_code.name, record.configuration[:5]) == ("mine", CODE, "mine-")


def test_workers_of_ray_run_it(project: Path, tones: Path, tmp_path: Path) -> None:
    folders = ["--benchmark", str(tones), "--runs", str(tmp_path), "--name", "run", "--backbone", "random-tiny"]
    assert sweep.main(["--method", CODE, "--seeds", "1", *PROTOCOL, *folders]) == 0
    (record,) = records(tmp_path)
    assert (record.method, record.status, len(record.sessions)) == ("mine", "finished", 3)
    assert record.method_code is not None and record.method_code.sha256 == find_code(CODE, "method").digest
    assert sweep.main(["--resume", "run", "--runs", str(tmp_path), "--method", CODE]) == 0
    (project / "beside.py").write_text("SIGN = -1  # edited\n")
    assert sweep.main(["--resume", "run", "--runs", str(tmp_path), "--method", CODE]) == 2, "other code, another sweep"


def test_a_sweep_its_report_its_export_and_predictions(
    project: Path, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (project / "mymethod.py").read_text()  # closed form, as SimpleCIL: the sweep runs in this process
    (project / "mymethod.py").write_text(code.replace("    version = 1\n", "    version = 1\n    closed_form = True\n"))
    (project / "space.yaml").write_text(f"methods: {{{CODE}: {{power: {{choice: [1.0, 2.0]}}}}, slda: {{}}}}")
    runs = tmp_path / "runs"
    folders = ["--benchmark", str(tones), "--runs", str(runs), "--name", "run", "--backbone", "random-tiny"]
    assert sweep.main(["--space", "space.yaml", "--seeds", "1", *PROTOCOL, *folders]) == 0
    assert [(record.method, record.status) for record in records(runs)] == [
        ("mine", "finished"),
        ("mine", "finished"),
        ("slda", "finished"),
    ]
    assert not ray.is_initialized()
    run = str(runs / "run")
    capsys.readouterr()
    assert sweep.main(["--resume", run]) == 2
    assert f"the run used the method of {CODE}, and code is not taken from a run folder" in capsys.readouterr().err
    assert sweep.main(["--resume", run, "--method", CODE]) == 0
    assert "0 sessions computed, 9 cached" in capsys.readouterr().out

    model, recording = str(tmp_path / "model"), str(next(iter(write_clips(tmp_path / "clips", tones).values())))
    assert export.main([run, "mine", "--out", model]) == 2
    assert f"code that a file names is not run; give it: --method {CODE}\n" in capsys.readouterr().err
    assert export.main([run, "mine", "--out", model, "--method", CODE]) == 0
    capsys.readouterr()
    assert predict.main([model, recording]) == 2
    assert f"give it: --method {CODE}\n" in capsys.readouterr().err
    assert predict.main([model, recording, "--method", CODE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["method"] == "mine"
    (project / "beside.py").write_text("SIGN = 1\n")
    assert predict.main([model, recording, "--method", CODE]) == 2
    assert "its code differs from that of" in capsys.readouterr().err

    shutil.rmtree(project)
    assert report.main([run]) == 0 and compare.main([run]) == 0
    assert "mine" in (runs / "run" / "report" / "report.md").read_text()


def test_a_space_in_a_run_folder_names_no_code_that_runs(
    project: Path, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the method nor the space of the folder, whatever `--method` is given."""
    ran = tmp_path / "ran"
    (project / "evil.py").write_text(f"open({str(ran)!r}, 'w')\n")
    for key, value in (("method", ["evil.py:Evil"]), ("space", str(project / "evil.yaml"))):
        (project / "evil.yaml").write_text("methods: {'evil.py:Evil': {}, simplecil: {}}")
        run = tmp_path / key
        run.mkdir()
        (run / "sweep.json").write_text(json.dumps({"where": {"benchmark": str(tones), key: value}}))
        for given in ([], ["--method", CODE]) if key == "space" else ([],):
            assert sweep.main(["--resume", str(run), *given]) == 2
            assert "evil.py:Evil, and code is not taken from a run folder; add" in capsys.readouterr().err
    assert not ran.exists()


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        ("", "", "method 'evil.py:Evil': not known; "),
        ("evil.py:Evil", "", "it: made with the method 'evil.py:Evil' of evil.py:Evil, and code that a file names is"),
        ("evil.py:Evil", CODE, "its code differs from that of it "),
    ],
)
def test_a_record_or_an_export_whose_method_is_code(source: str, given: str, message: str, project: Path) -> None:
    (project / "evil.py").write_text("open('ran', 'w')\n")
    with pytest.raises(EarshotError) as caught:
        recorded_code("evil.py:Evil", source, "0" * 64, given, "it")
    assert message in str(caught.value) and not (project / "ran").exists()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (('name = "mine"', 'name = "slda"'), "name: 'slda' is a method of Earshot; choose another name"),
        (('name = "mine"', 'name = "../up"'), "name: expected lower-case words with hyphens between, found '../up'"),
        (("version = 1", "version = 0"), "version: expected a whole number from 1, found 0"),
        (("def load(", "def load_it("), "expected definitions of load, found none"),
        (("class MyLearner(Learner)", "class MyLearner"), "expected a class that inherits trainables.learners."),
        (("import torch\n", "import no_such_module\n"), "cannot be imported: ModuleNotFoundError: No module named"),
    ],
)
def test_a_class_that_is_no_method_is_one_line(edit: tuple[str, str], message: str, project: Path) -> None:
    code = (project / "mymethod.py").read_text()
    assert edit[0] in code
    (project / "mymethod.py").write_text(code.replace(*edit, 1))
    with pytest.raises(EarshotError) as caught:
        find_method(CODE)
    assert str(caught.value).startswith(f"method '{project / CODE}': ") and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_methods_of_one_name(project: Path, tones: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("mymethod.py", "other.py")
    arguments = ["--method", CODE, "--method", "other.py:MyLearner", "--benchmark", str(tones), *PROTOCOL]
    assert sweep.main(arguments) == 2
    assert "both have the name 'mine'; give one another name\n" in capsys.readouterr().err


def test_the_configuration_has_the_name_and_the_code(project: Path) -> None:
    config = ChainConfig(benchmark="data/mine", method=CODE)
    assert (config.method, config.method_code) == ("mine", str(project / CODE))
    assert "method_code" not in ChainConfig(benchmark="data/mine", method="slda").model_dump()
