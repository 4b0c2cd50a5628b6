"""An encoder whose code comes with its weights (`auto_map` in its `config.json`), with `--trust-remote-code REVISION`.

The code runs as the user, so it never runs without the option, and REVISION says which code: a commit of the model on
the hub, or `local` for that in a folder. It is loaded by `AutoModel` and `AutoFeatureExtractor` of `transformers`.

    inputs     of the model's feature extractor, at its sampling rate; without one, waveforms at `config.sampling_rate`
    embedding  mean over the tokens of `last_hidden_state`, or `last_hidden_state` itself if it has no tokens

The digest covers the weights, the configurations, and the Python files of its classes and what these import relatively.
Dropout, LayerDrop and SpecAugment are off.
"""

import hashlib
import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from datasets.utils.errors import EarshotError, first_line
from datasets.utils.text import printable
from trainables.networks.backbones.own import OwnBackbone
from trainables.networks.backbones.pretrained import architecture_of, without_dropout
from trainables.networks.backbones.source import Source, check_hub, find_source
from trainables.networks.checkpoint import check_parameters
from trainables.networks.specs import LOCAL_CODE, BackboneSpec, ClipFormat

EXAMPLE = "ORGANISATION/MODEL"
MODEL_TYPES: tuple[str, ...] = ()
LAYERS = False
FRONT_ENDS = False

COMMIT = re.compile(r"[0-9a-f]{40}")
EXTRACTOR = "preprocessor_config.json"


@dataclass(frozen=True)
class RemoteCode:
    """The code of a model.

    Attributes:
        name: of the backbone.
        digest: SHA-256 of its Python files and configurations.
    """

    name: str
    digest: str


class RemoteNetwork(nn.Module):
    """A model of `transformers` behind the interface of a network of the user's own.

    Args:
        model: made by `AutoModel`.
        extractor: its feature extractor; None if it reads waveforms.
        sample_rate: Hz.
    """

    def __init__(self, model: nn.Module, extractor: Any, sample_rate: int) -> None:
        super().__init__()
        self.model = model
        self.sample_rate = sample_rate
        self.code_digest = ""
        self._extractor = extractor
        accepted = inspect.signature(model.forward).parameters
        names = (*getattr(extractor, "model_input_names", ()), "input_values", "input_features")
        self._name = next((name for name in names if name in accepted), getattr(model, "main_input_name", names[-1]))
        self.dim = 1
        with torch.inference_mode():
            self.dim = self.embed(torch.zeros(1, sample_rate)).shape[-1]

    def embed(self, waves: Tensor) -> Tensor:
        """`[clips, samples]` in [-1, 1] to `[clips, dim]`."""
        inputs = waves
        if self._extractor is not None:
            arrays = list(waves.detach().cpu().numpy())
            inputs = self._extractor(arrays, sampling_rate=self.sample_rate, return_tensors="pt")[self._name]
        output = self.model(**{self._name: inputs.to(waves.device)})
        hidden = getattr(output, "last_hidden_state", None)
        if not isinstance(hidden, Tensor) or hidden.ndim not in (2, 3):
            raise ValueError("expected last_hidden_state, [clips, tokens, dim] or [clips, dim]")
        return hidden.mean(dim=1) if hidden.ndim == 3 else hidden


class RemoteBackbone(OwnBackbone):
    """The interface around such a model."""

    family = "remote"

    def save_config(self, folder: Path) -> None:
        name = Path(self.factory).name if Path(self.factory).is_absolute() else self.factory
        values = {"name": name, "code": self._source}
        (folder / "config.json").write_text(json.dumps(values, indent=1) + "\n")


def load(source: Source, spec: BackboneSpec, clips: ClipFormat, device: torch.device | str = "cpu") -> RemoteBackbone:
    """Loads a model with its own code.

    Raises:
        EarshotError: it cannot be loaded, or is not suitable.
    """
    return _backbone(spec, _open(source, spec), clips, device)


def restore(
    values: Mapping[str, Any], state: Mapping[str, Tensor], spec: BackboneSpec, clips: ClipFormat, device: Any = "cpu"
) -> RemoteBackbone:
    """The network of an export, made by code that the user names: an export's own word is not trusted to run code.

    Raises:
        EarshotError: no code is given, it differs from that of the export, or the weights do not fit.
    """
    if not spec.name or spec.trust_remote_code is None:
        shown = "".join(character for character in str(values.get("name"))[:100] if character.isprintable())
        raise EarshotError(
            f"backbone: the model was made with the code of '{shown}', which is not part of the export; give it: "
            "--backbone NAME --trust-remote-code REVISION"
        )
    source = find_source(spec.name, spec.trust_remote_code)
    network, code = _open(source, spec)
    if code.digest != values.get("code"):
        raise EarshotError(
            f"backbone '{spec.name}': its code differs from that of the export; give the revision that the model was "
            "made with"
        )
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        raise EarshotError(f"backbone '{spec.name}': {first_line(error)}") from None
    return _backbone(spec, (network, code), clips, device)


def check_trust(source: Source, revision: str | None) -> None:
    """Checks that the user has named the revision of the code that will run.

    Raises:
        EarshotError: no revision, or not one of this kind of source; or the code is that of another model.
    """
    expected = "a commit of 40 hexadecimal digits" if source.hub else f"'{LOCAL_CODE}'"
    if revision is None:
        raise EarshotError(
            f"backbone '{source.name}': a model with code of its own, which runs as you do; if you trust it, add "
            f"--trust-remote-code with {expected}"
        )
    if not (COMMIT.fullmatch(revision) if source.hub else revision == LOCAL_CODE):
        raise EarshotError(
            f"--trust-remote-code: expected {expected} for backbone '{source.name}', so that no other code runs, found "
            f"{printable(revision)[:100]!r}"
        )
    _check_places(source, source.code)


def _backbone(
    spec: BackboneSpec, opened: tuple[RemoteNetwork, RemoteCode], clips: ClipFormat, device: Any
) -> RemoteBackbone:
    backbone = RemoteBackbone(*opened, clips, device)
    backbone.trust_remote_code = spec.trust_remote_code
    return backbone


def _open(source: Source, spec: BackboneSpec) -> tuple[RemoteNetwork, RemoteCode]:
    check_trust(source, spec.trust_remote_code)
    try:
        network = _load(source, spec, local=True)
    except OSError as error:
        if not source.hub:
            raise EarshotError(f"backbone '{source.name}': {first_line(error)[:300]}") from None
        check_hub(source.name)
        try:
            network = _load(source, spec, local=False)
        except OSError as again:
            raise EarshotError(f"backbone '{source.name}': {first_line(again)[:300]}") from None
    return network, RemoteCode(source.name, network.code_digest)


def _load(source: Source, spec: BackboneSpec, *, local: bool) -> RemoteNetwork:
    from transformers import AutoFeatureExtractor, AutoModel

    revision = {"revision": spec.trust_remote_code, "code_revision": spec.trust_remote_code} if source.hub else {}
    options: dict[str, Any] = {"trust_remote_code": True, "local_files_only": local, **revision}
    try:
        with torch.random.fork_rng(devices=[]):  # it draws weights before it reads them
            model, info = AutoModel.from_pretrained(
                source.location, dtype=torch.float32, output_loading_info=True, **options
            )
        differences = (info["missing_keys"], info["unexpected_keys"], info["mismatched_keys"])
        check_parameters(f"backbone '{source.name}'", architecture_of(model), *differences)
        without_dropout(model.config)
        extractor = None
        if _has_extractor(source, options):
            extractor = AutoFeatureExtractor.from_pretrained(source.location, **options)
        rate = getattr(extractor or model.config, "sampling_rate", None)
        if not isinstance(rate, int) or rate < 1:
            raise EarshotError(
                f"backbone '{source.name}': sampling_rate: expected a positive whole number in "
                f"{EXTRACTOR} or config.json, found {str(rate)[:50]}"
            )
        network = RemoteNetwork(model.eval(), extractor, rate)
        network.code_digest = _digest(model, extractor)
        return network
    except (EarshotError, OSError):
        raise
    except Exception as error:  # code of others
        raise EarshotError(
            f"backbone '{source.name}': its code failed: {type(error).__name__}: {first_line(error)}"[:300]
        ) from None


def _has_extractor(source: Source, options: Mapping[str, Any]) -> bool:
    """Whether the model has the configuration of a feature extractor, whose code is checked.

    Raises:
        OSError: it is not known without asking the hub.
    """
    from huggingface_hub import try_to_load_from_cache
    from transformers.utils import cached_file

    chosen = {name: options[name] for name in ("revision", "local_files_only") if name in options}
    found = cached_file(source.location, EXTRACTOR, _raise_exceptions_for_missing_entries=False, **chosen)
    if found is None:
        is_known = not source.hub or not options["local_files_only"]
        if not is_known and try_to_load_from_cache(source.location, EXTRACTOR, revision=options["revision"]) is None:
            raise OSError(f"{EXTRACTOR}: not in the local cache")
        return False
    code = json.loads(Path(found).read_bytes()).get("auto_map")
    _check_places(source, code if isinstance(code, dict) else {})
    return True


def _check_places(source: Source, code: Mapping[str, Any]) -> None:
    """Checks that the classes of an `auto_map` are not in another repository: `OWNER/NAME--MODULE.CLASS`."""
    if any("--" in str(place) for place in code.values()):
        raise EarshotError(
            f"backbone '{source.name}': its code is in the repository of another model, which its revision does not "
            "cover; copy it into a folder"
        )


def _digest(model: Any, extractor: Any) -> str:
    """SHA-256 of the code that came with the model, and of the configurations."""
    from transformers.dynamic_module_utils import get_relative_import_files

    digests = {hashlib.sha256(part.to_json_string().encode()).hexdigest() for part in (model.config, extractor) if part}
    for part in (model, model.config, extractor):
        if type(part).__module__.startswith("transformers_modules."):
            place = inspect.getfile(type(part))
            files = {place, *get_relative_import_files(place)}
            digests |= {hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files}
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()
