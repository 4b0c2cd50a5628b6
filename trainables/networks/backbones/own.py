"""A network of the user's own: `--backbone mypackage.module:factory` or `--backbone encoder.py:factory`.

`factory()` returns an object with

    sample_rate     of the waveforms that it reads, Hz
    dim             size of its embedding
    embed(waves)    `[clips, samples]` in [-1, 1], float32, to `[clips, dim]`

Clips are resampled to `sample_rate`. If the object is a `torch.nn.Module` whose embedding has gradients, methods can
train the network: they train copies of it. If it is a transformer, it may also have

    tokens(waves)   to the token map before the first block, `[clips, tokens, dim]`
    blocks          a `torch.nn.ModuleList` of blocks of one class, each of which maps a token map to the same shape
    norm            a `torch.nn.Module`, the norm after the last block; may be left out

and its embedding is the mean over tokens of norm(blocks(tokens(waves))), unless it has an `embed` of its own.

- A specialised part (EDE, MEMO) is a copy of the last block and of the norm with new weights: matrices are drawn from a
  truncated normal distribution (std 0.02), weights of norms are 1, biases 0; all else (scales, buffers) is copied.
- An adapter is in parallel with a whole block: y = block(x) + adapter(x).
- Dropout is off, as in all backbones. What the network draws when it is made does not change with Earshot's seeds; it
  should read weights, or seed a generator of its own.

The digest covers the weights (`state_dict()`) and the code (`trainables.networks.own_code`).
"""

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from datasets.utils.errors import EarshotError, first_line
from trainables.networks.backbones.backbone import Adapter, SpecialisedPart, TokenBackbone
from trainables.networks.backbones.source import Source
from trainables.networks.own_code import OwnCode, find_code
from trainables.networks.specs import BackboneSpec, Capability, ClipFormat
from trainables.networks.waves import WaveFrontEnd, WaveSpec
from trainables.networks.weights import Initialisation, initialise_linear_layers, weights_digest

EXAMPLE = "encoder.py:factory"
MODEL_TYPES: tuple[str, ...] = ()
LAYERS = False
FRONT_ENDS = False


class NetworkCode(Protocol):
    """The code that made a network."""

    @property
    def name(self) -> str:
        """Of the backbone, as the user has given it."""

    @property
    def digest(self) -> str:
        """SHA-256 hex of the code."""


class OwnBackbone(TokenBackbone):
    """The interface around the object that a factory has returned.

    Args:
        network: the object.
        code: of the factory.
        clips: that it is for.
        device: where waveforms are resampled.

    Raises:
        EarshotError: the object lacks an attribute, or gives something else than finite embeddings and token maps.
    """

    family = "own"
    frontend: WaveFrontEnd

    def __init__(self, network: Any, code: NetworkCode, clips: ClipFormat, device: torch.device | str) -> None:
        super().__init__()
        self._shown = f"backbone '{code.name}'"
        rate, self.dim = (self._positive(network, key) for key in ("sample_rate", "dim"))
        self._source, self.factory = code.digest, code.name
        self._other = None if isinstance(network, nn.Module) else network
        self.network = network.eval() if isinstance(network, nn.Module) else None
        self._embeds = callable(getattr(network, "embed", None))
        self._has_tokens = callable(getattr(network, "tokens", None))
        if not self._embeds and not self._has_tokens:
            raise EarshotError(f"{self._shown}: expected an object with a function embed(waves), found none")
        if self._has_tokens:
            self._check_blocks()
        if self.network is not None:
            _without_dropout(self.network)
        self.frontend = WaveFrontEnd(WaveSpec(rate), clips, device)
        self.sample_rate = rate
        self.digest = weights_digest(self)
        provides: set[Capability] = {"embed"}
        if self._check_outputs():
            provides.add("tune")
        if self._has_tokens:
            provides.add("tokens")
        self.provides = frozenset(provides)

    @property
    def architecture(self) -> bytes:
        return repr((self.family, self._source, self.dim, self.frontend.spec.rate)).encode()

    @property
    def depth(self) -> int:
        return len(self._network.blocks)

    @property
    def norm(self) -> nn.Module:
        norm: nn.Module | None = getattr(self._network, "norm", None)
        return nn.Identity() if norm is None else norm

    def patches(self, inputs: Tensor) -> Tensor:
        tokens: Tensor = self._network.tokens(inputs)
        return tokens

    def block(self, index: int, hidden: Tensor, adapter: Adapter | None = None) -> Tensor:
        output: Tensor = self._network.blocks[index](hidden)
        return output if adapter is None else output + adapter(hidden)

    def embed(self, inputs: Tensor) -> Tensor:
        if not self._embeds:
            return super().embed(inputs)
        embedded: Tensor = self._network.embed(inputs)
        return embedded

    def new_part(
        self, generator: torch.Generator | None = None, initialisation: Initialisation = "vit"
    ) -> SpecialisedPart:
        norm = getattr(self._network, "norm", None)
        return OwnPart(self._network.blocks[-1], norm, self.dim, generator, initialisation)

    def last_block_state(self) -> dict[str, Tensor]:
        return dict(self._network.blocks[-1].state_dict())

    def drop_last_block(self) -> None:
        del self._network.blocks[-1]
        if getattr(self._network, "norm", None) is not None:
            self._network.norm = nn.Identity()

    def save_config(self, folder: Path) -> None:
        values = {"factory": Path(self.factory).name, "source": self._source}
        (folder / "config.json").write_text(json.dumps(values, indent=1) + "\n")

    def saved_state(self) -> dict[str, Tensor]:
        return dict(self.network.state_dict()) if self.network is not None else {}

    @property
    def _network(self) -> Any:
        return self._other if self.network is None else self.network

    def _positive(self, network: Any, key: str) -> int:
        value = getattr(network, key, None)
        if not isinstance(value, int) or value < 1:
            raise EarshotError(f"{self._shown}: {key}: expected a positive whole number, found {value!r}"[:300])
        return value

    def _check_blocks(self) -> None:
        """Checks the classes of what belongs to token maps.

        Raises:
            EarshotError: they are not as described above.
        """
        blocks, norm = (getattr(self._network, key, None) for key in ("blocks", "norm"))
        if self.network is None or not isinstance(blocks, nn.ModuleList) or not len(blocks):
            owner = "a torch.nn.Module" if self.network is None else "blocks in a torch.nn.ModuleList"
            found = type(self._network if self.network is None else blocks).__name__
            raise EarshotError(f"{self._shown}: tokens(waves) needs {owner}, found {found}")
        classes = {type(block).__name__: type(block) for block in blocks}
        if len(set(map(type, blocks))) > 1:
            raise EarshotError(f"{self._shown}: blocks: expected blocks of one class, found {', '.join(classes)}")
        if norm is not None and not isinstance(norm, nn.Module):
            raise EarshotError(f"{self._shown}: norm: expected a torch.nn.Module, found {type(norm).__name__}")

    def _check_outputs(self) -> bool:
        """Runs the network on two clips of noise; whether its embedding has gradients.

        Raises:
            EarshotError: it fails, or an output is not as described above.
        """
        generator = torch.Generator().manual_seed(0)
        waves = 0.1 * torch.randn(2, self.frontend.num_samples, generator=generator)
        trainable = self._has_gradients(waves)  # first: what it caches must not be tensors of the inference mode
        with torch.inference_mode():
            if self._has_tokens:
                hidden = self._checked("tokens", (None, self.dim), self.patches, waves)
                shape = tuple(hidden.shape[1:])
                for index in range(self.depth):
                    hidden = self._checked(f"blocks[{index}]", shape, self.block, index, hidden)
                self._checked("norm", shape, self.norm, hidden)
            self._checked("embed", (self.dim,), self.embed, waves)
        return trainable

    def _has_gradients(self, waves: Tensor) -> bool:
        if self.network is None or not all(parameter.is_floating_point() for parameter in self.network.parameters()):
            return False
        self.network.requires_grad_(True)
        try:
            with torch.enable_grad():
                return self.embed(waves).requires_grad
        except Exception:  # it embeds only, or not at all: the caller finds out
            return False

    def _checked(self, name: str, shape: tuple[int | None, ...], function: Callable[..., Any], *inputs: Any) -> Tensor:
        """The output of one of the network's functions for two clips, whose shape is known but for None."""
        try:
            output = function(*inputs)
        except Exception as error:  # the user's code
            raise EarshotError(f"{self._shown}: {name} failed: {_reason(error)}") from None
        fits = (
            isinstance(output, Tensor)
            and output.is_floating_point()
            and output.ndim == len(shape) + 1
            and output.shape[0] == 2
            and all(expected in (None, size) for size, expected in zip(output.shape[1:], shape, strict=True))
        )
        if not fits:
            found = type(output).__name__
            if isinstance(output, Tensor):
                found = f"{list(output.shape)} {output.dtype}"
            sizes = ", ".join("tokens" if size is None else str(size) for size in shape)
            raise EarshotError(f"{self._shown}: {name}: expected floats [clips, {sizes}], found {found} for 2 clips")
        if not torch.isfinite(output).all():
            raise EarshotError(
                f"{self._shown}: {name}: expected finite values, found NaN or infinity for clips of noise"
            )
        return output


class OwnPart(SpecialisedPart):
    """S_t of a network of the user's own; see the docstring of this module.

    Args:
        block: copied.
        norm: copied; a LayerNorm where there is none.
        dim: width of a token.
        generator: draws the weights; they stay those of the copied block without one.
        initialisation: how it draws them; see `initialise`.
    """

    def __init__(
        self,
        block: nn.Module,
        norm: nn.Module | None,
        dim: int,
        generator: torch.Generator | None = None,
        initialisation: Initialisation = "vit",
    ) -> None:
        nn.Module.__init__(self)
        self.block = copy.deepcopy(block)
        self.norm = nn.LayerNorm(dim) if norm is None else copy.deepcopy(norm)
        self.train().requires_grad_(True).to("cpu")
        for name, parameter in sorted(self.named_parameters()) if generator is not None else ():
            with torch.no_grad():
                if parameter.ndim > 1:
                    nn.init.trunc_normal_(parameter, std=0.02, generator=generator)
                elif name.endswith("bias"):
                    parameter.zero_()
                elif name.endswith("weight"):
                    parameter.fill_(1.0)
        if generator is not None and initialisation == "torch":
            initialise_linear_layers(self, generator)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden: Tensor = self.norm(self.block(tokens))
        return hidden.mean(dim=1)


def load(source: Source, spec: BackboneSpec, clips: ClipFormat, device: torch.device | str = "cpu") -> OwnBackbone:
    """Calls a factory.

    Raises:
        EarshotError: it cannot be imported, fails, or returns something unsuitable.
    """
    code = find_code(source.name)
    return OwnBackbone(_made_by(code), code, clips, device)


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
    code = find_code(spec.name)
    if code.digest != values.get("source"):
        raise EarshotError(
            f"backbone '{spec.name}': its source differs from that of the export; give the files that the model was "
            "made with"
        )
    network = _made_by(code)
    if isinstance(network, nn.Module):
        try:
            network.load_state_dict(dict(state))
        except RuntimeError as error:
            raise EarshotError(f"backbone '{spec.name}': {first_line(error)}") from None
    return OwnBackbone(network, code, clips, device)


def _made_by(code: OwnCode) -> Any:
    function = code.function()
    try:
        with torch.random.fork_rng(devices=[]):
            network = function()
    except Exception as error:  # the user's code
        raise EarshotError(f"backbone '{code.name}': the factory failed: {_reason(error)}") from None
    code.check_places()
    return network


def _without_dropout(network: nn.Module) -> None:
    """Dropout would draw from the global generator when a method trains the network."""
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):  # of attention, of recurrent networks
            setattr(module, "dropout", 0.0)  # noqa: B010 (its type is not declared)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"[:300]
