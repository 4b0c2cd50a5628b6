"""Models of `transformers`: loaded with every parameter checked, restored from exports, without what training adds."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoConfig
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from datasets.utils.errors import EarshotError, first_line
from trainables.networks.backbones.source import Source, check_hub
from trainables.networks.checkpoint import Architecture, check_parameters, load_parameters

ADVICE = "export it again"
PLAIN = (bool, int, float, str, list, type(None))


def pretrained(
    model_class: Any,
    source: Source,
    architecture: Architecture | None = None,
    part: str = "",
    key_mapping: dict[str, str] | None = None,
) -> Any:
    """Loads a model from a folder, the local cache or the hub, in float32; dropout and SpecAugment are off.

    Args:
        model_class: of `transformers`.
        source: of its weights.
        architecture: of the model; by default all parameters of its parts must fit, and any heads are ignored.
        part: the key of its configuration in that of a model with several towers.
        key_mapping: patterns of names of a checkpoint's parameters, and what replaces them; for a part of a model.

    Raises:
        EarshotError: it cannot be loaded, or its parameters are not those of the class.
    """
    disable_progress_bar()  # of reading tensors from a file
    set_verbosity_error()  # left-over heads; what matters is checked below
    try:
        return _load(model_class, source, architecture, part, key_mapping, local=True)
    except _UnreadableError:
        if not source.hub:
            raise
    check_hub(source.name)
    return _load(model_class, source, architecture, part, key_mapping, local=False)


def restored(
    model_class: Any,
    model_types: Sequence[str],
    values: Mapping[str, Any],
    state: Mapping[str, Tensor],
    depth: str = "num_hidden_layers",
) -> Any:
    """A model from the files of an export, which are untrusted: only plain values that its configuration has are read.

    Args:
        model_class: of `transformers`.
        model_types: that are accepted.
        values: of `config.json`.
        state: its weights.
        depth: the key of the number of blocks.

    Raises:
        EarshotError: it is a model of another type, or its weights do not fit.
    """
    if values.get("model_type") not in model_types:
        raise EarshotError(f"model_type: expected one of {', '.join(model_types)}")
    check_depth(values, state, depth)
    config_class: Any = CONFIG_MAPPING[values["model_type"]]
    known = set(config_class().to_dict()) - {"model_type", "transformers_version", "auto_map", "_name_or_path"}
    config = config_class(**{key: value for key, value in values.items() if key in known and isinstance(value, PLAIN)})
    config._attn_implementation = _attention(config)
    with torch.device("meta"):  # no draw from the global generator, no initialisation
        model = model_class.from_config(config) if hasattr(model_class, "from_config") else model_class(config)
    load_parameters(model, state, "backbone", architecture_of(model), assign=True, advice=ADVICE)
    return model


def check_depth(values: Mapping[str, Any], state: Mapping[str, Tensor], key: str = "num_hidden_layers") -> None:
    """Checks the number of blocks in a configuration before as many are made.

    Raises:
        EarshotError: the weights have another number.
    """
    blocks = {match[1] for name in state if (match := re.match(r"(?:.*\.)?layers\.(\d+)\.", name))}
    if values.get(key) != len(blocks):
        raise EarshotError(
            f"backbone/config.json: {key}: expected {len(blocks)} as in backbone/model.safetensors, found "
            f"{values.get(key)!r}; {ADVICE}"
        )


def save_config(config: Any, folder: Path, **more: Any) -> None:
    """Writes `config.json` with the settings of the front end beside those of the model."""
    values = {key: value for key, value in config.to_dict().items() if isinstance(value, PLAIN)}
    (folder / "config.json").write_text(json.dumps({**values, **more}, indent=1, sort_keys=True) + "\n")


def extractor_settings(extractor_class: Any, source: Source) -> dict[str, Any]:
    """Settings of a model's feature extractor; those of its class where the model was saved without one."""
    for local in (True, False) if source.hub else (True,):
        try:
            settings, _ = extractor_class.get_feature_extractor_dict(source.location, local_files_only=local)
        except OSError:
            continue
        return {**extractor_class().to_dict(), **settings}
    return dict(extractor_class().to_dict())


class _UnreadableError(EarshotError):
    """A checkpoint is not there, or cannot be read."""


def _load(
    model_class: Any,
    source: Source,
    architecture: Architecture | None,
    part: str,
    key_mapping: dict[str, str] | None,
    *,
    local: bool,
) -> Any:
    try:
        config_class: Any = AutoConfig if part else getattr(model_class, "config_class", None) or AutoConfig
        config = config_class.from_pretrained(source.location, local_files_only=local)
        config = getattr(config, part) if part else config
        without_dropout(config)
        with torch.random.fork_rng(devices=[]):  # it draws weights before it reads them
            model, info = model_class.from_pretrained(
                source.location,
                config=config,
                local_files_only=local,
                dtype=torch.float32,
                output_loading_info=True,
                attn_implementation=_attention(config),
                key_mapping=key_mapping,
            )
    except Exception as error:  # transformers raises many types of exception for a bad folder
        name = f"transformers.{model_class.__name__}"
        reason = first_line(error)
        raise _UnreadableError(f"backbone '{source.name}': cannot be loaded by {name} ({reason})") from None
    architecture = architecture or architecture_of(model)
    differences = (info["missing_keys"], info["unexpected_keys"], info["mismatched_keys"])
    check_parameters(f"backbone '{source.name}'", architecture, *differences)
    return model


def architecture_of(model: Any) -> Architecture:
    """Parameters that are in no part of the model are of heads, and ignored."""
    parts = "|".join(re.escape(name) for name, _ in model.named_children())
    return Architecture(type(model).__name__, model.config.model_type, re.compile(rf"(?!({parts})\.)"))


def _attention(config: Any) -> str:
    """Of models that have their own, which no other replaces: eager."""
    return "eager" if config.model_type in ("clap_audio_model", "clap_text_model", "wavlm") else "sdpa"


def without_dropout(config: Any) -> None:
    """All that would draw from global generators when a method trains the network: dropout, LayerDrop, stochastic
    depth, SpecAugment."""
    for key, value in config.to_dict().items():
        if isinstance(value, (int, float)) and (re.search("dropout|layerdrop|drop_path", key) or key.endswith("_prob")):
            setattr(config, key, 0.0)
