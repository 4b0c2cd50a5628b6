"""A network of the user's own: `--backbone mypackage.module:factory` or `--backbone encoder.py:factory`.

`factory()` returns an object with

    sample_rate   of the waveforms that it reads, Hz
    dim           size of its embedding
    embed(waves)  `[clips, samples]` in [-1, 1], float32, to `[clips, dim]`

Clips are resampled to `sample_rate`. If the object is a `torch.nn.Module` with parameters, methods that train the
network can use it, too: they train copies of it. What it draws when it is made does not change with Earshot's seeds; it
should read weights, or seed a generator of its own.

The digest covers the weights (`state_dict()`) and the source file of the factory, not other modules that it imports.
"""

import hashlib
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from datasets.utils.errors import EarshotError, first_line
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.backbones.source import Source
from trainables.networks.specs import BackboneSpec, ClipFormat
from trainables.networks.waves import WaveFrontEnd, WaveSpec
from trainables.networks.weights import weights_digest

MODEL_TYPES: tuple[str, ...] = ()
LAYERS = False
FRONT_ENDS = False


class OwnBackbone(Backbone):
    """The interface around the object that a factory has returned.

    Args:
        network: the object.
        name: of the factory.
        source: SHA-256 of the factory's file.
        clips: that it is for.
        device: where waveforms are resampled.

    Raises:
        EarshotError: the object lacks an attribute, or `embed` gives something else than finite embeddings.
    """

    family = "own"
    frontend: WaveFrontEnd

    def __init__(self, network: Any, name: str, source: str, clips: ClipFormat, device: torch.device | str) -> None:
        super().__init__()
        self._shown = f"backbone '{name}'"
        rate, self.dim = (self._positive(network, key) for key in ("sample_rate", "dim"))
        if not callable(getattr(network, "embed", None)):
            raise EarshotError(f"{self._shown}: expected an object with a function embed(waves), found none")
        self._source, self.factory = source, name
        self._other = None if isinstance(network, nn.Module) else network
        self.network = network.eval() if isinstance(network, nn.Module) else None
        trainable = self.network is not None and any(True for _ in self.network.parameters())
        self.provides = frozenset({"embed", "tune"} if trainable else {"embed"})
        self.frontend = WaveFrontEnd(WaveSpec(rate), clips, device)
        self.hears = rate
        self.digest = weights_digest(self)
        self._check_embedding()

    @property
    def architecture(self) -> bytes:
        return repr((self.family, self._source, self.dim, self.frontend.spec.rate)).encode()

    def embed(self, inputs: Tensor) -> Tensor:
        network: Any = self._other if self.network is None else self.network
        embedded: Tensor = network.embed(inputs)
        return embedded

    def save_config(self, folder: Path) -> None:
        values = {"factory": Path(self.factory).name, "source": self._source}
        (folder / "config.json").write_text(json.dumps(values, indent=1) + "\n")

    def saved_state(self) -> dict[str, Tensor]:
        return dict(self.network.state_dict()) if self.network is not None else {}

    def _positive(self, network: Any, key: str) -> int:
        value = getattr(network, key, None)
        if not isinstance(value, int) or value < 1:
            raise EarshotError(f"{self._shown}: {key}: expected a positive whole number, found {value!r}"[:300])
        return value

    def _check_embedding(self) -> None:
        """Embeds two clips of noise."""
        generator = torch.Generator().manual_seed(0)
        waves = 0.1 * torch.randn(2, self.frontend.num_samples, generator=generator)
        try:
            with torch.inference_mode():
                embedded = self.embed(waves)
        except Exception as error:  # the user's code
            raise EarshotError(f"{self._shown}: embed failed: {_reason(error)}") from None
        if not isinstance(embedded, Tensor) or embedded.shape != (2, self.dim) or not embedded.is_floating_point():
            found = type(embedded).__name__
            if isinstance(embedded, Tensor):
                found = f"{list(embedded.shape)} {embedded.dtype}"
            raise EarshotError(f"{self._shown}: embed: expected floats [clips, {self.dim}], found {found} for 2 clips")
        if not torch.isfinite(embedded).all():
            raise EarshotError(
                f"{self._shown}: embed: expected finite values, found NaN or infinity for clips of noise"
            )


def load(source: Source, spec: BackboneSpec, clips: ClipFormat, device: torch.device | str = "cpu") -> OwnBackbone:
    """Calls a factory.

    Raises:
        EarshotError: it cannot be imported, fails, or returns something unsuitable.
    """
    factory, digest = _find(source.name)
    return OwnBackbone(_call(source.name, factory), source.name, digest, clips, device)


def restore(
    values: Mapping[str, Any], state: Mapping[str, Tensor], spec: BackboneSpec, clips: ClipFormat, device: Any = "cpu"
) -> OwnBackbone:
    """The network of an export, made by a factory that the user names: an export's own word is not trusted to run code.

    Raises:
        EarshotError: no factory is given, it differs from the one of the export, or the weights do not fit.
    """
    if not spec.name:
        shown = "".join(character for character in str(values.get("factory"))[:100] if character.isprintable())
        raise EarshotError(
            f"backbone: the model was made with the network of '{shown}', which is not part of the export; give it: "
            "--backbone MODULE:FACTORY or --backbone FILE.py:FACTORY"
        )
    factory, digest = _find(spec.name)
    if digest != values.get("source"):
        raise EarshotError(
            f"backbone '{spec.name}': its source differs from that of the export; give the file that the model was "
            "made with"
        )
    network = _call(spec.name, factory)
    if isinstance(network, nn.Module):
        try:
            network.load_state_dict(dict(state))
        except RuntimeError as error:
            raise EarshotError(f"backbone '{spec.name}': {first_line(error)}") from None
    return OwnBackbone(network, spec.name, digest, clips, device)


def _find(name: str) -> tuple[Callable[[], Any], str]:
    """The factory, and the SHA-256 of its file."""
    where, _, attribute = name.rpartition(":")
    try:
        module = _module_of_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except Exception as error:  # the user's code
        raise EarshotError(f"backbone '{name}': {where} cannot be imported: {_reason(error)}") from None
    factory = getattr(module, attribute, None)
    if not callable(factory) or not getattr(module, "__file__", None):
        raise EarshotError(f"backbone '{name}': {where} has no function {attribute}")
    return factory, hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()


def _module_of_file(path: Path) -> Any:
    module_name = f"earshot_own_{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    if module_name not in sys.modules:
        module_spec = importlib.util.spec_from_file_location(module_name, path)
        assert module_spec is not None and module_spec.loader is not None
        module = sys.modules[module_name] = importlib.util.module_from_spec(module_spec)
        try:
            module_spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[module_name]
            raise
    return sys.modules[module_name]


def _call(name: str, factory: Callable[[], Any]) -> Any:
    try:
        with torch.random.fork_rng(devices=[]):
            return factory()
    except Exception as error:  # the user's code
        raise EarshotError(f"backbone '{name}': the factory failed: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"[:300]
