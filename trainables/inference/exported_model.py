"""A trained chain as a folder that stands alone: what classifying a recording needs, and nothing that can run.

    DIR/model.json                  `Description`: method, settings, classes, front end, where it comes from, digests
    DIR/parts/NAME.safetensors      the learner's state, as its method names it (means, head, part-0, shared, ...)
    DIR/backbone/model.safetensors  the pretrained network, where the method uses one,
                 config.json        a folder that `transformers` loads
    DIR/README.md                   for people; not read

An export may come from anybody: it is JSON and safetensors, no name in it leads out of the folder, every file is
compared with its digest before it is used, and only the methods of this installation run.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor
from transformers import ASTConfig, ASTModel

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from datasets.utils.validation import validated
from trainables.learners.features import BATCH, Features
from trainables.learners.learner import Learner
from trainables.methods.registry import find_method
from trainables.networks.backbone import Backbone
from trainables.networks.frontend import FrontEnd
from trainables.networks.specs import FrontEndSpec
from trainables.records import SeedTriple
from trainables.store.arrays import ArrayStore
from trainables.store.state import State

SCHEMA_VERSION: Literal[1] = 1
FILE_NAME = "model.json"
BACKBONE_FILES = ("backbone/config.json", "backbone/model.safetensors")
ARCHITECTURE = (
    "attention_probs_dropout_prob", "frequency_stride", "hidden_act", "hidden_dropout_prob", "hidden_size",
    "initializer_range", "intermediate_size", "layer_norm_eps", "max_length", "num_attention_heads",
    "num_hidden_layers", "num_mel_bins", "patch_size", "qkv_bias", "time_stride",
)  # fmt: skip
"""What is read of a backbone's config.json: nothing there may name code or files."""

_PART = re.compile(r"parts/([A-Za-z0-9][A-Za-z0-9_.-]*)\.safetensors", re.ASCII)
_AGAIN = "export it again"

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExportedClass(_Frozen):
    """A class that the model knows; its name is untrusted text."""

    label: int = Field(ge=0)
    name: str
    session: int = Field(ge=0)  # that it was learned in


class ExportedBackbone(_Frozen):
    """The pretrained network, by the name that the sweep gave it and by its digest (`Backbone.digest`)."""

    name: str
    digest: Digest


class ExportedBenchmark(_Frozen):
    """The benchmark that was learned from, and how its clips were made."""

    name: str
    fingerprint: str
    corpus: str
    settings: dict[str, Any]


class Description(_Frozen):
    """What `model.json` holds.

    Attributes:
        notes: the learner's state, apart from its tensors.
        classes: in the order of the columns of scores.
        loudness: whether clips were brought to -23 LUFS, recording by recording.
        files: SHA-256 by path.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    method: str
    version: int
    settings: dict[str, Any]
    notes: dict[str, Any]
    classes: tuple[ExportedClass, ...] = Field(min_length=1)
    heads: tuple[str, ...]
    default_head: str
    frontend: FrontEndSpec
    sample_rate: int = Field(gt=0, le=768_000)
    num_samples: int = Field(gt=0, le=1 << 24)
    loudness: bool
    precision: Literal["float32", "bf16"]
    backbone: ExportedBackbone | None
    benchmark: ExportedBenchmark
    protocol: dict[str, Any]
    seeds: SeedTriple
    trial: str
    configuration: str
    session: int = Field(ge=0)
    planned_sessions: int = Field(ge=1)
    stage: Digest
    files: dict[str, Digest]

    @model_validator(mode="after")
    def _consistent(self) -> "Description":
        strange = [name for name in self.files if name not in BACKBONE_FILES and not _PART.fullmatch(name)]
        if strange:
            raise ValueError(f"files: expected parts/NAME.safetensors or the backbone's, found {strange[0]!r}")
        if self.default_head not in self.heads:
            raise ValueError(f"default_head: expected one of {', '.join(self.heads)}, found {self.default_head!r}")
        if len({one.label for one in self.classes}) != len(self.classes):
            raise ValueError("classes: a label occurs twice")
        return self

    @classmethod
    def load(cls, folder: Path) -> "Description":
        """Reads `folder/model.json`.

        Raises:
            EarshotError: there is none, or it is not what this version writes.
        """
        path = folder / FILE_NAME
        where = printable(str(path))
        try:
            content = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise EarshotError(f"{where}: not found; expected a folder that orchestrator.export wrote") from None
        except (ValueError, RecursionError):
            raise EarshotError(f"{where}: not JSON; {_AGAIN}") from None
        found = content.get("schema_version") if isinstance(content, dict) else None
        if isinstance(found, int) and found > SCHEMA_VERSION:
            raise EarshotError(
                f"{where}: schema_version: expected at most {SCHEMA_VERSION}, found {found}; a newer Earshot wrote it: "
                "update this one"
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            raise EarshotError(f"{where}: {printable(f'{key}: {message}' if key else message)}; {_AGAIN}") from None


class ExportedModel:
    """A learner that scores waveforms.

    Attributes:
        description: where it comes from and what it needs.
    """

    def __init__(self, description: Description, learner: Learner, clips: "_Held", store: "_OneBatch") -> None:
        self.description = description
        self._learner = learner
        self._clips = clips
        self._store = store

    def score(self, waves: np.ndarray) -> dict[str, Tensor]:
        """Scores clips with every head.

        Args:
            waves: `[clips, num_samples]`, float32 in [-1, 1], made as the benchmark's clips were.

        Returns:
            Per head `[clips, classes]`, float32, on the CPU; higher is likelier.

        Raises:
            EarshotError: a score is not finite.
        """
        expected = self.description.num_samples
        if waves.ndim != 2 or waves.shape[1] != expected or not len(waves):
            raise ValueError(f"expected clips of {expected} samples, found an array {list(waves.shape)}")
        found: dict[str, list[Tensor]] = {head: [] for head in self.description.heads}
        with torch.inference_mode():
            for first in range(0, len(waves), BATCH):
                self._store.clear()
                positions = self._clips.hold(waves[first : first + BATCH])
                for head, scores in self._learner.score(positions).items():
                    found[head].append(scores.float().cpu())
        together = {head: torch.cat(scores) for head, scores in found.items()}
        for head, scores in together.items():
            if not torch.isfinite(scores).all():
                raise EarshotError(f"head '{head}' gives scores that are not finite")
        return together


def save_model(folder: Path, description: Description, state: State, backbone: Backbone | None) -> Description:
    """Writes an export into an empty folder.

    Args:
        folder: which is there.
        description: its `files` are filled in here.
        state: of the learner.
        backbone: where the method uses one.

    Returns:
        The description as written.
    """
    files = {}
    if backbone is not None:
        backbone.ast.config.save_pretrained(folder / "backbone")
        (folder / BACKBONE_FILES[1]).write_bytes(_tensor_bytes(backbone.ast.state_dict()))
        files = {name: _digest((folder / name).read_bytes()) for name in BACKBONE_FILES}
    (folder / "parts").mkdir()
    for part, tensors in state.parts.items():
        name = f"parts/{part}.safetensors"
        assert _PART.fullmatch(name), name
        content = _tensor_bytes(tensors)
        (folder / name).write_bytes(content)
        files[name] = _digest(content)
    description = Description.model_validate({**description.model_dump(), "files": files})
    (folder / FILE_NAME).write_text(description.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return description


def load_model(folder: Path, device: torch.device | str = "cpu") -> ExportedModel:
    """Reads an export.

    Raises:
        EarshotError: it is none, it is damaged, or it does not fit the methods of this installation.
    """
    described = Description.load(folder)
    where = printable(str(folder / FILE_NAME))
    method = find_method(described.method)
    if (method.version, method.heads) != (described.version, described.heads):
        raise EarshotError(
            f"{where}: expected version {method.version} of {method.name} with heads {', '.join(method.heads)}, "
            f"found version {described.version} with {printable(', '.join(described.heads))}; run the sweep again and "
            "export it"
        )
    if method.backbone != (described.backbone is not None):
        raise EarshotError(f"{where}: backbone: expected {'one' if method.backbone else 'none'}; {_AGAIN}")
    if any((name in described.files) != method.backbone for name in BACKBONE_FILES):
        raise EarshotError(f"{where}: files: expected {' and '.join(BACKBONE_FILES)} with a backbone; {_AGAIN}")
    settings = validated(method.Settings, described.settings, f"{where}: settings")
    contents = {name: _checked(folder, name, digest) for name, digest in described.files.items()}
    clips, store = _Held(described.sample_rate), _OneBatch()
    try:
        frontend = FrontEnd(described.frontend, described.sample_rate, described.num_samples, device)
        backbone = _backbone(contents, described.backbone, frontend.frames) if described.backbone else None
        learner = method(settings, Features(clips, frontend, backbone, store, device, described.precision))
        parts = {match[1]: load_tensors(contents[name]) for name in contents if (match := _PART.fullmatch(name))}
        learner.load(State(parts, described.notes))
    except EarshotError:
        raise
    except Exception as error:  # what a state from elsewhere does to a learner is not known
        reason = printable(" ".join(f"{type(error).__name__}: {error}".split())[:200])
        raise EarshotError(f"{where}: does not fit {method.name} ({reason}); {_AGAIN}") from None
    if learner.classes != [one.label for one in described.classes]:
        raise EarshotError(f"{where}: classes: not those that the learner's state knows; {_AGAIN}")
    return ExportedModel(described, learner, clips, store)


class _Held:
    """The clips of one batch; every clip has a position of its own, lest what is known of one is told of another."""

    fingerprint = ""  # nothing is kept beyond a batch

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._waves: np.ndarray = np.empty((0, 0), np.float32)
        self._first = 0

    def hold(self, waves: np.ndarray) -> tuple[int, ...]:
        """Takes the next batch `[clips, samples]`; its positions."""
        self._first += len(self._waves)
        self._waves = waves
        return tuple(range(self._first, self._first + len(waves)))

    def audio(self, positions: Sequence[int]) -> np.ndarray:
        """`[clips, samples]`."""
        rows: np.ndarray = self._waves[[position - self._first for position in positions]]
        return rows


class _OneBatch(ArrayStore):
    """Keeps what networks say of a batch until the next: EDE asks for G(x) once for every part."""

    def __init__(self) -> None:
        super().__init__(None)
        self._arrays: dict[str, np.ndarray] = {}

    def get(
        self, address: str, count: int, batches: Callable[[], Iterator[np.ndarray]], *, shared: bool = False
    ) -> np.ndarray:
        """The array at `address`."""
        if address not in self._arrays:
            self._arrays[address] = super().get(address, count, batches, shared=shared)
        return self._arrays[address]

    def clear(self) -> None:
        """Forgets all."""
        self._arrays.clear()


def _backbone(contents: dict[str, bytes], entry: ExportedBackbone, frames: int) -> Backbone:
    config_json, weights = (contents[name] for name in BACKBONE_FILES)
    values = json.loads(config_json)
    config = ASTConfig(**{key: values[key] for key in ARCHITECTURE})
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        model = ASTModel(config)
    model.load_state_dict(load_tensors(weights), assign=True)
    backbone = Backbone(model, frames)
    backbone.digest = entry.digest  # of the whole position grid, which an export has cut
    return backbone


def _tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    return save_tensors(plain, metadata={"format": "pt"})


def _checked(folder: Path, name: str, digest: str) -> bytes:
    path = folder / name
    where = printable(str(path))
    if not path.is_file():  # opening a pipe would wait for ever
        raise EarshotError(f"{where}: not found; {_AGAIN}")
    content = path.read_bytes()
    if _digest(content) != digest:
        raise EarshotError(f"{where}: not what was exported (its SHA-256 is another); {_AGAIN}")
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
