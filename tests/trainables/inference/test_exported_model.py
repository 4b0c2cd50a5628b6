"""An export predicts what the chain predicted, is self-contained, and is not trusted."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from datasets.benchmark.shards import Shards
from datasets.utils.checksum import with_checksum
from datasets.utils.errors import EarshotError
from datasets.utils.files import exchange
from orchestrator.exporting.export import export
from orchestrator.results.run_folder import RunFolder
from tests.support.chain_runs import methods_on_an_ast, write_run
from trainables.inference.description import FILE_NAME, Description
from trainables.inference.exported_model import load_model
from trainables.inference.recording_clips import ClassRecordings
from trainables.inference.teaching import teach, write_changed
from trainables.inference.tensor_sizes import check_sizes
from trainables.records import TrialRecord


@pytest.mark.parametrize("method", methods_on_an_ast())
def test_every_head_of_every_method_predicts_what_the_chain_predicted(method: str, tones: Path, tmp_path: Path) -> None:
    trial = write_run(tmp_path, tones, method)
    export(RunFolder(tmp_path / "it"), trial, tmp_path / "model")
    for folder in (tmp_path / "store", tmp_path / "it/sweep.json"):
        folder.rename(folder.with_name(f"{folder.name}-moved"))
    model = load_model(tmp_path / "model")

    folder = tmp_path / "it/trials" / trial
    record = TrialRecord.load(folder)
    stored = pq.read_table(folder / record.sessions[-1].predictions).to_pandas()
    stored = stored[stored["split"] == "test"].pivot(index="clip_id", columns="head", values="prediction")
    shards = Shards(tones)
    positions = shards.select(splits=["test"])
    waves = shards.audio(positions)
    scores = model.score_parts([waves[:10], waves[10:]])
    assert tuple(scores) == record.heads
    labels = np.array([entry.label for entry in model.description.classes])
    for head, values in scores.items():
        expected = stored[head].loc[[shards.table.clip_ids[position] for position in positions]]
        assert labels[values.argmax(dim=1).numpy()].tolist() == expected.tolist()


@pytest.fixture(scope="module")
def exported(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """A function that copies an export of SimpleCIL."""
    root = tmp_path_factory.mktemp("exported")
    trial = write_run(root, tones, "simplecil")
    export(RunFolder(root / "it"), trial, root / "model")

    def copy(to: Path) -> Path:
        for path in sorted((root / "model").rglob("*")):
            if path.is_file():
                (to / path.relative_to(root / "model")).parent.mkdir(parents=True, exist_ok=True)
                (to / path.relative_to(root / "model")).write_bytes(path.read_bytes())
        return to

    return copy


def edit(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / FILE_NAME).read_text())
    (folder / FILE_NAME).write_text(json.dumps(with_checksum({**content, **changes})))


def error(folder: Path) -> str:
    """The message of a failed `load_model`."""
    with pytest.raises(EarshotError) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_scores_do_not_depend_on_the_batch(exported: Callable[[Path], Path], tmp_path: Path) -> None:
    model = load_model(exported(tmp_path))
    waves = np.random.default_rng(0).uniform(-0.1, 0.1, (40, model.description.num_samples)).astype(np.float32)
    whole = model.score(waves)["prototype"]
    assert whole.shape == (40, 6)
    torch.testing.assert_close(whole[33:34], model.score(waves[33:34])["prototype"])
    with pytest.raises(ValueError, match="expected clips of 6400 samples"):
        model.score(waves[:, 1:])


def test_an_export_contains_only_data(exported: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = exported(tmp_path)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    parts = {"parts/prototypes.safetensors"}
    assert files == {"model.json", "README.md", "backbone/config.json", "backbone/model.safetensors", *parts}
    content = json.loads((folder / FILE_NAME).read_text())
    assert set(content["files"]) == files - {"model.json", "README.md"}
    assert [entry["name"] for entry in content["classes"]] == [f"tone {label}" for label in range(6)]
    assert [entry["session"] for entry in content["classes"]] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("name", ["parts/prototypes.safetensors", "backbone/model.safetensors", "backbone/config.json"])
@pytest.mark.parametrize("damage", ["changed", "truncated", "missing", "pipe"])
def test_errors_name_the_damaged_file(exported: Callable[[Path], Path], tmp_path: Path, name: str, damage: str) -> None:
    folder = exported(tmp_path)
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).unlink()
    if damage == "pipe":
        os.mkfifo(folder / name)
    elif damage != "missing":
        (folder / name).write_bytes(content if damage == "changed" else content[:-9])
    assert f"{name}: not " in error(folder)


@pytest.mark.parametrize(("times", "works"), [(1, True), (2, True), (99, False)])
def test_a_model_that_is_replaced_while_it_is_read(
    exported: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, works: bool
) -> None:
    folder, taught = exported(tmp_path / "model"), tmp_path / "taught"
    model = load_model(folder)
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, (2, model.description.num_samples)).astype(np.float32)
    teach(model, [ClassRecordings("noise", samples, (), ())])
    write_changed(model, folder, taught, replace=False)
    replaced = []

    def check(place: Path, names: Iterable[str]) -> None:
        if len(replaced) < times:  # as teach --in-place does, between model.json and the other files
            replaced.append(place)
            exchange(taught, folder)
        check_sizes(place, names)

    monkeypatch.setattr("trainables.inference.exported_model.check_sizes", check)
    if works:
        assert load_model(folder).description == Description.load(folder)
    else:
        assert "not the exported file (its SHA-256 differs)" in error(folder)


@pytest.mark.parametrize(
    "name",
    [
        "../x.safetensors", "/etc/passwd", "parts/../../x.safetensors", "parts/.x.safetensors",
        "parts/a/b.safetensors", "backbone/../x",
        "parts/x.bin", "parts/x.safetensors\n", "backbone/pytorch_model.bin", "model.json",
    ],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(exported: Callable[[Path], Path], tmp_path: Path, name: str) -> None:
    folder = exported(tmp_path / "model")
    files = json.loads((folder / FILE_NAME).read_text())["files"]
    edit(folder, files={**files, name: "0" * 64})
    assert "files: expected parts/NAME.safetensors or the backbone's, found" in error(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 5}, "schema_version: expected at most 4, found 5"),
        ({"schema_version": "1"}, "schema_version"),
        ({"calibration": {"clips": 1, "bins": 15, "heads": {}}}, "calibration: expected the heads prototype"),
        (
            {"calibration": {"clips": 1, "bins": 15, "heads": {"prototype": {"temperature": 0}}}},
            "calibration.heads.prototype.temperature: Input should be greater than 0",
        ),
        (
            {"thresholds": {"keep": 0.9, "clips": 1, "other_clips": 0, "other_classes": 0, "heads": {}}},
            "thresholds: expected the heads prototype",
        ),
        ({"more": 1}, "more: Extra inputs are not permitted"),
        ({"method": "os.system"}, "method 'os.system': not known"),
        ({"version": 99}, "expected version 1 of simplecil with heads prototype, found version 99"),
        ({"settings": {"lr": 1}}, "settings: no key 'lr'"),
        ({"default_head": "x"}, "default_head: expected one of prototype, found 'x'"),
        (
            {"heads": ["\x1b[31m"], "default_head": "\x1b[31m", "calibration": None, "thresholds": None},
            r"with \x1b[31m",
        ),
        ({"notes": {}}, "does not fit simplecil (KeyError: 'classes')"),
        ({"notes": {"classes": [0, 1, 2, 3, 5, 4]}}, "classes: differ from those in the learner's state"),
        ({"classes": []}, "classes: Tuple should have at least 1 item"),
        ({"backbone": None}, "backbone: expected one"),
        ({"files": {}}, "files: expected backbone/config.json and backbone/model.safetensors with a backbone"),
        ({"num_samples": 10**12}, "num_samples: Input should be less than or equal to 16777216"),
        ({"frontend": {"kind": "kaldi", "window": 400}}, "frontend: window and hop need kind: reference"),
    ],
)
def test_an_invalid_description_raises(
    exported: Callable[[Path], Path], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = exported(tmp_path)
    edit(folder, **changes)
    assert message in error(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_files_that_are_not_a_description(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert FILE_NAME in error(tmp_path)
    assert "not found; expected a folder written by earshot export" in error(tmp_path / "nowhere")


def test_code_named_in_the_config_of_the_backbone_is_ignored(exported: Callable[[Path], Path], tmp_path: Path) -> None:
    """config.json has a digest, but an attacker who writes an export writes the digests too."""
    folder = exported(tmp_path)
    path = folder / "backbone/config.json"
    config = {
        **json.loads(path.read_text()),
        "auto_map": {"AutoModel": "evil.Model"},
        "_attn_implementation": "a/kernel",
    }
    path.write_text(json.dumps({**config, "quantization_config": {"quant_method": "x"}}))
    files = json.loads((folder / FILE_NAME).read_text())["files"]
    edit(folder, files={**files, "backbone/config.json": hashlib.sha256(path.read_bytes()).hexdigest()})
    assert load_model(folder).description.trial.startswith("simplecil")


def test_an_export_of_schema_version_1_has_no_temperature(exported: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = exported(tmp_path / "model")
    content = json.loads((folder / FILE_NAME).read_text())
    assert content["thresholds"] is not None
    del content["calibration"], content["training"], content["thresholds"], content["checksum"]
    (folder / FILE_NAME).write_text(json.dumps({**content, "schema_version": 1}))
    description = load_model(folder).description
    assert description.calibration is None and description.temperature("prototype") == 1
    assert description.thresholds is None and description.threshold("prototype") is None


def test_a_changed_digit_of_the_description_is_found(exported: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = exported(tmp_path)
    path = folder / FILE_NAME
    path.write_text(path.read_text().replace('"label": 1', '"label": 9'))
    assert "model.json: checksum: expected " in error(folder)
    content = json.loads(path.read_text().replace('"label": 9', '"label": 1'))
    path.write_text(json.dumps({key: value for key, value in content.items() if key != "checksum"}))
    assert load_model(folder).description.method == "simplecil"  # of an earlier version


def replace_backbone_file(folder: Path, name: str, content: bytes) -> None:
    """As an attacker would, who writes the digests, too."""
    (folder / name).write_bytes(content)
    files = json.loads((folder / FILE_NAME).read_text())["files"]
    edit(folder, files={**files, name: hashlib.sha256(content).hexdigest()})


def test_a_sparse_file_of_a_terabyte_is_refused_by_its_header(exported: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = exported(tmp_path)
    size = 1 << 40
    header = json.dumps({"means": {"dtype": "F32", "shape": [1 << 18, 1 << 20], "data_offsets": [0, size]}}).encode()
    with (folder / "parts/prototypes.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    message = error(folder)
    assert "parts/prototypes.safetensors: expected tensors that fit into this machine's memory (" in message
    assert "), found 'means' of shape [262144, 1048576], 1.1 TB with the files before; export it again" in message
    with (folder / FILE_NAME).open("rb+") as file:
        file.truncate(size)
    assert "model.json: expected at most 67108864 bytes, found 1099511627776" in error(folder)


def test_absurd_sizes_in_the_config_of_the_backbone_are_refused(
    exported: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = exported(tmp_path)
    config = json.loads((folder / "backbone/config.json").read_text())
    changes = {
        ": expected 4 as in backbone/model.safetensors, found 1000000000; export": {"num_hidden_layers": 10**9},
        "found one with 12 differently shaped parameters (such as layers.0.mlp": {"intermediate_size": 10**12},
        "found model_type hubert": {"model_type": "hubert"},
    }
    for message, change in changes.items():
        replace_backbone_file(folder, "backbone/config.json", json.dumps({**config, **change}).encode())
        assert message in error(folder)
    edit(folder, frontend={"kind": "reference", "window": 10**9, "hop": 160})
    assert "frontend.window: expected at most twice the 6400 samples, found 1000000000" in error(folder)
