"""Models of `transformers`: loaded with every parameter checked, restored from exports, without what training adds."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoConfig
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from datasets.utils.errors import EarshotError, first_line
from trainables.networks.backbones.source import Source, check_hub

PLAIN = (bool, int, float, str, list, type(None))


def pretrained(model_class: Any, source: Source, **options: Any) -> Any:
    """Loads a model from a folder, the local cache or the hub, in float32; dropout and SpecAugment are off.

    Args:
        model_class: of `transformers`.
        source: of its weights.
        options: of `from_pretrained`.

    Raises:
        EarshotError: it cannot be loaded, or its parameters are not those of the class.
    """
    disable_progress_bar()  # of reading tensors from a file
    set_verbosity_error()  # left-over heads; what matters is checked below
    try:
        return _load(model_class, source, local=True, **options)
    except EarshotError:
        if not source.hub:
            raise
    check_hub(source.name)
    return _load(model_class, source, local=False, **options)


def restored(
    model_class: Any, model_types: Sequence[str], values: Mapping[str, Any], state: Mapping[str, Tensor]
) -> Any:
    """A model from the files of an export, which are untrusted: only plain values that its configuration has are read.

    Args:
        model_class: of `transformers`.
        model_types: that are accepted.
        values: of `config.json`.
        state: its weights.

    Raises:
        EarshotError: it is a model of another type.
    """
    if values.get("model_type") not in model_types:
        raise EarshotError(f"model_type: expected one of {', '.join(model_types)}")
    config_class: Any = CONFIG_MAPPING[values["model_type"]]
    known = set(config_class().to_dict()) - {"model_type", "transformers_version", "auto_map", "_name_or_path"}
    config = config_class(**{key: value for key, value in values.items() if key in known and isinstance(value, PLAIN)})
    config._attn_implementation = _attention(config)
    with torch.device("meta"):  # no draw from the global generator, no initialisation
        model = model_class.from_config(config) if hasattr(model_class, "from_config") else model_class(config)
    model.load_state_dict(state, assign=True)
    return model


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


def _load(model_class: Any, source: Source, *, local: bool, **options: Any) -> Any:
    try:
        config = AutoConfig.from_pretrained(source.location, local_files_only=local)
        _without_dropout(config)
        with torch.random.fork_rng(devices=[]):  # it draws weights before it reads them
            model, info = model_class.from_pretrained(
                source.location,
                config=config,
                local_files_only=local,
                dtype=torch.float32,
                output_loading_info=True,
                **{"attn_implementation": _attention(config), **options},
            )
    except Exception as error:  # transformers raises many types of exception for a bad folder
        name = f"transformers.{model_class.__name__}"
        raise EarshotError(f"backbone '{source.name}': cannot be loaded by {name} ({first_line(error)})") from None
    _check_complete(model, source, info)
    return model


def _attention(config: Any) -> str:
    return "eager" if config.model_type == "wavlm" else "sdpa"  # its own, which no other replaces


def _without_dropout(config: Any) -> None:
    """Dropout, LayerDrop and SpecAugment would draw from global generators when a method trains the network."""
    for key, value in config.to_dict().items():
        if isinstance(value, (int, float)) and ("dropout" in key or "layerdrop" in key or key.endswith("_prob")):
            setattr(config, key, 0.0)


def _check_complete(model: nn.Module, source: Source, info: dict[str, Any]) -> None:
    """Heads may be left over; any other difference means that weights would be random or unused."""
    own = {name for name, _ in model.named_children()}
    for kind, names in (
        ("has no", info["missing_keys"]),
        ("has another shape for", [key if isinstance(key, str) else key[0] for key in info["mismatched_keys"]]),
        ("has an unknown", [key for key in info["unexpected_keys"] if key.split(".")[0] in own]),
    ):
        if names := sorted(names):
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise EarshotError(
                f"backbone '{source.name}': the checkpoint {kind} parameter '{names[0]}'{more} of "
                f"transformers.{type(model).__name__}; give a complete checkpoint of this architecture"
            )
