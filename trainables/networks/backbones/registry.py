"""Finds the family of a backbone, and loads it; PyTorch is imported only when one is loaded.

A family is one file in this room, and its `EXAMPLE` the name of one of its models, for the list of backbones. Its
`MODEL_TYPES` are the values of `model_type` in the `config.json` that it loads. `LAYERS` and `FRONT_ENDS` say whether
it has the choice of `--layer` and `--frontend`, `PADDINGS` that of `--padding`; `POOLS` are its choices of `--pool`,
its default first. Both are left out by families without a choice.
"""

import functools
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.utils.errors import EarshotError
from trainables.networks.backbones.source import Source, find_source
from trainables.networks.specs import BackboneSpec, ClipFormat, FrontEndSpec

if TYPE_CHECKING:
    from trainables.networks.backbones.backbone import Backbone

FOLDER = Path(__file__).parent
OTHER_FILES = ("__init__", "backbone", "layered", "pretrained", "registry", "source")


def family_names() -> tuple[str, ...]:
    """The name of every family, in alphabetical order: one per file."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in OTHER_FILES))


def find_family(name: str) -> Any:
    """The module of the family called `name`."""
    return importlib.import_module(f"trainables.networks.backbones.{name}")


@functools.lru_cache(maxsize=2)
def load_backbone(spec: BackboneSpec, clips: ClipFormat, device: str = "cpu") -> "Backbone":
    """Loads a backbone with its front end; cached for the next trial in this process.

    It is frozen; callers that train copy it first (`trainables.networks.classifier.trainable`).

    Args:
        spec: the backbone and its options.
        clips: that it is for.
        device: where its front end runs.

    Raises:
        EarshotError: there is no such backbone, it does not fit the clips, or the hub cannot be reached.
    """
    source = find_source(spec.name, spec.trust_remote_code)
    family = _family_of(source)
    _check_options(spec, family)
    backbone: Backbone = family.load(source, spec, clips, device)
    return backbone.eval().requires_grad_(False)


def _family_of(source: Source) -> Any:
    if source.family or not source.model_type:
        return find_family(source.family or "ast")
    known: list[str] = []
    for family in map(find_family, family_names()):
        if source.model_type in family.MODEL_TYPES:
            return family
        known += family.MODEL_TYPES
    if "AutoModel" in source.code:
        return find_family("remote")
    raise EarshotError(
        f"backbone '{source.name}': a model of type {source.model_type}; expected an audio encoder of type "
        f"{', '.join(sorted(known))}"
    )


def _check_options(spec: BackboneSpec, family: Any) -> None:
    name = family.__name__.rpartition(".")[2]
    if spec.layer != "last" and not family.LAYERS:
        raise EarshotError(f"--layer {spec.layer}: backbone '{spec.name}' ({name}) has no choice; leave it out")
    if spec.frontend != FrontEndSpec() and not family.FRONT_ENDS:
        raise EarshotError(
            f"--frontend {spec.frontend}: backbone '{spec.name}' ({name}) has a front end of its own; leave it out"
        )
    if spec.trust_remote_code is not None and name != "remote":
        raise EarshotError(
            f"--trust-remote-code {spec.trust_remote_code}: backbone '{spec.name}' ({name}) has no code of its own; "
            "leave it out"
        )
    pools = getattr(family, "POOLS", ("mean",))
    if spec.pool is not None and spec.pool not in pools:
        raise EarshotError(
            f"--pool {spec.pool}: backbone '{spec.name}' ({name}) has {', '.join(pools)}; choose one or leave it out"
        )
    if spec.padding != "model" and not getattr(family, "PADDINGS", False):
        raise EarshotError(f"--padding {spec.padding}: backbone '{spec.name}' ({name}) has no choice; leave it out")
