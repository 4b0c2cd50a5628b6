"""The tables of backbones in the docs, held against the declarations; the examples of own networks."""

import re
from pathlib import Path

import pytest

from tests.support.chain_runs import write_run
from tests.support.documented_commands import ROOT
from tests.support.encoders import write_clap, write_remote, write_wav2vec2_bert, write_wave_encoder, write_whisper
from trainables.methods.registry import methods
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.backbones.registry import family_names, find_family, load_backbone
from trainables.networks.specs import LOCAL_CODE, BackboneSpec, ClipFormat
from trainables.records import TrialRecord

CLIPS = ClipFormat(16_000, 6_400)


def write_example(folder: Path, name: str) -> str:
    """Writes an example of docs/extending.md; its name as a backbone."""
    page = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    (code,) = re.findall(rf"```python\n(# {name}\.py.*?)```", page, flags=re.DOTALL)
    (folder / f"{name}.py").write_text(code)
    return f"{folder / name}.py:encoder"


def of_every_family(folder: Path) -> dict[str, Backbone]:
    write_wave_encoder(folder / "waves")
    write_clap(folder / "clap")
    write_remote(folder / "remote")
    write_wav2vec2_bert(folder / "bert")
    write_whisper(folder / "whisper")
    names = {
        "ast": "random-tiny",
        "clap": str(folder / "clap"),
        "own": write_example(folder, "transformer"),
        "remote": str(folder / "remote"),
        "resnet": "resnet18",
        "wav2vec2": str(folder / "waves"),
        "wav2vec2_bert": str(folder / "bert"),
        "whisper": str(folder / "whisper"),
    }
    assert tuple(names) == family_names()
    trust = {"remote": LOCAL_CODE}
    specs = {family: BackboneSpec(name, trust_remote_code=trust.get(family)) for family, name in names.items()}
    return {family: load_backbone(spec, CLIPS) for family, spec in specs.items()}


def test_the_table_of_families(tmp_path: Path) -> None:
    page = (ROOT / "docs/backbone.md").read_text(encoding="utf-8")
    for family, backbone in of_every_family(tmp_path).items():
        (row,) = re.findall(rf"^\| `{family}` .*$", page, flags=re.MULTILINE)
        _, _, names, _, _, capabilities, _ = row.split("|")
        assert set(find_family(family).MODEL_TYPES) <= set(re.findall(r"`([^`]+)`", names))
        assert set(re.findall(r"embed|spectrogram|text|tokens|tune", capabilities)) == backbone.provides


def test_the_table_of_families_and_methods(tmp_path: Path) -> None:
    """`tests/trainables/test_encoders.py` runs every pair."""
    backbones = of_every_family(tmp_path)
    lines = [f"| method | needs | {' | '.join(f'`{family}`' for family in backbones)} |"]
    lines.append("|---" * (len(backbones) + 2) + "|")
    for name, method in methods().items():
        needs = method.capabilities(method.Settings()) if method.backbone else frozenset()
        cells = ["yes" if needs <= backbone.provides else "-" for backbone in backbones.values()]
        lines.append(f"| `{name}` | {', '.join(sorted(needs)) or 'no backbone'} | {' | '.join(cells)} |")
    table = "\n".join(lines)
    assert table in (ROOT / "docs/methods.md").read_text(encoding="utf-8"), f"expected in docs/methods.md:\n{table}"


@pytest.mark.parametrize(("name", "method"), [("encoder", "icarl"), ("transformer", "ede")])
def test_the_examples_of_own_networks(name: str, method: str, tones: Path, tmp_path: Path) -> None:
    trial = write_run(tmp_path, tones, method, backbone=write_example(tmp_path, name))
    record = TrialRecord.load(tmp_path / "it" / "trials" / trial)
    assert record.status == "finished" and record.backbone.endswith(f"{name}.py:encoder")
