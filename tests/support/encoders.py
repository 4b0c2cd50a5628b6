"""Small encoders with random weights, saved as `transformers` saves them."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoConfig,
    AutoModel,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    RobertaTokenizer,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    WhisperConfig,
    WhisperModel,
)

SIZE = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48}
WAVES = {
    **SIZE,
    "conv_dim": (12, 12, 12),
    "conv_stride": (10, 8, 4),
    "conv_kernel": (10, 8, 4),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}

WAVE_ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {  # name: model_type, settings
    "wav2vec2": ("wav2vec2", {}),
    "wav2vec2-large": ("wav2vec2", STABLE),
    "hubert": ("hubert", {}),
    "wavlm": ("wavlm", {}),
    "wavlm-large": ("wavlm", STABLE),
    "data2vec": ("data2vec-audio", {"conv_pos_kernel_size": 5}),
    "sew": ("sew", {"squeeze_factor": 2}),
    "unispeech": ("unispeech", {}),
    "unispeech-sat": ("unispeech-sat", {}),
}


def write_wave_encoder(folder: Path, name: str = "wav2vec2", **changes: Any) -> Any:
    """Saves one of `WAVE_ENCODERS`; the model, in evaluation mode."""
    model_type, settings = WAVE_ENCODERS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModel.from_config(AutoConfig.for_model(model_type, **{**WAVES, **settings, **changes}))
    model.save_pretrained(folder)
    return model.eval()


SOUNDS = {
    "spec_size": 64,
    "num_mel_bins": 16,
    "window_size": 4,
    "patch_embeds_hidden_size": 8,
    "depths": [1, 2],
    "num_attention_heads": [1, 2],
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "drop_path_rate": 0.2,
}
TEXTS = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 34,
}
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def write_clap(folder: Path, *, fused: bool = False, tokenizer: bool = True, **extractor: Any) -> ClapModel:
    """Saves a CLAP that reads 1 s at 48 kHz, with a tokenizer of single bytes; the model, in evaluation mode."""
    vocabulary = {text: index for index, text in enumerate((*SPECIAL, *sorted(ByteLevel.alphabet())))}
    fusion = {"enable_fusion": True, "fusion_type": "aff_2d"} if fused else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        texts = {**TEXTS, "vocab_size": len(vocabulary)}
        config = ClapConfig(audio_config={**SOUNDS, **fusion}, text_config=texts, projection_dim=12)
        model = ClapModel(config)
        for parameter in model.parameters():  # larger than they are drawn: texts and clips differ
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    truncation = "fusion" if fused else "rand_trunc"
    settings = {"feature_size": 16, "max_length_s": 1, "truncation": truncation, **extractor}
    ClapFeatureExtractor(**settings).save_pretrained(folder)
    if tokenizer:
        RobertaTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    return model.eval()


def write_whisper(folder: Path, model_class: Any = WhisperModel, **changes: Any) -> Any:
    """Saves a Whisper whose encoder expects two seconds; the model, in evaluation mode."""
    settings: dict[str, Any] = {
        "d_model": 24,
        "encoder_layers": 3,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 48,
        "decoder_layers": 1,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 48,
        "max_source_positions": 100,
        "vocab_size": 8,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = model_class(WhisperConfig(**{**settings, **changes}))
    model.save_pretrained(folder)
    return model.eval()


def write_wav2vec2_bert(folder: Path, **changes: Any) -> Any:
    """Saves a w2v-BERT; the model, in evaluation mode."""
    settings = {**SIZE, "conv_depthwise_kernel_size": 7, "left_max_position_embeddings": 8, **changes}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Wav2Vec2BertModel(Wav2Vec2BertConfig(**settings))
    model.save_pretrained(folder)
    return model.eval()


REMOTE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput


class BandsConfig(PretrainedConfig):
    model_type = "bands"

    def __init__(self, sampling_rate=8000, **others):
        super().__init__(**others)
        self.sampling_rate = sampling_rate


class BandsModel(PreTrainedModel):
    config_class = BandsConfig

    def __init__(self, config):
        super().__init__(config)
        self.layer = torch.nn.Conv1d(1, 12, 400, 160)
        self.post_init()

    def forward(self, input_values):
        return BaseModelOutput(last_hidden_state=self.layer(input_values[:, None]).abs().transpose(1, 2))
"""


def write_remote(folder: Path, *, weights: bool = True) -> None:
    """Saves a model with code of its own, of 12 bands of waveforms at 8 kHz."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bands.py").write_text(REMOTE)
    code = {"AutoConfig": "bands.BandsConfig", "AutoModel": "bands.BandsModel"}
    config = {"model_type": "bands", "auto_map": code, "sampling_rate": 8000}
    (folder / "config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(0)
    tensors = {"layer.weight": torch.randn(12, 1, 400, generator=generator), "layer.bias": torch.zeros(12)}
    if not weights:
        del tensors["layer.bias"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
