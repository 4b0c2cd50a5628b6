"""w2v-BERT: inputs and outputs as in `transformers`, whatever the batch, without its random parts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import SeamlessM4TFeatureExtractor

from datasets.utils.errors import EarshotError
from tests.support.encoders import write_wav2vec2_bert
from trainables.networks.adapters import AdaptedBackbone
from trainables.networks.backbones import wav2vec2_bert
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.backbones.wav2vec2_bert import Wav2Vec2BertBackbone
from trainables.networks.classifier import trainable
from trainables.networks.specs import BackboneSpec, ClipFormat, Layer

CLIPS = ClipFormat(16_000, 6_560)  # 39 frames: an odd number


def load(folder: Path, layer: Layer = "last", clips: ClipFormat = CLIPS) -> Wav2Vec2BertBackbone:
    backbone = load_backbone(BackboneSpec(str(folder), layer=layer), clips)
    assert isinstance(backbone, Wav2Vec2BertBackbone)
    return backbone


def waves(clips: int = 3, samples: int = CLIPS.num_samples) -> torch.Tensor:
    return torch.randn(clips, samples, generator=torch.Generator().manual_seed(0)) * 0.1


@pytest.mark.parametrize("samples", [6_560, 6_400, 880])
def test_inputs_are_those_of_the_feature_extractor(samples: int, tmp_path: Path) -> None:
    write_wav2vec2_bert(tmp_path)
    clips = waves(3, samples)
    frontend = load(tmp_path, clips=ClipFormat(16_000, samples)).frontend
    extracted = SeamlessM4TFeatureExtractor()(list(clips.numpy()), sampling_rate=16_000, return_tensors="pt")
    tokens = int(extracted.attention_mask[0].sum())  # of an odd number of frames, the last token is masked
    expected = extracted.input_features[:, :tokens]
    torch.testing.assert_close(frontend(clips), expected, atol=5e-4, rtol=0)


@pytest.mark.parametrize("positions", ["relative_key", "rotary", "relative"])
def test_every_layer_is_that_of_transformers(positions: str, tmp_path: Path) -> None:
    model = write_wav2vec2_bert(tmp_path, position_embeddings_type=positions)
    before = torch.random.get_rng_state()
    backbone = load(tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())
    assert ("tokens" in backbone.provides) == (positions == "relative_key")
    inputs = backbone.frontend(waves())
    with torch.inference_mode():
        expected = model(inputs, output_hidden_states=True)
        hidden = backbone.patches(inputs)
        assert torch.equal(hidden, expected.hidden_states[0])
        for index in range(3):
            hidden = backbone.block(index, hidden)
            assert torch.equal(hidden, expected.hidden_states[index + 1])
        assert torch.equal(backbone.embed(inputs), expected.last_hidden_state.mean(dim=1))
        assert torch.equal(load(tmp_path, 2).embed(inputs), expected.hidden_states[2].mean(dim=1))
        mean = torch.stack([layer.mean(dim=1) for layer in expected.hidden_states[1:]]).mean(dim=0)
        torch.testing.assert_close(load(tmp_path, "mean").embed(inputs), mean)
        adapted = AdaptedBackbone(backbone, 4, torch.Generator().manual_seed(0))
        torch.testing.assert_close(adapted(inputs), backbone(inputs), atol=1e-6, rtol=0)  # zero adapters


def test_the_tokens_of_a_masked_clip_are_the_same(tmp_path: Path) -> None:
    """A user of the hub has one token more, which is masked."""
    model, clips = write_wav2vec2_bert(tmp_path), waves()
    backbone = load(tmp_path)
    extracted = SeamlessM4TFeatureExtractor()(list(clips.numpy()), sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        expected = model(**extracted).last_hidden_state[:, :-1]
        assert extracted.attention_mask.sum(dim=1).tolist() == [expected.shape[1]] * 3
        torch.testing.assert_close(backbone(backbone.frontend(clips)), expected, atol=5e-4, rtol=0)


def test_an_embedding_does_not_depend_on_the_batch(tmp_path: Path) -> None:
    write_wav2vec2_bert(tmp_path)
    backbone, clips = load(tmp_path), waves(5)
    with torch.inference_mode():
        alone = torch.cat([backbone.embed(backbone.frontend(clip[None])) for clip in clips])
        torch.testing.assert_close(alone, backbone.embed(backbone.frontend(clips)), atol=1e-5, rtol=0)


def test_training_draws_nothing(tmp_path: Path) -> None:
    """`transformers` draws for LayerDrop even where it is 0."""
    dropout = ("hidden_dropout", "attention_dropout", "feat_proj_dropout", "conformer_conv_dropout", "layerdrop")
    write_wav2vec2_bert(tmp_path, mask_time_prob=0.5, mask_feature_prob=0.5, **dict.fromkeys(dropout, 0.5))
    network = trainable(load(tmp_path))
    part = network.new_part(torch.Generator().manual_seed(0)).train()
    inputs = network.frontend(waves())
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    assert torch.equal(network.embed(inputs), network.embed(inputs))
    assert torch.equal(part(network(inputs)), part(network(inputs)))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]


def test_the_digest_covers_layer_and_weights_and_not_the_length_of_clips(tmp_path: Path) -> None:
    model = write_wav2vec2_bert(tmp_path)
    digests = [load(tmp_path, layer).digest for layer in ("last", 2, 3, "mean")]
    model.encoder.layers[0].final_layer_norm.bias.data += 1
    model.save_pretrained(tmp_path / "changed")
    assert len({*digests, load(tmp_path / "changed").digest}) == 5
    assert load(tmp_path, clips=ClipFormat(8_000, 8_000)).digest == digests[0]


@pytest.mark.parametrize("layer", ["last", "mean", 2])
def test_an_export_restores_the_same_network(layer: Layer, tmp_path: Path) -> None:
    write_wav2vec2_bert(tmp_path)
    backbone = load(tmp_path, layer)
    (tmp_path / "export").mkdir()
    backbone.save_config(tmp_path / "export")
    values = json.loads((tmp_path / "export/config.json").read_text())
    restored = wav2vec2_bert.restore(values, backbone.saved_state(), BackboneSpec("anything", layer=layer), CLIPS)
    assert restored.digest == backbone.digest
    inputs = backbone.frontend(waves())
    with torch.inference_mode():
        assert torch.equal(restored.embed(inputs), backbone.embed(inputs))


def test_errors_are_one_line(tmp_path: Path) -> None:
    def message(folder: Path, clips: ClipFormat = CLIPS) -> str:
        with pytest.raises(EarshotError) as caught:
            load(folder, clips=clips)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    write_wav2vec2_bert(tmp_path)
    assert "clips of 879 samples at 16000 Hz are shorter than two tokens" in message(tmp_path, ClipFormat(16_000, 879))
    SeamlessM4TFeatureExtractor(num_mel_bins=40).save_pretrained(tmp_path)
    assert "expected 16000 Hz and num_mel_bins x stride = 160, found 16000 Hz and 40 x 2" in message(tmp_path)
