"""Chains, exports and errors with encoders of every family, through the public path."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from orchestrator.exporting.export import Overrides, export
from orchestrator.results.run_folder import RunFolder
from tests.support.chain_runs import PROTOCOL, quick, write_run
from tests.support.encoders import write_clap, write_remote, write_wav2vec2_bert, write_wave_encoder, write_whisper
from trainables.chain_config import ChainConfig
from trainables.inference.exported_model import load_model
from trainables.methods.registry import check_backbone, find_method, methods
from trainables.networks.backbones.own import OwnBackbone
from trainables.networks.backbones.registry import family_names, load_backbone
from trainables.networks.specs import LOCAL_CODE, BackboneSpec, ClipFormat
from trainables.session_chain import Chain

OWN = """\
import torch
from torch import nn


class Encoder(nn.Module):
    sample_rate, dim = 8_000, 12

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.bands = nn.Conv1d(1, 12, 64, stride=256)
        nn.init.normal_(self.bands.weight, std=0.1)
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(12, 2, 24, batch_first=True) for _ in range(3))
        self.norm = nn.RMSNorm(12)

    def tokens(self, waves):
        return self.bands(waves[:, None]).transpose(1, 2)


def encoder():
    return Encoder()


class Bands(nn.Module):
    sample_rate, dim = 16_000, 12

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.bands = nn.Conv1d(1, 12, 64, stride=32)

    def embed(self, waves):
        return self.bands(waves[:, None]).square().mean(dim=2)


class Fixed:
    sample_rate, dim = 16_000, 2

    def embed(self, waves):
        return torch.stack([waves.mean(dim=1), waves.std(dim=1)], dim=1)
"""

BAD = (
    OWN
    + """
import numpy


def raises():
    raise OSError("no weights")


def wrong_shape():
    fixed = Fixed()
    fixed.dim = 3
    return fixed


def not_finite():
    fixed = Fixed()
    fixed.embed = lambda waves: torch.full((len(waves), 2), torch.nan)
    return fixed


def no_rate():
    return object()


def changed(**values):
    network = Encoder()
    for key, value in values.items():
        delattr(network, key) if hasattr(network, key) and key != "tokens" else None
        setattr(network, key, value)
    return network


def no_blocks():
    return changed(blocks=[nn.Identity()])


def two_classes():
    return changed(blocks=nn.ModuleList([nn.Identity(), nn.LayerNorm(12)]))


def wrong_tokens():
    return changed(tokens=lambda waves: waves)


def wrong_block():
    return changed(blocks=nn.ModuleList([nn.Linear(12, 13)]))


def block_raises():
    return changed(blocks=nn.ModuleList([nn.Linear(13, 12)]))


def nan_tokens():
    return changed(tokens=lambda waves: torch.full((2, 5, 12), torch.nan))


def wrong_norm():
    return changed(norm=1.0)


class Tokens(Fixed):
    tokens = Encoder.tokens


class NoGradients(Bands):
    @torch.no_grad()
    def embed(self, waves):
        return super().embed(waves)


class Numpy(Bands):
    def embed(self, waves):
        return torch.from_numpy(numpy.stack([super(Numpy, self).embed(waves).numpy()])[0])
"""
)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A backbone of every family, by family."""
    folder = tmp_path_factory.mktemp("encoders")
    write_wave_encoder(folder / "waves", "wavlm")
    write_clap(folder / "clap", fused=True)
    write_wav2vec2_bert(folder / "bert")
    write_whisper(folder / "whisper", max_source_positions=50)
    write_remote(folder / "remote")
    (folder / "encoder.py").write_text(OWN)
    (folder / "bad.py").write_text(BAD)
    return {
        "ast": "random-tiny",
        "clap": str(folder / "clap"),
        "own": f"{folder / 'encoder.py'}:encoder",
        "remote": str(folder / "remote"),
        "resnet": "resnet18",
        "wav2vec2": str(folder / "waves"),
        "wav2vec2_bert": str(folder / "bert"),
        "whisper": str(folder / "whisper"),
    }


def test_every_family_is_tested(encoders: dict[str, str]) -> None:
    assert tuple(encoders) == family_names()


def config(tones: Path, store: Path, method: str, backbone: str, **changes: Any) -> ChainConfig:
    fields: dict[str, Any] = {"benchmark": tones, "method": method, "settings": quick(method), "protocol": PROTOCOL}
    if backbone.endswith("remote"):
        fields["trust_remote_code"] = LOCAL_CODE
    return ChainConfig.model_validate({**fields, "store": store, "backbone": backbone, **changes})


@pytest.mark.parametrize(
    ("family", "method", "options"),
    [
        ("wav2vec2", "ede", {}),
        ("wav2vec2", "memo", {"layer": 2}),
        ("wav2vec2", "simplecil", {"layer": "mean"}),
        ("clap", "clap-text", {}),
        ("clap", "finetune", {}),
        ("wav2vec2_bert", "memo", {"layer": 2}),
        ("whisper", "ede", {}),
        ("whisper", "simplecil", {"layer": "mean", "padding": "none"}),
        ("ast", "simplecil", {"pool": "cls"}),
        ("own", "icarl", {}),
        ("own", "ede", {}),
        ("own", "memo", {}),
        ("own", "mar", {}),
        ("own", "ranpac", {"settings": {"tuning": "none"}}),
        ("remote", "icarl", {"trust_remote_code": LOCAL_CODE}),
        ("resnet", "simplecil", {}),
    ],
)
def test_a_chain_resumes_with_equal_bytes_and_its_export_predicts_the_same(
    family: str, method: str, options: dict[str, Any], encoders: dict[str, str], tones: Path, tmp_path: Path
) -> None:
    backbone, trust = encoders[family], options.get("trust_remote_code")
    trial = write_run(tmp_path, tones, method, backbone=backbone, **options)
    folder = RunFolder(tmp_path.resolve() / "it").trial(trial)
    written = {path.name: path.read_bytes() for path in folder.glob("session-*.parquet")}

    interrupted = config(tones, tmp_path / "other", method, backbone, **options)
    Chain(interrupted, tmp_path / "resumed").step()
    resumed = Chain(interrupted, tmp_path / "resumed")
    cached = []
    while not resumed.done:
        cached.append(resumed.step().cached)
    assert cached == [True, False, False]
    assert {path.name: path.read_bytes() for path in (tmp_path / "resumed").glob("session-*.parquet")} == written

    export(
        RunFolder(tmp_path / "it"),
        trial,
        tmp_path / "model",
        overrides=Overrides(backbone=backbone, trust_remote_code=trust),
    )
    model = load_model(
        tmp_path / "model", code=backbone if family in ("own", "remote") else "", trust_remote_code=trust
    )
    shards = Shards(tones)
    positions = shards.select(splits=["test"])
    scores = model.score(shards.audio(positions))
    learner = resumed.learner
    assert learner is not None
    for head, expected in learner.score(tuple(map(int, positions))).items():
        torch.testing.assert_close(scores[head], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["clap", "own", "remote", "resnet", "wav2vec2", "wav2vec2_bert", "whisper"])
def test_every_method_runs_on_every_family_that_it_fits(
    family: str, encoders: dict[str, str], tones: Path, tmp_path: Path
) -> None:
    """As the table in docs/methods.md says, which `test_the_table_of_families` compares with the declarations."""
    for name, method in methods().items():
        settings = {key: 1 for key in quick(name)}
        chosen = config(tones, tmp_path / "store", name, encoders[family], settings=settings)
        backbone = load_backbone(chosen.backbone_spec, ClipFormat(16_000, 6_400))
        if not method.backbone:
            continue
        if method.capabilities(method.Settings()) <= backbone.provides:
            chain = Chain(chosen, tmp_path / name)
            chain.step()
            if family != "resnet":  # which takes longer; its later sessions are no different
                chain.step()
        else:
            with pytest.raises(EarshotError, match=f"^method {name}: needs .*; methods that fit: .*simplecil"):
                Chain(chosen, tmp_path / name)


def test_another_pool_has_no_token_maps(tones: Path, tmp_path: Path) -> None:
    Chain(config(tones, tmp_path / "store", "finetune", "random-tiny", pool="pooler"), tmp_path / "trial").step()
    with pytest.raises(EarshotError, match=r"^method ede: needs tokens of its backbone"):
        Chain(config(tones, tmp_path / "store", "ede", "random-tiny", pool="pooler"), tmp_path / "trial")


def test_code_that_comes_with_weights_runs_if_the_user_names_its_revision(
    encoders: dict[str, str], tones: Path, tmp_path: Path
) -> None:
    name, clips = encoders["remote"], ClipFormat(16_000, 6_400)
    for revision, message in (
        (None, r"a model with code of its own, .* add --trust-remote-code with 'local'$"),
        ("0" * 40, "--trust-remote-code: expected 'local' for backbone"),
    ):
        with pytest.raises(EarshotError, match=message):
            load_backbone(BackboneSpec(name, trust_remote_code=revision), clips)
    backbone = load_backbone(BackboneSpec(name, trust_remote_code=LOCAL_CODE), clips)
    assert (backbone.family, backbone.sample_rate, backbone.dim) == ("remote", 8_000, 12)

    changed = tmp_path / "changed"
    write_remote(changed)
    (changed / "bands.py").write_text((changed / "bands.py").read_text() + "# another\n")
    assert load_backbone(BackboneSpec(str(changed), trust_remote_code=LOCAL_CODE), clips).digest != backbone.digest
    with pytest.raises(EarshotError, match=r"'random-tiny' \(ast\) has no code of its own; leave it out$"):
        load_backbone(BackboneSpec("random-tiny", trust_remote_code=LOCAL_CODE), clips)

    trial = write_run(tmp_path, tones, "simplecil", backbone=name, trust_remote_code=LOCAL_CODE)
    for given in (Overrides(), Overrides(backbone=name), Overrides(trust_remote_code=LOCAL_CODE)):
        with pytest.raises(
            EarshotError, match=r"code is not taken from a run folder; add --backbone .* --trust-remote"
        ):
            export(RunFolder(tmp_path / "it"), trial, tmp_path / "model", overrides=given)
    both = Overrides(backbone=name, trust_remote_code=LOCAL_CODE)
    export(RunFolder(tmp_path / "it"), trial, tmp_path / "model", overrides=both)
    assert str(tmp_path) not in (tmp_path / "model" / "backbone" / "config.json").read_text()
    with pytest.raises(EarshotError, match=r"which is not part of the export; give it: --backbone NAME --trust-remote"):
        load_model(tmp_path / "model")
    with pytest.raises(EarshotError, match="its code differs from that of the export"):
        load_model(tmp_path / "model", code=str(changed), trust_remote_code=LOCAL_CODE)


def test_remote_code_that_does_not_fit_is_one_line(tmp_path: Path) -> None:
    write_remote(tmp_path / "weights", weights=False)
    for name, old, new in (
        ("raises", "super().__init__(config)", "raise ValueError('no device')"),
        ("rate", "self.sampling_rate = sampling_rate", "self.sampling_rate = None"),
        ("output", "last_hidden_state=", "last_hidden_state=None, attentions="),
    ):
        write_remote(tmp_path / name)
        path = tmp_path / name / "bands.py"
        path.write_text(
            path.read_text().replace(old, new, 1) if name != "raises" else path.read_text().replace(old, new)
        )
    write_remote(tmp_path / "elsewhere")
    config = tmp_path / "elsewhere" / "config.json"
    config.write_text(config.read_text().replace('"bands.BandsModel"', '"other/model--bands.BandsModel"'))
    write_remote(tmp_path / "extractor")
    elsewhere = {"auto_map": {"AutoFeatureExtractor": "other/model--bands.Extractor"}}
    (tmp_path / "extractor" / "preprocessor_config.json").write_text(json.dumps(elsewhere))
    for name, message in {
        "extractor": "its code is in the repository of another model",
        "weights": "found one without 1 parameter .such as layer.bias",
        "raises": "its code failed: ValueError: no device",
        "rate": "sampling_rate: expected a positive whole number",
        "output": "its code failed: .* expected last_hidden_state",
        "elsewhere": "its code is in the repository of another model",
    }.items():
        with pytest.raises(EarshotError, match=message) as caught:
            load_backbone(BackboneSpec(str(tmp_path / name), trust_remote_code=LOCAL_CODE), ClipFormat(16_000, 6_400))
        assert "\n" not in str(caught.value)


def test_a_setting_can_need_more_of_the_backbone(encoders: dict[str, str]) -> None:
    backbone = load_backbone(BackboneSpec("resnet18"), ClipFormat(16_000, 6_400))
    aper = find_method("aper")
    check_backbone(aper, aper.Settings(), backbone, "resnet18")
    with pytest.raises(
        EarshotError, match="method aper: needs tokens of its backbone, 'resnet18' \\(resnet\\) has embed"
    ):
        check_backbone(aper, aper.Settings.model_validate({"tuning": "adapter"}), backbone, "resnet18")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("raises", "the factory failed: OSError: no weights"),
        ("wrong_shape", r"embed: expected floats \[clips, 3\], found \[2, 2\] torch.float32 for 2 clips"),
        ("not_finite", "embed: expected finite values, found NaN"),
        ("no_rate", "sample_rate: expected a positive whole number, found None"),
        ("missing", "has no function missing"),
        ("no_blocks", r"tokens\(waves\) needs blocks in a torch.nn.ModuleList, found list"),
        ("Tokens", r"tokens\(waves\) needs a torch.nn.Module, found Tokens"),
        ("two_classes", "blocks: expected blocks of one class, found Identity, LayerNorm"),
        ("wrong_tokens", r"tokens: expected floats \[clips, tokens, 12\], found \[2, 3200\]"),
        ("wrong_block", r"blocks\[0\]: expected floats \[clips, 13, 12\], found \[2, 13, 13\]"),
        ("block_raises", r"blocks\[0\] failed: RuntimeError: mat1 and mat2"),
        ("nan_tokens", "tokens: expected finite values, found NaN"),
        ("wrong_norm", "norm: expected a torch.nn.Module, found float"),
    ],
)
def test_a_bad_factory_is_one_line(factory: str, message: str, encoders: dict[str, str]) -> None:
    name = encoders["own"].replace("encoder.py:encoder", f"bad.py:{factory}")
    with pytest.raises(EarshotError, match=message) as caught:
        load_backbone(BackboneSpec(name), ClipFormat(16_000, 6_400))
    assert "\n" not in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize(
    ("factory", "provides"),
    [
        ("Fixed", {"embed"}),
        ("Bands", {"embed", "tune"}),
        ("encoder", {"embed", "tune", "tokens"}),
        ("NoGradients", {"embed"}),
        ("Numpy", {"embed"}),
    ],
)
def test_capabilities_are_what_the_object_has(factory: str, provides: set[str], encoders: dict[str, str]) -> None:
    name = encoders["own"].replace("encoder.py:encoder", f"bad.py:{factory}")
    assert load_backbone(BackboneSpec(name), ClipFormat(16_000, 6_400)).provides == provides


def test_a_specialised_part_of_an_own_network(encoders: dict[str, str]) -> None:
    """New weights for the block, also where no name says what is a norm; a block with the weights of the last one."""
    backbone = load_backbone(BackboneSpec(encoders["own"]), ClipFormat(16_000, 6_400))
    assert isinstance(backbone, OwnBackbone)
    waves = torch.randn(2, 3_200, generator=torch.Generator().manual_seed(0))
    part = backbone.new_part(torch.Generator().manual_seed(0))
    assert all(parameter.requires_grad for parameter in part.parameters())
    assert torch.equal(part.block.norm1.weight, torch.ones(12)) and not part.block.linear1.bias.any()
    assert 0.01 < float(part.block.linear1.weight.detach().std()) < 0.03
    again = backbone.new_part(torch.Generator().manual_seed(0))
    torch.testing.assert_close(part(backbone(waves)), again(backbone(waves)), rtol=0, atol=0)
    part.block.load_state_dict(backbone.last_block_state())
    part.norm.load_state_dict(backbone.norm.state_dict())
    hidden = backbone.blocks(backbone.patches(waves), last=2)
    torch.testing.assert_close(part.eval()(hidden), backbone.embed(waves), rtol=1e-5, atol=1e-5)


def test_an_object_that_is_no_module_embeds(encoders: dict[str, str], tones: Path, tmp_path: Path) -> None:
    name = encoders["own"].replace(":encoder", ":Fixed")
    trial = write_run(tmp_path, tones, "simplecil", backbone=name)
    export(RunFolder(tmp_path / "it"), trial, tmp_path / "model", overrides=Overrides(backbone=name))
    assert load_model(tmp_path / "model", code=name).description.backbone is not None
    with pytest.raises(EarshotError, match="method icarl: needs tune"):
        Chain(config(tones, tmp_path / "store", "icarl", name), tmp_path / "trial")


def test_the_digest_of_an_own_network_covers_weights_and_source(tmp_path: Path) -> None:
    def digest(folder: str, text: str) -> str:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "encoder.py").write_text(text)
        spec = BackboneSpec(f"{tmp_path / folder / 'encoder.py'}:encoder")
        return load_backbone(spec, ClipFormat(16_000, 6_400)).digest

    first = digest("one", OWN)
    assert digest("moved", OWN) == first
    assert digest("comment", OWN + "# changed\n") != first
    assert digest("weights", OWN.replace("std=0.1", "std=0.2")) != first


def test_code_that_an_export_names_is_not_run(encoders: dict[str, str], tones: Path, tmp_path: Path) -> None:
    trial = write_run(tmp_path, tones, "simplecil", backbone=encoders["own"])
    with pytest.raises(
        EarshotError, match=r"code is not taken from a run folder; add --backbone .*encoder\.py:encoder$"
    ):
        export(RunFolder(tmp_path / "it"), trial, tmp_path / "model")
    export(RunFolder(tmp_path / "it"), trial, tmp_path / "model", overrides=Overrides(backbone=encoders["own"]))
    with pytest.raises(EarshotError, match=r"made with the network of 'encoder.py:encoder', which is not part of the"):
        load_model(tmp_path / "model")
    other = tmp_path / "other.py"
    other.write_text(OWN + "# another\n")
    with pytest.raises(EarshotError, match="its source differs from that of the export"):
        load_model(tmp_path / "model", code=f"{other}:encoder")
