"""A corpus in a file of the user's own, and a preset in a file: prepared by the workers of Ray."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.benchmark.manifest import Manifest
from datasets.utils.errors import EarshotError
from orchestrator import prepare
from tests.support.outside_code import write_examples

CODE = "mycorpus.py:MyCorpus"
PRESET = """\
corpus: folder
summary: three birds
source: one folder per bird
options: {clip_seconds: 0.4}
protocol: --protocol free
classes: 3
licence: CC0
citation: ours
url: https://example.org
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_examples(tmp_path / "project")
    for bird in ("owl", "robin", "wren"):
        (folder / "birds" / bird).mkdir(parents=True)
        for index in range(10):
            wave = np.random.default_rng(index).uniform(-0.1, 0.1, 8_000)
            soundfile.write(folder / "birds" / bird / f"{index}.wav", wave, 16_000)
    (folder / "mypreset.yaml").write_text(PRESET)
    monkeypatch.chdir(folder)
    return folder


def test_a_corpus_and_a_preset_in_files(
    project: Path, ray_up: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [CODE, "--source", "birds", "--out", str(tmp_path / "made"), "--clip-seconds", "0.3"]
    assert prepare.main(arguments) == 0
    manifest = Manifest.load(tmp_path / "made")
    assert (manifest.corpus, manifest.num_samples, manifest.clips.total) == ("my-corpus", 4_800, 30)
    assert prepare.main(arguments) == 0
    assert "nothing to do" in capsys.readouterr().err

    with (project / "mycorpus.py").open("a") as file:
        file.write("# edited\n")
    assert prepare.main(arguments) == 2
    assert "code" in capsys.readouterr().err
    assert prepare.main([*arguments, "--force"]) == 0
    assert "3 computed, 0 cached" in capsys.readouterr().out

    assert prepare.main(["./mypreset.yaml", "--source", "birds", "--out", str(tmp_path / "preset")]) == 0
    assert Manifest.load(tmp_path / "preset").corpus == "folder"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.py:MyCorpus", "corpus '{here}/nowhere.py:MyCorpus': no such file"),
        ("mycorpus.py:Other", "corpus '{here}/mycorpus.py:Other': {here}/mycorpus.py has no class Other"),
        ("mymethod.py:MyLearner", "corpus '{here}/mymethod.py:MyLearner': expected a class that inherits"),
        ("nowhere.yaml", "nowhere.yaml: no such file"),
    ],
)
def test_what_is_no_corpus_is_one_line(
    name: str, message: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare.main([name, "--source", "birds", "--out", "made"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message.format(here=project)}") and error.count("\n") == 1
    assert not (project / "made").exists()


def test_a_name_of_earshot(project: Path) -> None:
    code = (project / "mycorpus.py").read_text()
    (project / "mycorpus.py").write_text(code.replace('"my-corpus"', '"folder"'))
    with pytest.raises(EarshotError, match="name: 'folder' is a corpus of Earshot; choose another name"):
        prepare.parser(CODE)
