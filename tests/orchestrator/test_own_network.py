"""A network of the user's own in the workers of real sweeps: as a package and as a file, resumed, exported, in use."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import torch

from datasets.utils.errors import EarshotError
from datasets.utils.own_code import find_code
from orchestrator import export, predict, report, sweep
from orchestrator.cluster.session import start_ray
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.inputs import check_inputs
from tests.support.chain_runs import write_clips
from tests.support.sweep_processes import PROTOCOL, predictions, records

NETWORK = """\
import torch
from torch import nn


class Encoder(nn.Module):
    sample_rate, dim = 16_000, 16

    def __init__(self):
        super().__init__()
        self.bands = nn.Conv1d(1, 16, 400, stride=160)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True) for _ in range(2))

    def tokens(self, waves):
        return torch.log(self.bands(waves[:, None]).square() + 1e-6).transpose(1, 2)
"""
FACTORY = """\
from pathlib import Path

import torch

from lab.network import Encoder


def encoder():
    network = Encoder()
    network.load_state_dict(torch.load(Path(__file__).with_name("weights.pt"), weights_only=True))
    return network
"""
PACKAGE, FILE = "lab.encoders:encoder", "encoder.py:encoder"
SWEEP = ["--method", "simplecil", "--method", "ede", "--space", "space.yaml", "--seeds", "1", *PROTOCOL]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a package with a network, a file that imports it, and its weights beside both."""
    folder = tmp_path / "project"
    (folder / "lab").mkdir(parents=True)
    (folder / "lab" / "network.py").write_text(NETWORK)
    (folder / "space.yaml").write_text("methods: {simplecil: {}, ede: {base_epochs: 1, incremental_epochs: 1}}")
    made: dict[str, object] = {}
    exec(NETWORK, made)
    torch.manual_seed(0)
    weights = made["Encoder"]().state_dict()  # type: ignore[operator]
    for place in (folder, folder / "lab"):
        (place / ("encoder.py" if place == folder else "encoders.py")).write_text(FACTORY)
        torch.save(weights, place / "weights.pt")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def ray_elsewhere(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ray as a sweep starts it, but from another folder, which Ray itself makes known to its workers."""
    code = [find_code(PACKAGE)]
    monkeypatch.chdir(tmp_path)
    with start_ray(cpus=2, code=code):
        monkeypatch.chdir(project)
        yield


def test_sweeps_with_a_package_and_with_a_file(
    project: Path, ray_elsewhere: None, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    folders = ["--benchmark", str(tones), "--runs", str(runs)]
    assert sweep.main([*SWEEP, *folders, "--name", "run", "--backbone", PACKAGE]) == 0
    assert [(record.status, record.backbone) for record in records(runs)] == [("finished", PACKAGE)] * 2
    before = predictions(runs)

    assert sweep.main(["--resume", str(runs / "run")]) == 2
    assert f"code is not taken from a run folder; add --backbone {PACKAGE}\n" in capsys.readouterr().err
    assert sweep.main(["--resume", str(runs / "run"), "--backbone", PACKAGE]) == 0
    assert "0 sessions computed, 6 cached" in capsys.readouterr().out and predictions(runs) == before

    assert sweep.main([*SWEEP, *folders, "--name", "file", "--backbone", FILE]) == 0
    capsys.readouterr()
    sets = [sorted(path.read_bytes() for path in (runs / name).glob("trials/*/*.parquet")) for name in ("run", "file")]
    assert len(sets[0]) == 10 and sets[0] == sets[1]  # the same network from other code: other addresses, equal results

    assert report.main([str(runs / "run")]) == 0
    assert PACKAGE in (runs / "run" / "report" / "report.md").read_text()
    model = str(tmp_path / "model")
    assert export.main([str(runs / "run"), "ede", "--out", model, "--backbone", PACKAGE]) == 0
    recording = str(next(iter(write_clips(tmp_path / "clips", tones).values())))
    assert predict.main([model, recording]) == 2
    assert "give it: --backbone MODULE:FACTORY" in capsys.readouterr().err
    assert predict.main([model, recording, "--backbone", PACKAGE, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["recordings"]) == 1
    (project / "lab" / "network.py").write_text(NETWORK + "# edited\n")
    assert predict.main([model, recording, "--backbone", PACKAGE]) == 2
    assert "its source differs from that of the export; give the files" in capsys.readouterr().err


def test_a_network_that_does_not_fit_is_one_line_before_ray_starts(
    project: Path, tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "weights.pt").unlink()
    folders = ["--benchmark", str(tones), "--runs", str(tmp_path / "runs")]
    for backbone, message in (
        (FILE, f"backbone '{project / FILE}': the factory failed: FileNotFoundError: "),
        ("lab.network:Encoder", "method pass: needs spectrogram of its backbone, 'lab.network:Encoder' (own) has "),
    ):
        method = "simplecil" if backbone == FILE else "pass"
        assert sweep.main(["--method", method, "--seeds", "1", *PROTOCOL, *folders, "--backbone", backbone]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {message}") and error.count("\n") == 1
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    ("backbone", "message"),
    [("encoders.py:encoder", "no such file"), ("lab.encoder:encoder", "no module lab.encoder on Python's path")],
)
def test_code_that_is_not_there_is_found_at_once(backbone: str, message: str, project: Path, tones: Path) -> None:
    with pytest.raises(EarshotError, match=f"^backbone '{backbone}': {message}"):
        check_inputs(parse(["--benchmark", str(tones), "--backbone", backbone]))
