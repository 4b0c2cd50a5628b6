"""Whisper's encoder: inputs and outputs as in `transformers`, clips shorter than 30 s, without its random parts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
    WhisperForCausalLM,
    WhisperForConditionalGeneration,
    WhisperModel,
)

from datasets.utils.errors import EarshotError
from tests.support.encoders import write_whisper
from trainables.networks.adapters import AdaptedBackbone
from trainables.networks.backbones import whisper
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.backbones.whisper import WhisperBackbone
from trainables.networks.classifier import trainable
from trainables.networks.specs import BackboneSpec, ClipFormat, Layer, Padding

CLIPS = ClipFormat(16_000, 8_000)


def load(folder: Path, layer: Layer = "last", padding: Padding = "model", clips: ClipFormat = CLIPS) -> WhisperBackbone:
    backbone = load_backbone(BackboneSpec(str(folder), layer=layer, padding=padding), clips)
    assert isinstance(backbone, WhisperBackbone)
    return backbone


def waves(clips: int = 3, samples: int = CLIPS.num_samples) -> torch.Tensor:
    loudness = torch.logspace(-6, 0, clips)[:, None]  # the quiet ones reach the floor
    return torch.randn(clips, samples, generator=torch.Generator().manual_seed(0)) * 0.3 * loudness


@pytest.mark.parametrize("samples", [201, 8_000, 31_700, 31_999, 32_000])
@pytest.mark.parametrize("bins", [80, 128])
def test_inputs_are_those_of_the_feature_extractor(samples: int, bins: int, tmp_path: Path) -> None:
    write_whisper(tmp_path, num_mel_bins=bins)
    extractor = WhisperFeatureExtractor(feature_size=bins, chunk_length=2)
    extractor.save_pretrained(tmp_path)
    frontend = load(tmp_path, clips=ClipFormat(16_000, samples)).frontend
    clips = waves(4, samples)
    expected = extractor(list(clips.numpy()), sampling_rate=16_000, return_tensors="pt").input_features
    inputs = frontend(clips)
    assert inputs.shape[2] <= samples // 160 + 4  # the silence of 30 s is not stored
    torch.testing.assert_close(frontend.pad(inputs), expected, atol=1e-5, rtol=0)


def test_the_inputs_of_a_real_size_are_those_of_the_feature_extractor(tmp_path: Path) -> None:
    write_whisper(tmp_path, max_source_positions=1_500)
    clips = waves(2)
    expected = WhisperFeatureExtractor()(list(clips.numpy()), sampling_rate=16_000, return_tensors="pt")
    frontend = load(tmp_path).frontend
    torch.testing.assert_close(frontend.pad(frontend(clips)), expected.input_features, atol=1e-5, rtol=0)


def test_every_layer_is_that_of_transformers(tmp_path: Path) -> None:
    model = write_whisper(tmp_path)
    before = torch.random.get_rng_state()
    backbone = load(tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())
    inputs = backbone.frontend(waves())
    with torch.inference_mode():
        expected = model.encoder(backbone.frontend.pad(inputs), output_hidden_states=True)
        hidden = backbone.patches(inputs)
        assert torch.equal(hidden, expected.hidden_states[0]) and hidden.shape[1] == 100
        for index in range(2):
            hidden = backbone.block(index, hidden)
            assert torch.equal(hidden, expected.hidden_states[index + 1])
        assert torch.equal(backbone.norm(backbone(inputs)), expected.last_hidden_state)
        assert torch.equal(backbone.embed(inputs), expected.last_hidden_state.mean(dim=1))
        assert torch.equal(load(tmp_path, 2).embed(inputs), expected.hidden_states[2].mean(dim=1))
        layers = [*expected.hidden_states[1:3], expected.last_hidden_state]
        mean = torch.stack([layer.mean(dim=1) for layer in layers]).mean(dim=0)
        torch.testing.assert_close(load(tmp_path, "mean").embed(inputs), mean)
        adapted = AdaptedBackbone(backbone, 4, torch.Generator().manual_seed(0))
        torch.testing.assert_close(adapted(inputs), backbone(inputs), atol=1e-6, rtol=0)  # zero adapters


def test_without_padding_the_first_positions_are_used(tmp_path: Path) -> None:
    model = write_whisper(tmp_path)
    backbone, padded = load(tmp_path, padding="none"), load(tmp_path)
    clips = waves()
    with torch.inference_mode():
        tokens = backbone.patches(backbone.frontend(clips))
        # before the first block only the last token, which is beside the padding, differs
        reference = padded.patches(padded.frontend(clips))
        assert tokens.shape == (3, 25, 24)
        torch.testing.assert_close(tokens[:, :24], reference[:, :24], atol=1e-5, rtol=0)
    short = write_whisper(tmp_path / "short", max_source_positions=25)
    state = model.encoder.state_dict()
    short.encoder.load_state_dict(state | {"embed_positions.weight": state["embed_positions.weight"][:25]})
    with torch.inference_mode():
        expected = short.encoder(backbone.frontend(clips)).last_hidden_state.mean(dim=1)
        assert torch.equal(backbone.embed(backbone.frontend(clips)), expected)
    assert backbone.digest != padded.digest
    assert load(tmp_path, clips=ClipFormat(8_000, 6_000)).digest == padded.digest  # the length of clips is not in it


@pytest.mark.parametrize("padding", ["model", "none"])
def test_an_embedding_does_not_depend_on_the_batch(padding: Padding, tmp_path: Path) -> None:
    write_whisper(tmp_path)
    backbone = load(tmp_path, padding=padding)
    clips = waves(5)
    with torch.inference_mode():
        alone = torch.cat([backbone.embed(backbone.frontend(clip[None])) for clip in clips])
        torch.testing.assert_close(alone, backbone.embed(backbone.frontend(clips)), atol=1e-5, rtol=0)


def test_training_draws_nothing(tmp_path: Path) -> None:
    write_whisper(tmp_path, encoder_layerdrop=0.5, dropout=0.5, attention_dropout=0.5, activation_dropout=0.5)
    network = trainable(load(tmp_path))
    part = network.new_part(torch.Generator().manual_seed(0)).train()
    inputs = network.frontend(waves())
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    assert torch.equal(network.embed(inputs), network.embed(inputs))
    assert torch.equal(part(network(inputs)), part(network(inputs)))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]


def test_the_weights_of_a_checkpoint_with_any_head_are_the_same(tmp_path: Path) -> None:
    """`WhisperModel` has the encoder under another name than the others."""
    model = write_whisper(tmp_path / "model")
    expected = load(tmp_path / "model").digest
    for number, model_class in enumerate((WhisperForConditionalGeneration, WhisperForAudioClassification)):
        other = model_class(model.config)
        encoder = getattr(other, "encoder", None) or other.model.encoder
        encoder.load_state_dict(model.encoder.state_dict())
        other.save_pretrained(tmp_path / str(number))
        assert load(tmp_path / str(number)).digest == expected


def test_the_digest_covers_options_and_weights(tmp_path: Path) -> None:
    model = write_whisper(tmp_path)
    digests = [load(tmp_path, layer).digest for layer in ("last", 2, 3, "mean")]
    model.encoder.layers[0].fc1.bias.data += 1
    model.save_pretrained(tmp_path / "changed")
    assert len({*digests, load(tmp_path / "changed").digest}) == 5


@pytest.mark.parametrize(("layer", "padding"), [("last", "model"), ("mean", "none"), (2, "model")])
def test_an_export_restores_the_same_network(layer: Layer, padding: Padding, tmp_path: Path) -> None:
    write_whisper(tmp_path)
    backbone = load(tmp_path, layer, padding)
    (tmp_path / "export").mkdir()
    backbone.save_config(tmp_path / "export")
    values = json.loads((tmp_path / "export/config.json").read_text())
    spec = BackboneSpec("anything", layer=layer, padding=padding)
    restored = whisper.restore(values, backbone.saved_state(), spec, CLIPS)
    assert restored.digest == backbone.digest
    inputs = backbone.frontend(waves())
    with torch.inference_mode():
        assert torch.equal(restored.embed(inputs), backbone.embed(inputs))
    with pytest.raises(EarshotError, match=r"encoder_layers: expected . as in .*, found 1000000000"):
        whisper.restore({**values, "encoder_layers": 10**9}, backbone.saved_state(), spec, CLIPS)


def test_errors_are_one_line(tmp_path: Path) -> None:
    def message(spec: BackboneSpec, clips: ClipFormat = CLIPS) -> str:
        with pytest.raises(EarshotError) as caught:
            load_backbone(spec, clips)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    write_whisper(tmp_path / "good")
    good = BackboneSpec(str(tmp_path / "good"))
    assert "clips of 2.00006 s; expected more than 200 samples at 16000 Hz and at most 2 s" in message(
        good, ClipFormat(16_000, 32_001)
    )
    assert "clips of 0.0125 s; expected more than 200 samples" in message(good, ClipFormat(16_000, 200))
    model = write_whisper(tmp_path / "model")
    state = model.state_dict()
    del state["encoder.layers.1.fc1.bias"]
    WhisperModel(model.config).save_pretrained(tmp_path / "incomplete", state_dict=state)
    assert "found one without 1 parameter (such as layers.1.fc1.bias)" in message(
        BackboneSpec(str(tmp_path / "incomplete"))
    )
    WhisperForCausalLM(model.config).save_pretrained(tmp_path / "decoder")
    assert "expected a checkpoint of an WhisperEncoder, found one without 52 parameters" in message(
        BackboneSpec(str(tmp_path / "decoder"))
    )
    assert "--layer 4: expected 1 to 3, last or mean" in message(BackboneSpec(str(tmp_path / "good"), layer=4))
    assert "--pool cls: backbone" in message(BackboneSpec(str(tmp_path / "good"), pool="cls"))
    assert "--padding none: backbone 'random-tiny' (ast) has no choice" in message(
        BackboneSpec("random-tiny", padding="none")
    )
