"""Makes a model from recordings alone: the first session of a chain that belongs to no run and no benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from datasets.corpora.file_clips import FileClipOptions
from datasets.utils.validation import validated
from trainables.inference.batch_clips import BatchCache, BatchClips
from trainables.inference.description import (
    Description,
    ExportedBackbone,
    ExportedBenchmark,
    ExportedClass,
    Training,
)
from trainables.inference.exported_model import ExportedModel
from trainables.inference.recording_clips import ClassRecordings
from trainables.inference.teaching_checks import check_counts, check_new_names
from trainables.learners.features import Features
from trainables.methods.outside import digest_of
from trainables.methods.registry import check_backbone, find_method, method_code
from trainables.networks.backbones.backbone import Backbone, WaveTransform
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.device import pick_device
from trainables.networks.frontend import FrontEnd
from trainables.networks.specs import BackboneSpec, ClipFormat, FrontEndSpec, last_parts
from trainables.records import MethodCode, SeedTriple

CORPUS = "folder"
"""Recordings are cut as those of this corpus."""


@dataclass(frozen=True)
class NewModel:
    """What a new model is made of.

    Attributes:
        method: its name, or the code of one that is not of Earshot.
        settings: of the method; the rest are its defaults.
        backbone: the pretrained network, for methods that use one.
        clips: how recordings are cut.
        seed: of everything random.
        device: where networks run.
    """

    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    backbone: BackboneSpec = field(default_factory=lambda: BackboneSpec("earshot-tiny"))
    clips: FileClipOptions = field(default_factory=FileClipOptions)
    seed: int = 0
    device: str = "cpu"

    def benchmark(self) -> ExportedBenchmark:
        """How its clips are made."""
        return ExportedBenchmark(
            name="recordings", fingerprint="", corpus=CORPUS, settings=self.clips.model_dump(mode="json")
        )


def learn_first(new: NewModel, classes: Sequence[ClassRecordings]) -> ExportedModel:
    """Makes a model that has learned its first classes.

    Args:
        new: what it is made of.
        classes: with their clips, as `cut_recordings` cuts them under `new.clips`.

    Raises:
        EarshotError: the method, its settings, the backbone or the names of classes are not valid, there are too few
            classes or clips, or training diverges.
    """
    code = method_code(new.method)
    method = find_method(new.method, code)
    settings = validated(method.Settings, new.settings, f"method {method.name}")
    needs = method.needs(settings)
    check_new_names([one.name for one in classes], ())
    check_counts(method.name, needs, {one.name: len(one.clips) for one in classes}, first=True)
    device, options = pick_device(new.device), new.clips
    clip_format = ClipFormat(options.sample_rate, options.num_samples)
    backbone: Backbone | None = None
    if method.backbone:
        backbone = load_backbone(new.backbone, clip_format, str(device))
        check_backbone(method, settings, backbone, new.backbone.name)
    frontend: WaveTransform = (
        backbone.frontend
        if backbone
        else FrontEnd(FrontEndSpec(), clip_format.sample_rate, clip_format.num_samples, device)
    )
    clips, cache = BatchClips(options.sample_rate), BatchCache()
    learner = method(settings, Features(clips, frontend, backbone, cache, device, "float32"))
    count = sum(len(one.clips) for one in classes)
    seeds = SeedTriple(order=new.seed, support=new.seed, initialisation=new.seed)
    description = Description(
        method=method.name,
        method_code=MethodCode.of(code, digest_of(code) if code else ""),
        version=method.version,
        settings=settings.model_dump(mode="json"),
        notes={},
        classes=tuple(ExportedClass(label=label, name=one.name, session=0) for label, one in enumerate(classes)),
        heads=method.heads,
        default_head=method.default_head(settings),
        frontend=frontend.spec if isinstance(frontend.spec, FrontEndSpec) else FrontEndSpec(),
        sample_rate=options.sample_rate,
        num_samples=options.num_samples,
        loudness=options.loudness,
        precision="float32",
        backbone=backbone and _backbone_entry(new.backbone, backbone),
        benchmark=new.benchmark(),
        protocol={},
        seeds=seeds,
        trial=f"{method.name}-{seeds}",
        configuration=method.name,
        session=0,
        planned_sessions=1,
        stage=None,
        files={},
        training=Training(clips=count, of=count, all_clips=True),
        threads=torch.get_num_threads(),
    )
    model = ExportedModel(description, learner, clips, cache)
    model.learn(0, {label: (one.name, one.clips) for label, one in enumerate(classes)})
    model.description = description.model_copy(update={"notes": learner.state().notes})
    return model


def _backbone_entry(spec: BackboneSpec, backbone: Backbone) -> ExportedBackbone:
    return ExportedBackbone(
        name=last_parts(spec.name, 1) if spec.name.startswith("/") else spec.name,
        digest=backbone.digest,
        family=backbone.family,
        layer=spec.layer,
        pool=spec.pool,
        padding=spec.padding,
    )
