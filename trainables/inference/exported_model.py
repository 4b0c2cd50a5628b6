"""A trained chain as a self-contained folder of data, for classifying recordings.

    DIR/model.json                  `Description`: method, settings, classes, front end, origin, digests
    DIR/parts/NAME.safetensors      the learner's state, named by its method (means, head, part-0, shared, ...)
    DIR/backbone/model.safetensors  the pretrained network, if the method uses one,
                 config.json        as its family saves it
    DIR/README.md                   for people; not read

An export is untrusted: it holds JSON and safetensors only, no name in it leads out of the folder, every file is
verified against its digest before it is used, and only methods of this installation, or that the user gives, run. Files
that are larger than this machine's memory are rejected by their headers, before their contents are read.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from datasets.benchmark.protocol import ClassClips, Session
from datasets.utils.errors import EarshotError
from datasets.utils.text import one_line, printable
from datasets.utils.validation import validated
from trainables.inference.batch_clips import NOT_KEPT, BatchCache, BatchClips
from trainables.inference.description import (
    BACKBONE_FILES,
    EXPORT_AGAIN,
    FILE_NAME,
    PART_FILE,
    Description,
    ExportedBackbone,
)
from trainables.inference.tensor_sizes import check_sizes
from trainables.learners.features import BATCH, Features
from trainables.learners.learner import Learner
from trainables.learners.session_generator import session_generator
from trainables.learners.transductive_learner import TransductiveLearner
from trainables.methods.registry import find_method, recorded_code
from trainables.networks.backbones.backbone import Backbone, WaveTransform
from trainables.networks.backbones.registry import family_names, find_family, load_backbone
from trainables.networks.frontend import FrontEnd
from trainables.networks.specs import BackboneSpec, ClipFormat, FrontEndSpec
from trainables.records import MethodCode
from trainables.store.state import State

ATTEMPTS = 3
"""How often `load_model` starts over, if other processes replace the folder meanwhile."""


class ExportedModel:
    """A learner that scores waveforms, and can learn more classes.

    Attributes:
        description: origin and requirements of the model; `trainables.inference.teaching` replaces it.
        learner: of the method.
    """

    def __init__(self, description: Description, learner: Learner, clips: BatchClips, cache: BatchCache) -> None:
        self.description = description
        self.learner = learner
        self._clips = clips
        self._cache = cache

    @property
    def transductive(self) -> bool:
        """Whether scores of a clip depend on the other clips of its batch."""
        return self.learner.transductive

    def score(self, waves: np.ndarray) -> dict[str, Tensor]:
        """Scores clips with every head. A transductive method sees them as one batch.

        Args:
            waves: `[clips, num_samples]`, float32 in [-1, 1], made as the benchmark's clips were.

        Returns:
            Per head `[clips, classes]`, float32, on the CPU; a higher score is more likely.

        Raises:
            EarshotError: a score is not finite.
        """
        if self.transductive:
            return self.score_embeddings(self.embed(waves))
        batches: dict[str, list[Tensor]] = {head: [] for head in self.description.heads}
        with torch.inference_mode():
            for positions in self._batches(waves):
                for head, scores in self.learner.score(positions).items():
                    batches[head].append(scores.float().cpu())
        return _checked({head: torch.cat(scores) for head, scores in batches.items()})

    def embed(self, waves: np.ndarray) -> Tensor:
        """What a transductive method reads of clips, of each alone: `[clips, dim]`, float32, on the CPU.

        Args:
            waves: as of `score`.
        """
        assert isinstance(self.learner, TransductiveLearner), "others score each clip alone"
        with torch.inference_mode():
            return torch.cat([self.learner.embed(positions).float().cpu() for positions in self._batches(waves)])

    def score_embeddings(self, embeddings: Tensor) -> dict[str, Tensor]:
        """Scores of the clips of one batch from their embeddings, as `score`; of a transductive method.

        Args:
            embeddings: from `embed`, `[clips, dim]`.

        Raises:
            EarshotError: a score is not finite.
        """
        assert isinstance(self.learner, TransductiveLearner), "others score each clip alone"
        with torch.inference_mode():
            scores = self.learner.score_batch(embeddings.to(self.learner.features.device))
        return _checked({head: values.float().cpu() for head, values in scores.items()})

    def score_parts(self, parts: Iterable[np.ndarray]) -> dict[str, Tensor]:
        """`score` of clips that are read part by part, because their waveforms would take much memory.

        Args:
            parts: arrays as of `score`; at least one.
        """
        if self.transductive:
            return self.score_embeddings(torch.cat([self.embed(part) for part in parts]))
        scores = [self.score(part) for part in parts]
        return {head: torch.cat([part[head] for part in scores]) for head in self.description.heads}

    def learn(self, index: int, classes: Mapping[int, tuple[str, np.ndarray]]) -> None:
        """Learns new classes, as a chain does in a session. After an error the learner is as before.

        Args:
            index: of the session.
            classes: name and support clips, `[clips, num_samples]`, by label.

        Raises:
            EarshotError: the training diverges, or the learner's state does not fit its method.
        """
        self._cache.clear()
        self._clips.class_names = {label: name for label, (name, _) in classes.items()}
        positions = iter(self._clips.replace(np.concatenate([waves for _, waves in classes.values()])))
        support = {label: tuple(next(positions) for _ in waves) for label, (_, waves) in classes.items()}
        new = tuple(ClassClips(label, clips, clips, (), ()) for label, clips in support.items())
        with self._changes():
            self.learner.learn(Session(index, new), session_generator(self.description.seeds.initialisation, index))

    def forget(self, label: int) -> None:
        """Removes a class exactly, from the statistics alone. After an error the learner is as before.

        Raises:
            EarshotError: the method cannot, or needs the clips of the class, which a model does not have.
        """
        self._cache.clear()
        with self._changes():
            self.learner.forget(ClassClips(label, (NOT_KEPT,), (), (), ()))

    @contextmanager
    def _changes(self) -> Iterator[None]:
        """Changes of the learner, with the threads of its chain; an error undoes them."""
        threads, before = torch.get_num_threads(), self.learner.state() if self.learner.classes else None
        torch.set_num_threads(self.description.threads)
        try:
            yield
        except BaseException as error:
            if before is not None:
                self.learner.load(before)
            if not isinstance(error, Exception) or isinstance(error, EarshotError):
                raise
            reason = printable(one_line(f"{type(error).__name__}: {error}")[:200])  # of an untrusted state
            raise EarshotError(f"{FILE_NAME}: does not fit {self.learner.name} ({reason}); {EXPORT_AGAIN}") from None
        finally:
            torch.set_num_threads(threads)

    def _batches(self, waves: np.ndarray) -> Iterator[tuple[int, ...]]:
        """Positions of the clips, `BATCH` at a time, whose waveforms replace those of the batch before."""
        expected = self.description.num_samples
        if waves.ndim != 2 or waves.shape[1] != expected or not len(waves):
            raise ValueError(f"expected clips of {expected} samples, found an array {list(waves.shape)}")
        for first in range(0, len(waves), BATCH):
            self._cache.clear()
            yield self._clips.replace(waves[first : first + BATCH])


def _checked(scores_by_head: dict[str, Tensor]) -> dict[str, Tensor]:
    """The scores, if all are finite."""
    for head, scores in scores_by_head.items():
        if not torch.isfinite(scores).all():
            raise EarshotError(f"head '{head}' gives scores that are not finite")
    return scores_by_head


def save_model(folder: Path, description: Description, state: State, backbone: Backbone | Path | None) -> Description:
    """Writes an export into an empty folder.

    Args:
        folder: an existing folder.
        description: its `files` are filled in here.
        state: of the learner.
        backbone: the pretrained network, if the method uses one, or the folder of an export that has it.

    Returns:
        The description as written.
    """
    files = {}
    if backbone is not None:
        (folder / "backbone").mkdir()
        if isinstance(backbone, Path):
            for name in BACKBONE_FILES:
                shutil.copyfile(backbone / name, folder / name)
        else:
            backbone.save_config(folder / "backbone")
            (folder / BACKBONE_FILES[1]).write_bytes(_tensor_bytes(backbone.saved_state()))
        files = {name: _digest((folder / name).read_bytes()) for name in BACKBONE_FILES}
    (folder / "parts").mkdir()
    for part, tensors in state.parts.items():
        name = f"parts/{part}.safetensors"
        assert PART_FILE.fullmatch(name), name
        content = _tensor_bytes(tensors)
        (folder / name).write_bytes(content)
        files[name] = _digest(content)
    description = Description.model_validate({**description.model_dump(), "files": files})
    description.save(folder)
    return description


def load_model(
    folder: Path,
    device: torch.device | str = "cpu",
    code: str = "",
    trust_remote_code: str | None = None,
    method: str = "",
) -> ExportedModel:
    """Reads an export.

    Args:
        folder: written by `save_model`.
        device: where networks run.
        code: of the backbone: the function of a network of the user's own, or the name of a model with code of its
            own, or with a text tower for a method that learns from the names of classes. Code that an export names is
            never run.
        trust_remote_code: the revision of the latter.
        method: code of the method, if it is not one of Earshot.

    Raises:
        EarshotError: the folder holds no export, or it is damaged or does not fit the methods of this installation.
    """
    description = Description.load(folder)
    for _ in range(ATTEMPTS):
        try:
            return _load(folder, description, device, code, trust_remote_code, method)
        except (EarshotError, OSError):
            current = Description.load(folder)
            if current == description:
                raise
            description = current  # another process has replaced the folder: its files are those of this description
    return _load(folder, description, device, code, trust_remote_code, method)


def _load(
    folder: Path,
    description: Description,
    device: torch.device | str,
    code: str,
    trust_remote_code: str | None,
    method: str,
) -> ExportedModel:
    """The model of a description, from the files beside it."""
    shown = printable(str(folder / FILE_NAME))
    source = description.method_code or MethodCode(name="", sha256="")
    method_code = recorded_code(description.method, source.name, source.sha256, method, shown)
    learner_type = find_method(description.method, method_code)
    _check_method(description, learner_type, shown)
    settings = validated(learner_type.Settings, description.settings, f"{shown}: settings")
    check_sizes(folder, description.files)
    contents = {name: _verified(folder, name, digest) for name, digest in description.files.items()}
    clips, cache = BatchClips(description.sample_rate), BatchCache()
    try:
        clip_format = ClipFormat(description.sample_rate, description.num_samples)
        entry, spec = description.backbone, description.frontend
        backbone = _backbone(contents, entry, spec, clip_format, device, code, trust_remote_code) if entry else None
        frontend: WaveTransform
        frontend = (
            backbone.frontend if backbone else FrontEnd(spec, clip_format.sample_rate, clip_format.num_samples, device)
        )
        if backbone and entry and code and "text" in learner_type.capabilities(settings):
            _add_text_tower(backbone, entry, BackboneSpec(code), clip_format)
        learner = learner_type(settings, Features(clips, frontend, backbone, cache, device, description.precision))
        parts = {match[1]: load_tensors(contents[name]) for name in contents if (match := PART_FILE.fullmatch(name))}
        learner.load(State(parts, description.notes))
    except EarshotError:
        raise
    except Exception as error:  # an untrusted state can fail anywhere in a learner
        reason = printable(one_line(f"{type(error).__name__}: {error}")[:200])
        raise EarshotError(f"{shown}: does not fit {learner_type.name} ({reason}); {EXPORT_AGAIN}") from None
    if learner.classes != [entry.label for entry in description.classes]:
        raise EarshotError(f"{shown}: classes: differ from those in the learner's state; {EXPORT_AGAIN}")
    return ExportedModel(description, learner, clips, cache)


def _check_method(description: Description, method: type[Learner], shown: str) -> None:
    """Checks that an export fits the method of this installation.

    Raises:
        EarshotError: it does not.
    """
    if (method.version, method.heads) != (description.version, description.heads):
        raise EarshotError(
            f"{shown}: expected version {method.version} of {method.name} with heads {', '.join(method.heads)}, "
            f"found version {description.version} with {printable(', '.join(description.heads))}; run the sweep again "
            "and export it"
        )
    if method.backbone != (description.backbone is not None):
        raise EarshotError(f"{shown}: backbone: expected {'one' if method.backbone else 'none'}; {EXPORT_AGAIN}")
    if description.backbone and description.backbone.family not in family_names():
        raise EarshotError(
            f"{shown}: backbone: family: expected one of {', '.join(family_names())}, found "
            f"{printable(description.backbone.family)}; update Earshot or {EXPORT_AGAIN}"
        )
    if any((name in description.files) != method.backbone for name in BACKBONE_FILES):
        raise EarshotError(f"{shown}: files: expected {' and '.join(BACKBONE_FILES)} with a backbone; {EXPORT_AGAIN}")


def _backbone(
    contents: dict[str, bytes],
    entry: ExportedBackbone,
    frontend: FrontEndSpec,
    clips: ClipFormat,
    device: Any,
    code: str,
    trust_remote_code: str | None,
) -> Backbone:
    config_json, weights = (contents[name] for name in BACKBONE_FILES)
    spec = BackboneSpec(code, frontend, entry.layer, entry.pool, entry.padding, trust_remote_code)
    restored: Backbone = find_family(entry.family).restore(
        json.loads(config_json), load_tensors(weights), spec, clips, device
    )
    restored.digest = entry.digest  # of the whole position grid, which the export of an AST has cut
    return restored.eval().requires_grad_(False)  # as in a chain: PyTorch multiplies matrices that train in another way


def _add_text_tower(backbone: Backbone, entry: ExportedBackbone, spec: BackboneSpec, clips: ClipFormat) -> None:
    """Gives a restored backbone the text tower of the pretrained one, which exports do not have.

    Raises:
        EarshotError: the pretrained backbone cannot be loaded, has no text tower, or is another one.
    """
    pretrained = load_backbone(spec, clips)
    if pretrained.text is None:
        raise EarshotError(f"--backbone {printable(spec.name)}: has no text tower with the files of its tokenizer")
    for what, expected, found in (
        ("weights", entry.digest, pretrained.digest),
        ("text tower", entry.text or pretrained.text.digest, pretrained.text.digest),
    ):
        if expected != found:
            raise EarshotError(
                f"--backbone {printable(spec.name)}: not the {what} that the model was trained with (expected "
                f"{expected[:12]}..., found {found[:12]}...); give {printable(entry.name)}"
            )
    backbone.text = pretrained.text


def _tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    return save_tensors(plain, metadata={"format": "pt"})


def _verified(folder: Path, name: str, digest: str) -> bytes:
    """Content of a file whose digest is as described."""
    path = folder / name
    shown = printable(str(path))
    if not path.is_file():  # opening a pipe would block forever
        raise EarshotError(f"{shown}: not found; {EXPORT_AGAIN}")
    content = path.read_bytes()
    if _digest(content) != digest:
        raise EarshotError(f"{shown}: not the exported file (its SHA-256 differs); {EXPORT_AGAIN}")
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
