"""CLAP (Wu et al. 2023, arXiv 2211.06687): an encoder of sounds whose embedding can be compared with that of a text.

The audio tower is a Swin transformer on log-mel spectrograms of 10 s (HTS-AT); the embedding is its projection into the
common space, of length 1, as `ClapModel.get_audio_features` gives it.

- A shorter clip is repeated up to 10 s, of a longer one the first 10 s are used (`trainables.networks.clap_frontend`).
  Networks that fuse several parts of longer clips (`clap-htsat-fused`) therefore see none.
- Its blocks differ in width and see windows that shift, so there are no token maps.
- BatchNorm keeps its pretrained statistics while a method trains the network, so no clip depends on its batch.
- The text tower is loaded when a method asks for it. It is no part of exports, nor of what a method trains.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    ClapAudioModelWithProjection,
    ClapFeatureExtractor,
    ClapTextModelWithProjection,
    RobertaTokenizer,
)
from transformers.utils import cached_file

from datasets.utils.errors import EarshotError, first_line
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.backbones.pretrained import ADVICE, extractor_settings, pretrained, restored, save_config
from trainables.networks.backbones.source import Source
from trainables.networks.clap_frontend import ClapFrontEnd, ClapSpec
from trainables.networks.specs import BackboneSpec, Capability, ClipFormat
from trainables.networks.weights import weights_digest

EXAMPLE = "laion/clap-htsat-unfused"
MODEL_TYPES = ("clap",)
LAYERS = False
FRONT_ENDS = False
POOLS = ("projection",)

PROVIDES: frozenset[Capability] = frozenset({"embed", "spectrogram", "tune"})

AUDIO_TYPE = "clap_audio_model"
LARGEST = 1024  # of spec_size, in the configuration of an export
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""The files of a tokenizer: one of these groups."""

ARCHITECTURE = (
    "num_attention_heads", "hidden_act", "projection_hidden_act", "layer_norm_eps", "window_size", "patch_stride",
    "spec_size", "depths", "enable_fusion", "fusion_type", "flatten_patch_embeds",
)  # fmt: skip
"""What changes the output and not the shapes of the parameters."""
TEXT_ARCHITECTURE = ("num_attention_heads", "hidden_act", "projection_hidden_act", "layer_norm_eps", "pad_token_id")


class ClapText:
    """The text tower of a CLAP, on the CPU; read when it is first used.

    Args:
        source: of its weights.
        tokenizer: the files of its tokenizer.
    """

    def __init__(self, source: Source, tokenizer: Sequence[Path]) -> None:
        self._source = source
        self._files = tokenizer

    def __deepcopy__(self, memo: dict[int, Any]) -> "ClapText":
        return self  # it is frozen: copies of a backbone share it

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its weights, architecture and tokenizer."""
        config = self._model.config
        values = [(key, getattr(config, key)) for key in TEXT_ARCHITECTURE]
        content = hashlib.sha256(weights_digest(self._model, repr(values).encode()).encode())
        for path in self._files:
            content.update(hashlib.sha256(path.read_bytes()).digest())
        return content.hexdigest()

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Texts to `[texts, dim]`, of length 1; one at a time, so that no text depends on the others."""
        rows = []
        for text in texts:
            tokens = self._tokenizer(text, return_tensors="pt", truncation=True, max_length=self._longest)
            with torch.inference_mode():
                rows.append(self._model(**tokens).text_embeds[0])
        return nn.functional.normalize(torch.stack(rows), dim=1).clone()

    @property
    def _longest(self) -> int:
        return int(self._model.config.max_position_embeddings) - 2  # RoBERTa counts positions from 2

    @cached_property
    def _model(self) -> Any:
        return pretrained(ClapTextModelWithProjection, self._source, part="text_config").eval().requires_grad_(False)

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            tokenizer = RobertaTokenizer.from_pretrained(self._files[0].parent, local_files_only=True)
        except Exception as error:  # transformers and tokenizers raise many types of exception for a bad file
            reason = first_line(error)
            raise EarshotError(f"backbone '{self._source.name}': its tokenizer cannot be loaded ({reason})") from None
        if len(tokenizer) > self._model.config.vocab_size:
            raise EarshotError(
                f"backbone '{self._source.name}': its tokenizer has {len(tokenizer)} tokens, its text tower "
                f"{self._model.config.vocab_size}; use the tokenizer that belongs to it"
            )
        return tokenizer


class ClapBackbone(Backbone):
    """The audio tower of a CLAP with its projection.

    Args:
        model: of `transformers`.
        frontend: gives spectrograms.
        text: the text tower; None if it has no tokenizer, and in exports.

    Raises:
        EarshotError: the front end does not fit the network.
    """

    family = "clap"
    frontend: ClapFrontEnd

    def __init__(self, model: Any, frontend: ClapFrontEnd, text: ClapText | None = None) -> None:
        super().__init__()
        self.model = model
        self.frontend = frontend
        self.text = text
        self.sample_rate = frontend.spec.sampling_rate
        self.dim = model.config.projection_dim
        self.provides = PROVIDES if text is None else PROVIDES | {"text"}
        config, spec = model.config, frontend.spec
        frames = config.spec_size * (config.spec_size // config.num_mel_bins)
        if spec.feature_size != config.num_mel_bins or spec.frames > frames:
            raise EarshotError(
                f"backbone: its network reads {config.num_mel_bins} bands and up to {frames} frames, its front end "
                f"gives {spec.feature_size} bands and {spec.frames} frames; use the preprocessor_config.json that "
                "belongs to it"
            )
        self.digest = weights_digest(self)

    @property
    def architecture(self) -> bytes:
        values = [(key, _plain(getattr(self.model.config, key))) for key in ARCHITECTURE]
        return repr((self.family, values, str(self.frontend.spec))).encode()

    def train(self, mode: bool = True) -> "ClapBackbone":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def embed(self, inputs: Tensor) -> Tensor:
        """The projection, of length 1: `[clips, frames, bands]` to `[clips, dim]`."""
        long = torch.zeros(len(inputs), 1, dtype=torch.bool, device=inputs.device)
        embedded: Tensor = self.model(input_features=inputs[:, None], is_longer=long).audio_embeds
        return nn.functional.normalize(embedded.float(), dim=1)

    def save_config(self, folder: Path) -> None:
        config, spec = self.model.config, self.frontend.spec
        settings = spec.model_dump(exclude={"slaney"})
        truncation = "rand_trunc" if spec.slaney else "fusion"
        save_config(config, folder, num_hidden_layers=len(config.depths), truncation=truncation, **settings)

    def saved_state(self) -> dict[str, Tensor]:
        return dict(self.model.state_dict())


def load(source: Source, spec: BackboneSpec, clips: ClipFormat, device: torch.device | str = "cpu") -> ClapBackbone:
    """Loads the audio tower with its front end, and finds the text tower.

    Raises:
        EarshotError: the checkpoint is incomplete, or the clips do not fit.
    """
    settings = extractor_settings(ClapFeatureExtractor, source)
    model = pretrained(ClapAudioModelWithProjection, source, part="audio_config")
    files = _tokenizer_files(source)
    text = ClapText(source, files) if files else None
    return ClapBackbone(model, _frontend(model, settings, clips, device), text)


def restore(
    values: Mapping[str, Any], state: Mapping[str, Tensor], spec: BackboneSpec, clips: ClipFormat, device: Any = "cpu"
) -> ClapBackbone:
    """The audio tower from the files of an export; see `ast.restore`."""
    stages: dict[int, set[str]] = {}
    for name in state:
        if match := re.match(r"audio_model\.audio_encoder\.layers\.(\d+)\.blocks\.(\d+)\.", name):
            stages.setdefault(int(match[1]), set()).add(match[2])
    depths = [len(stages[stage]) for stage in sorted(stages)]
    size = values.get("spec_size")
    if values.get("depths") != depths or not isinstance(size, int) or not 1 <= size <= LARGEST:
        raise EarshotError(
            f"backbone/config.json: expected depths {depths} as in backbone/model.safetensors and spec_size up to "
            f"{LARGEST}, found {str(values.get('depths'))[:100]} and {str(size)[:20]}; {ADVICE}"
        )
    model = restored(ClapAudioModelWithProjection, (AUDIO_TYPE,), values, state)
    return ClapBackbone(model, _frontend(model, values, clips, device))


def _frontend(model: Any, settings: Mapping[str, Any], clips: ClipFormat, device: Any) -> ClapFrontEnd:
    return ClapFrontEnd(ClapSpec.of(settings, fusion=model.config.enable_fusion), clips, device)


def _tokenizer_files(source: Source) -> tuple[Path, ...]:
    """The files of the tokenizer in a folder, the local cache or on the hub; none where there is no whole one."""
    for local in (True, False) if source.hub else (True,):
        for names in TOKENIZERS:
            paths = [_file(source, name, local=local) for name in names]
            if all(paths):
                paths.append(_file(source, "tokenizer_config.json", local=local))
                return tuple(Path(path) for path in paths if path)
    return ()


def _file(source: Source, name: str, *, local: bool) -> str | None:
    try:
        return cached_file(source.location, name, local_files_only=local)
    except OSError:  # there is none, or the hub does not answer
        return None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
