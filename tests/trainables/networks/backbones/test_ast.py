"""The backbone compared with the released EDE; names of backbones; the position grid; bad checkpoints."""

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ASTConfig, ASTForAudioClassification, ASTModel, HubertConfig, HubertModel

from datasets.utils.errors import EarshotError
from trainables.networks.backbones.ast import ASTBackbone, load_ast
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.original_ast import convert_block
from trainables.networks.specs import BackboneSpec, ClipFormat, Pool
from trainables.networks.weights import weights_digest

INPUTS = ["ls", "ns", "fs"]


def normalised(golden: dict[str, np.ndarray], key: str) -> torch.Tensor:
    return (torch.from_numpy(golden[f"logmel_{key}"]) + 4.26) / 9.14


@pytest.mark.parametrize("key", INPUTS)
def test_token_maps_and_embeddings_are_those_of_the_release(
    golden: dict[str, np.ndarray], golden_ast: str, key: str
) -> None:
    inputs = normalised(golden, key)
    backbone = load_ast(golden_ast, inputs.shape[1])
    with torch.inference_mode():
        tokens = backbone(inputs)
        pooled = backbone.pool(tokens)
    torch.testing.assert_close(tokens, torch.from_numpy(golden[f"tokens_{key}"]), atol=1e-4, rtol=0)
    torch.testing.assert_close(pooled, torch.from_numpy(golden[f"pooled_{key}"]), atol=1e-4, rtol=0)


def test_specialised_part_is_that_of_the_release(golden: dict[str, np.ndarray], golden_ast: str) -> None:
    """The weights have the names of the released code: `norm.*`, `last_block.*`."""
    part = load_ast(golden_ast, 201).new_part()
    block = {
        key.removeprefix("block.last_block."): torch.from_numpy(value)
        for key, value in golden.items()
        if key.startswith("block.last_block.")
    }
    part.block.load_state_dict(convert_block(block))
    norm = {name: torch.from_numpy(golden[f"block.norm.{name}"]) for name in ("weight", "bias")}
    part.norm.load_state_dict(norm)
    with torch.inference_mode():
        output = part(torch.from_numpy(golden["tokens_ls"]))
    torch.testing.assert_close(output, torch.from_numpy(golden["block_out_ls"]), atol=1e-4, rtol=0)


def test_a_network_is_the_same_in_every_file_format(
    golden: dict[str, np.ndarray], golden_ast: str, tmp_path: Path
) -> None:
    """Same digest and token maps from safetensors, .pth and a transformers folder."""
    original = load_ast(golden_ast, 201)
    torch.save(load_file(golden_ast), tmp_path / "ast.pth")
    whole = load_ast(golden_ast, 1024)  # 101 steps: the original grid
    whole.ast.save_pretrained(tmp_path / "folder")
    inputs = normalised(golden, "ls")
    for name in (str(tmp_path / "ast.pth"), str(tmp_path / "folder")):
        other = load_ast(name, 201)
        assert other.digest == original.digest
        with torch.inference_mode():
            assert torch.equal(other(inputs), original(inputs))


@pytest.mark.parametrize(("frames", "steps"), [(16, 1), (44, 3), (201, 19), (1024, 101)])
def test_the_position_grid_is_cropped_to_its_centre(golden_ast: str, frames: int, steps: int) -> None:
    original = load_file(golden_ast)["module.v.pos_embed"]
    grid = original[:, 2:].reshape(1, 12, 101, -1)
    first = 50 - steps // 2
    expected = grid[:, :, first : first + steps].reshape(1, 12 * steps, -1)
    positions = load_ast(golden_ast, frames).ast.embeddings.position_embeddings
    assert torch.equal(positions[:, 2:], expected)
    assert torch.equal(positions[:, :2], original[:, :2])


def test_the_grid_is_interpolated_for_a_longer_input(golden_ast: str) -> None:
    backbone = load_ast(golden_ast, 1500)
    with torch.inference_mode():
        assert backbone(torch.zeros(1, 1500, 128)).shape == (1, 2 + 12 * 149, 96)


def test_random_weights_are_always_the_same_and_do_not_use_the_global_generator() -> None:
    before = torch.random.get_rng_state()
    first = load_ast("random-tiny", 101)
    again = load_ast("random-tiny", 51)
    assert first.digest == again.digest  # for every input length
    assert torch.equal(before, torch.random.get_rng_state())
    assert 0.015 < first.ast.layers[0].mlp.fc1.weight.std().item() < 0.025


def test_architecture_is_part_of_the_digest() -> None:
    """Heads and epsilon change the output but not the parameters."""
    backbone = load_ast("random-tiny", 51)
    before = weights_digest(backbone)
    backbone.ast.config.layer_norm_eps = 1e-12
    assert weights_digest(backbone) != before


def test_dropout_of_a_checkpoint_is_disabled(tmp_path: Path) -> None:
    model = copy.deepcopy(load_ast("random-tiny", 1024).ast)
    model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.5
    model.save_pretrained(tmp_path)
    part = load_ast(str(tmp_path), 51).new_part(torch.Generator().manual_seed(0)).train()
    tokens = torch.ones(1, 38, 96)
    assert torch.equal(part(tokens), part(tokens))


def test_the_weights_of_a_new_part_depend_on_the_generator() -> None:
    backbone = load_ast("random-tiny", 51)
    digests = [weights_digest(backbone.new_part(torch.Generator().manual_seed(seed))) for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def write_text(path: Path) -> None:
    path.write_text("not a checkpoint")


def write_other_network(path: Path) -> None:
    save_file({"conv.weight": torch.zeros(3)}, path)


def write_pickle(path: Path) -> None:
    torch.save({"module.v.cls_token": Path("not a tensor")}, path)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("missing.pth", None, "no such file"),
        ("text.pth", write_text, "not a checkpoint of plain tensors"),
        ("text.safetensors", write_text, "not a checkpoint of plain tensors"),
        ("code.pth", write_pickle, "not a checkpoint of plain tensors"),
        ("other.safetensors", write_other_network, "no parameter 'module.v.cls_token'"),
    ],
)
def test_bad_checkpoints(tmp_path: Path, name: str, write: object, message: str) -> None:
    path = tmp_path / name
    if callable(write):
        write(path)
    with pytest.raises(EarshotError, match=message) as caught:
        load_ast(str(path), 201)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_error_for_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(EarshotError, match=r"random-tiny, .* a folder saved by transformers"):
        load_ast("tiny-random", 201)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(EarshotError, match=r"no config\.json"):
        load_ast(str(tmp_path), 201)


def test_an_unreachable_hub_is_one_line() -> None:
    """In a separate process, whose hub is a closed port of this machine."""
    code = (
        "from trainables.networks.backbones.ast import ASTBackbone, load_ast\n"
        "from datasets.utils.errors import EarshotError\n"
        "try: load_ast('MIT/ast-finetuned-audioset-10-10-0.4593', 201)\n"
        "except EarshotError as error: print(error)\n"
    )
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1
    assert "did not answer" in lines[0]
    assert "give its folder" in lines[0]


def test_transformers_works_with_our_package_called_datasets() -> None:
    """Our `datasets` shadows the Hugging Face library of that name, which ASTModel does not need."""
    code = (
        "import datasets, transformers; from transformers import ASTModel; print(datasets.__file__, ASTModel.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    path, model = done.stdout.split()
    assert Path(path).parent == Path(__file__).parents[4] / "datasets"
    assert model == "ASTModel"


def test_the_number_of_tokens_depends_on_the_input_length() -> None:
    backbone = load_ast("random-tiny", 101)
    assert isinstance(backbone, Backbone)
    with torch.inference_mode():
        assert backbone(torch.zeros(2, 101, 128)).shape == (2, 2 + 12 * 9, 96)


SMALL = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96}


@pytest.fixture(scope="module")
def hubert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of another architecture, as `transformers` saves it."""
    folder = tmp_path_factory.mktemp("hubert")
    config = HubertConfig(
        **SMALL, conv_dim=(32,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, conv_bias=True
    )
    HubertModel(config).save_pretrained(folder)
    return folder


def message_of(name: Path | str) -> str:
    with pytest.raises(EarshotError) as caught:
        load_ast(str(name), 101)
    assert "\n" not in str(caught.value) and f"backbone '{name}': expected a checkpoint of an Audio Sp" in str(
        caught.value
    )
    return str(caught.value)


def test_a_checkpoint_of_another_architecture_is_refused(hubert: Path, tmp_path: Path) -> None:
    assert "(model_type audio-spectrogram-transformer), found model_type hubert; give a checkpoint" in message_of(
        hubert
    )
    shutil.copytree(hubert, tmp_path / "disguised")
    config = json.loads((hubert / "config.json").read_text())
    del config["model_type"]
    (tmp_path / "disguised/config.json").write_text(json.dumps(config))
    message = message_of(tmp_path / "disguised")
    assert "found one without " in message
    assert "unknown parameters (such as encoder." in message


def test_a_hub_name_of_another_architecture_is_refused(
    hubert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the local cache, in its own layout; without asking the hub."""
    snapshot = tmp_path / "models--owner--hubert/snapshots/0123"
    shutil.copytree(hubert, snapshot)
    (tmp_path / "models--owner--hubert/refs").mkdir()
    (tmp_path / "models--owner--hubert/refs/main").write_text("0123")
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "found model_type hubert" in message_of("owner/hubert")


def test_a_classifier_on_the_network_is_ignored(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The published checkpoints of AST are of `ASTForAudioClassification`."""
    model = ASTForAudioClassification(ASTConfig(**SMALL))
    model.save_pretrained(tmp_path)
    capfd.readouterr()
    expected = ASTBackbone(model.audio_spectrogram_transformer, 101).digest
    assert load_ast(str(tmp_path), 101).digest == expected
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"module.v.blocks.1.mlp.fc2.bias": None}, "without 16 parameters (such as layers.1.attention.k_proj.bias)"),
        ({"module.v.blocks.1.attn.rel_pos": torch.zeros(3)}, "with 1 unknown parameter (such as v.blocks.1.attn.rel_"),
        ({"module.v.blocks.7.norm1.bias": torch.zeros(96)}, "with 1 unknown parameter (such as v.blocks.7.norm1.bias)"),
        ({"other.weight": torch.zeros(96)}, "with 1 unknown parameter (such as other.weight)"),
        ({"module.v.blocks.0.norm1.weight": torch.zeros(7)}, "with 1 differently shaped parameter (such as layers.0."),
        ({"module.mlp_head.0.weight": torch.zeros(96)}, ""),
    ],
)
def test_every_parameter_of_an_original_checkpoint_is_checked(
    golden_ast: str, tmp_path: Path, change: dict[str, torch.Tensor | None], found: str
) -> None:
    state = {**load_file(golden_ast), **change}
    path = tmp_path / "ast.safetensors"
    save_file({key: value for key, value in state.items() if value is not None}, path)
    if found:
        assert found in message_of(path)
    else:
        assert load_ast(str(path), 101).digest == load_ast(golden_ast, 101).digest


def test_pools_are_those_of_transformers(tmp_path: Path) -> None:
    size = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    model = ASTModel(ASTConfig(**size, max_length=98)).eval()
    model.save_pretrained(tmp_path)
    clips = ClipFormat(16_000, 16_000)  # 98 frames
    pools: tuple[Pool, ...] = ("mean", "cls", "pooler")
    mean, cls, pooler = (load_backbone(BackboneSpec(str(tmp_path), pool=pool), clips) for pool in pools)
    inputs = torch.randn(3, 98, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model(inputs)
        tokens = expected.last_hidden_state
        torch.testing.assert_close(mean.embed(inputs), tokens.mean(dim=1), atol=1e-5, rtol=0)
        torch.testing.assert_close(cls.embed(inputs), tokens[:, 0], atol=1e-5, rtol=0)
        torch.testing.assert_close(pooler.embed(inputs), expected.pooler_output, atol=1e-5, rtol=0)
    assert len({mean.digest, cls.digest, pooler.digest}) == 3
    assert load_backbone(BackboneSpec(str(tmp_path)), clips).digest == mean.digest
    assert mean.provides - cls.provides == mean.provides - pooler.provides == {"tokens"}
    with pytest.raises(EarshotError, match=r"--pool projection: backbone .* \(ast\) has mean, cls, pooler; choose one"):
        load_backbone(BackboneSpec(str(tmp_path), pool="projection"), clips)
