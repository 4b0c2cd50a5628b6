"""Encoders of waveforms: the same outputs as in `transformers`, whatever the batch, without its random parts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, Wav2Vec2FeatureExtractor

from datasets.utils.errors import EarshotError
from tests.support.encoders import WAVE_ENCODERS, write_wave_encoder
from trainables.networks.adapters import AdaptedBackbone
from trainables.networks.backbones import wav2vec2
from trainables.networks.backbones.backbone import TokenBackbone
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.classifier import trainable
from trainables.networks.specs import BackboneSpec, ClipFormat, FrontEndSpec, Layer

CLIPS = ClipFormat(8_000, 3_200)


def load(folder: Path, layer: Layer = "last", clips: ClipFormat = CLIPS) -> TokenBackbone:
    backbone = load_backbone(BackboneSpec(str(folder), layer=layer), clips)
    assert isinstance(backbone, TokenBackbone)
    return backbone


def waves(clips: int = 3) -> torch.Tensor:
    return torch.randn(clips, CLIPS.num_samples, generator=torch.Generator().manual_seed(0)) * 0.1


@pytest.mark.parametrize("name", WAVE_ENCODERS)
def test_every_layer_is_that_of_transformers(name: str, tmp_path: Path) -> None:
    model = write_wave_encoder(tmp_path, name).requires_grad_(False)
    before = torch.random.get_rng_state()
    backbone = load(tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())
    inputs = backbone.frontend(waves())
    with torch.inference_mode():
        expected = model(inputs, output_hidden_states=True)
        hidden = backbone.patches(inputs)
        assert torch.equal(hidden, expected.hidden_states[0])
        for index in range(2):
            hidden = backbone.block(index, hidden)
            assert torch.equal(hidden, expected.hidden_states[index + 1])
        tokens = backbone.norm(backbone(inputs))
        assert torch.equal(tokens, expected.last_hidden_state[:, : tokens.shape[1]])
        assert torch.equal(load(tmp_path, 2).embed(inputs), expected.hidden_states[2].mean(dim=1))
        outputs = [backbone.blocks(backbone.patches(inputs), last=last).mean(dim=1) for last in (1, 2)]
        mean = torch.stack([*outputs, backbone.embed(inputs)]).mean(dim=0)
        torch.testing.assert_close(load(tmp_path, "mean").embed(inputs), mean)
        adapted = AdaptedBackbone(backbone, 4, torch.Generator().manual_seed(0))
        torch.testing.assert_close(adapted(inputs), backbone(inputs), atol=1e-6, rtol=0)  # zero adapters


@pytest.mark.parametrize("name", WAVE_ENCODERS)
def test_an_embedding_does_not_depend_on_the_batch(name: str, tmp_path: Path) -> None:
    write_wave_encoder(tmp_path, name)
    backbone = load(tmp_path)
    inputs = backbone.frontend(waves(5))
    with torch.inference_mode():
        alone = torch.cat([backbone.embed(clip[None]) for clip in inputs])
        torch.testing.assert_close(alone, backbone.embed(inputs), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm", "sew"])
def test_training_draws_nothing(name: str, tmp_path: Path) -> None:
    """Dropout, LayerDrop and SpecAugment are on by default in `transformers`."""
    write_wave_encoder(tmp_path, name, mask_time_prob=0.5, layerdrop=0.5, hidden_dropout=0.5, attention_dropout=0.5)
    network = trainable(load(tmp_path))
    part = network.new_part(torch.Generator().manual_seed(0)).train()
    inputs = network.frontend(waves())
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    assert torch.equal(network.embed(inputs), network.embed(inputs))
    assert torch.equal(part(network(inputs)), part(network(inputs)))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]


def test_waves_are_normalised_as_the_feature_extractor_says(tmp_path: Path) -> None:
    write_wave_encoder(tmp_path)
    for normalise in (True, False):
        extractor = Wav2Vec2FeatureExtractor(sampling_rate=8_000, do_normalize=normalise)
        folder = tmp_path / str(normalise)
        write_wave_encoder(folder)
        extractor.save_pretrained(folder)
        backbone = load(folder)
        clips = waves()
        expected = extractor(list(clips.numpy()), sampling_rate=8_000, return_tensors="pt").input_values
        torch.testing.assert_close(backbone.frontend(clips), expected, atol=1e-5, rtol=1e-5)
    digests = {load(folder).digest for folder in (tmp_path / "True", tmp_path / "False", tmp_path)}
    assert len(digests) == 3  # the last one has a rate of 16 kHz


def test_the_digest_covers_layer_and_weights_and_not_the_length_of_clips(tmp_path: Path) -> None:
    model = write_wave_encoder(tmp_path / "one")
    model.encoder.layers[0].final_layer_norm.bias.data += 1
    model.save_pretrained(tmp_path / "two")
    one = tmp_path / "one"
    digests = [load(one).digest, load(one, 2).digest, load(one, 3).digest, load(one, "mean").digest]
    assert len({*digests, load(tmp_path / "two").digest}) == 5
    assert load(one, clips=ClipFormat(16_000, 8_000)).digest == digests[0]


@pytest.mark.parametrize("layer", ["last", "mean", 2])
def test_an_export_restores_the_same_network(layer: Layer, tmp_path: Path) -> None:
    write_wave_encoder(tmp_path, "wavlm")
    backbone = load(tmp_path, layer)
    (tmp_path / "export").mkdir()
    backbone.save_config(tmp_path / "export")
    values = json.loads((tmp_path / "export/config.json").read_text())
    spec = BackboneSpec("anything", layer=layer)
    restored = wav2vec2.restore(values, backbone.saved_state(), spec, CLIPS).requires_grad_(False)
    assert restored.digest == backbone.digest
    inputs = backbone.frontend(waves())
    with torch.inference_mode():
        assert torch.equal(restored.embed(inputs), backbone.embed(inputs))
    with pytest.raises(EarshotError, match=r"num_hidden_layers: expected . as in .*, found 1000000000"):
        wav2vec2.restore({**values, "num_hidden_layers": 10**9}, backbone.saved_state(), spec, CLIPS)


def test_errors_are_one_line(tmp_path: Path) -> None:
    def message(spec: BackboneSpec, clips: ClipFormat = CLIPS) -> str:
        with pytest.raises(EarshotError) as caught:
            load_backbone(spec, clips)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    model, good = write_wave_encoder(tmp_path / "good"), str(tmp_path / "good")
    state = model.state_dict()
    del state["encoder.layers.1.attention.k_proj.bias"]
    model.save_pretrained(tmp_path / "incomplete", state_dict=state)
    found = message(BackboneSpec(str(tmp_path / "incomplete")))
    assert "found one without 1 parameter (such as encoder.layers.1.attention.k_proj.bias)" in found
    BertModel(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    ).save_pretrained(tmp_path / "text")
    assert "a model of type bert; expected an audio encoder of type audio-spectrogram-transformer, " in message(
        BackboneSpec(str(tmp_path / "text"))
    )
    assert "--layer 4: expected 1 to 3, last or mean" in message(BackboneSpec(good, layer=4))
    assert "--layer 0: expected 1 to 3, last or mean" in message(BackboneSpec(good, layer=0))
    assert "--layer 2: backbone 'random-tiny' (ast) has no choice" in message(BackboneSpec("random-tiny", layer=2))
    assert "has a front end of its own" in message(BackboneSpec(good, FrontEndSpec(kind="reference")))
    assert "shorter than a token" in message(BackboneSpec(good), ClipFormat(16_000, 100))
    assert "cannot be resampled; prepare the benchmark with" in message(BackboneSpec(good), ClipFormat(15_991, 16_000))
