"""CLAP: the same spectrograms and embeddings as in `transformers`, whatever the batch, without its random parts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, ClapFeatureExtractor

from datasets.utils.errors import EarshotError
from tests.support.encoders import write_clap
from trainables.methods.registry import check_backbone, find_method
from trainables.networks.backbones.clap import ClapBackbone, ClapText, restore
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.clap_frontend import ClapFrontEnd, ClapSpec
from trainables.networks.classifier import trainable
from trainables.networks.specs import BackboneSpec, ClipFormat

CLIPS = ClipFormat(48_000, 20_000)
TEXTS = ["This is a sound of a dog.", "rain"]


def load(folder: Path, clips: ClipFormat = CLIPS) -> ClapBackbone:
    backbone = load_backbone(BackboneSpec(str(folder)), clips)
    assert isinstance(backbone, ClapBackbone)
    return backbone


def waves(samples: int = CLIPS.num_samples, clips: int = 3) -> torch.Tensor:
    return torch.randn(clips, samples, generator=torch.Generator().manual_seed(0)) * 0.1


@pytest.mark.parametrize(
    ("truncation", "padding", "samples"),
    [
        ("rand_trunc", "repeatpad", 100_000),
        ("fusion", "repeatpad", 479_999),
        ("rand_trunc", "repeat", 100_000),
        ("fusion", "pad", 100_000),
        ("rand_trunc", "repeatpad", 480_000),
        ("fusion", "repeatpad", 520_000),
    ],
)
def test_spectrograms_are_those_of_the_extractor(truncation: str, padding: str, samples: int) -> None:
    """The extractor at its published size; of clips over 10 s it gets the first 10 s, and draws nothing."""
    extractor = ClapFeatureExtractor(truncation=truncation, padding=padding)
    spec = ClapSpec.of(extractor.to_dict(), fusion=truncation == "fusion")
    clips = waves(samples, 2)
    clips[1, 30_000:] = 0  # -100 dB
    state = np.random.get_state()[1].copy()  # type: ignore[index]
    inputs = ClapFrontEnd(spec, ClipFormat(48_000, samples))(clips)
    assert np.array_equal(state, np.random.get_state()[1])  # type: ignore[index]
    expected = extractor(list(clips[:, :480_000].numpy()), sampling_rate=48_000, return_tensors="pt").input_features
    assert inputs.shape == (2, 1001, 64) and inputs.dtype == torch.float32
    for channel in range(expected.shape[1]):
        torch.testing.assert_close(inputs, expected[:, channel].float(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("fused", [False, True])
def test_an_embedding_is_that_of_transformers(fused: bool, tmp_path: Path) -> None:
    model = write_clap(tmp_path, fused=fused)
    before, drawn = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    backbone = load(tmp_path)
    embedded = backbone.embed(backbone.frontend(waves()))
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(drawn, np.random.get_state()[1])  # type: ignore[index]
    extractor = ClapFeatureExtractor.from_pretrained(tmp_path)
    inputs = extractor(list(waves().numpy()), sampling_rate=48_000, return_tensors="pt")
    texts = AutoTokenizer.from_pretrained(tmp_path)(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        # the extractor has marked a random clip of the three as long where the network fuses
        expected = model.get_audio_features(inputs.input_features, is_longer=torch.zeros(3, 1, dtype=torch.bool))
        names = model.get_text_features(**texts)
    torch.testing.assert_close(embedded, expected.pooler_output, atol=1e-5, rtol=1e-5)
    assert backbone.text is not None and backbone.sample_rate == 48_000
    torch.testing.assert_close(backbone.text.embed(TEXTS), names.pooler_output, atol=1e-5, rtol=1e-5)
    assert torch.equal(backbone.text.embed(TEXTS[1:]), backbone.text.embed(TEXTS)[1:])
    assert not torch.isclose(*backbone.text.embed(TEXTS)).all()
    assert backbone.text.embed(["long " * 100]).shape == (1, backbone.dim)


@pytest.mark.parametrize("training", [False, True])
def test_an_embedding_does_not_depend_on_the_batch(training: bool, tmp_path: Path) -> None:
    write_clap(tmp_path, fused=True)
    backbone = load(tmp_path)
    network = trainable(backbone) if training else backbone
    statistics = {name: value.clone() for name, value in network.named_buffers()}
    inputs = backbone.frontend(waves(clips=5))
    before = torch.random.get_rng_state()
    together = network.embed(inputs)
    torch.testing.assert_close(together, torch.cat([network.embed(clip[None]) for clip in inputs]), atol=1e-6, rtol=0)
    assert torch.equal(before, torch.random.get_rng_state())  # no dropout, no stochastic depth
    assert all(torch.equal(value, statistics[name]) for name, value in network.named_buffers())
    if training:
        together.sum().backward()
        assert network.model.audio_projection.linear2.weight.grad.abs().sum() > 0
        assert network.text is backbone.text  # not trained, not copied


def test_of_a_long_clip_the_first_second_is_read(tmp_path: Path) -> None:
    write_clap(tmp_path)
    long, short = (load(tmp_path, ClipFormat(48_000, samples)) for samples in (70_000, 48_000))
    clips = waves(70_000)
    assert torch.equal(long.frontend(clips), short.frontend(clips[:, :48_000]))
    assert long.digest == short.digest


def test_digests_cover_what_is_used(tmp_path: Path) -> None:
    write_clap(tmp_path / "first")
    write_clap(tmp_path / "padded", padding="pad")
    write_clap(tmp_path / "other")
    weights = load_file(tmp_path / "other/model.safetensors")
    weights["text_projection.linear2.bias"] += 1
    save_file(weights, tmp_path / "other/model.safetensors", metadata={"format": "pt"})
    write_clap(tmp_path / "words")
    path = tmp_path / "words/tokenizer.json"
    path.write_text(path.read_text() + "\n")
    first, padded, other, words = (load(tmp_path / name) for name in ("first", "padded", "other", "words"))
    assert first.digest == other.digest == words.digest != padded.digest
    texts = [backbone.text.digest for backbone in (first, other, words, padded) if backbone.text]
    assert len(texts) == 4 and len(set(texts)) == 3 and texts[0] == texts[3]


def test_without_a_tokenizer_there_is_no_text(tmp_path: Path) -> None:
    write_clap(tmp_path, tokenizer=False)
    backbone = load(tmp_path)
    assert backbone.text is None and backbone.provides == {"embed", "spectrogram", "tune"}
    method = find_method("clap-text")
    with pytest.raises(EarshotError, match=r"^method clap-text: needs text of .*; text needs .* tokenizer$") as caught:
        check_backbone(method, method.Settings(), backbone, "clap")
    assert "\n" not in str(caught.value)
    method = find_method("ede")
    with pytest.raises(
        EarshotError, match=r"^method ede: needs tokens of its backbone, .*methods that fit: .*simplecil"
    ):
        check_backbone(method, method.Settings(), backbone, "clap")


def test_a_tokenizer_of_words_and_merges(tmp_path: Path) -> None:
    """As in checkpoints from before `tokenizer.json`."""
    write_clap(tmp_path / "one")
    write_clap(tmp_path / "two", tokenizer=False)
    one = load(tmp_path / "one")
    assert isinstance(one.text, ClapText)
    one.text._tokenizer.backend_tokenizer.model.save(str(tmp_path / "two"))
    two = load(tmp_path / "two")
    assert two.text is not None
    assert torch.equal(one.text.embed(TEXTS), two.text.embed(TEXTS))


def without(folder: Path, parameter: str) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[parameter]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_checkpoint_with_missing_parameters_is_one_line(tmp_path: Path) -> None:
    for folder, parameter in (("audio", "audio_projection.linear1.bias"), ("text", "text_model.pooler.dense.bias")):
        write_clap(tmp_path / folder)
        without(tmp_path / folder, parameter)
    with pytest.raises(
        EarshotError, match=r"without 1 parameter \(such as audio_projection\.linear1\.bias\)"
    ) as caught:
        load(tmp_path / "audio")
    assert "\n" not in str(caught.value)
    backbone = load(tmp_path / "text")  # its audio tower is complete
    method = find_method("clap-text")
    with pytest.raises(EarshotError, match=r"without 1 parameter \(such as text_model\.pooler\.dense\.bias\)"):
        check_backbone(method, method.Settings(), backbone, "clap")


def test_a_tokenizer_of_another_model_is_one_line(tmp_path: Path) -> None:
    write_clap(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text("{")
    backbone = load(tmp_path)
    assert backbone.text is not None
    with pytest.raises(EarshotError, match="its tokenizer cannot be loaded") as caught:
        backbone.text.embed(TEXTS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_length_s": 0}, "front end of a CLAP: max_length_s: input should be greater than"),
        ({"max_length_s": 1_000_000}, "front end of a CLAP: max_length_s: input should be less than"),
        ({"padding": "mirror"}, "front end of a CLAP: padding: input should be 'repeatpad', 'repeat' or 'pad'"),
        ({"frequency_max": 30_000}, "front end of a CLAP: .*half the sampling_rate"),
        ({"feature_size": 32}, "reads 16 bands and up to 256 frames, its front end gives 32 bands and 101 frames"),
        ({"max_length_s": 4}, "gives 16 bands and 401 frames"),
    ],
)
def test_a_front_end_that_does_not_fit_is_one_line(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_clap(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(EarshotError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"depths": [1, 3]}, r"expected depths \[1, 2\] as in .*found \[1, 3\]"),
        ({"spec_size": 1 << 20}, "spec_size up to 1024, found .* and 1048576"),
        ({"max_length_s": 1 << 20}, "front end of a CLAP: max_length_s"),
        ({"model_type": "wavlm"}, "model_type: expected one of clap_audio_model"),
    ],
)
def test_the_configuration_of_an_export_is_checked(
    changes: dict[str, Any], message: str | None, tmp_path: Path
) -> None:
    write_clap(tmp_path)
    backbone = load(tmp_path)
    (tmp_path / "export").mkdir()
    backbone.save_config(tmp_path / "export")
    values = {**json.loads((tmp_path / "export/config.json").read_text()), **changes}
    state = {name: value.clone() for name, value in backbone.saved_state().items()}
    if message is None:
        again = restore(values, state, BackboneSpec(""), CLIPS).eval()
        assert again.digest == backbone.digest and again.text is None
        assert torch.equal(again.embed(again.frontend(waves())), backbone.embed(backbone.frontend(waves())))
        return
    with pytest.raises(EarshotError, match=message) as caught:
        restore(values, state, BackboneSpec(""), CLIPS)
    assert "\n" not in str(caught.value)
