"""Exports a trial, after one of its sessions, to a folder that `trainables.inference` loads."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.benchmark.protocol import AllClips, Protocol, Session, classes_present, make_sessions
from datasets.benchmark.protocol_hash import protocol_hash
from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.text import printable
from orchestrator.exporting.choice import choose_trial
from orchestrator.exporting.inputs import find_benchmark, frontend_spec, verified_backbone
from orchestrator.exporting.model_card import card_files, check_hub_dataset, measured
from orchestrator.exporting.output_folder import KEEP, check_output
from orchestrator.exporting.validation import ValidationClips, other_clips, validated_fields
from orchestrator.results.run_folder import RunFolder
from trainables.chain_config import ChainConfig
from trainables.inference.description import (
    Description,
    ExportedBackbone,
    ExportedBenchmark,
    ExportedClass,
    Training,
)
from trainables.inference.exported_model import ExportedModel, load_model, save_model
from trainables.inference.model_folder import written_folder
from trainables.inference.readme import readme
from trainables.learners.learner import Learner
from trainables.methods.registry import find_method, recorded_code
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.device import pick_device
from trainables.networks.specs import FrontEndSpec
from trainables.records import MethodCode, SessionRecord, TrialRecord
from trainables.session_chain import Chain
from trainables.store.layout import stage_file
from trainables.store.stages import Stage, StageStore
from trainables.store.state import State

Listener = Callable[[SessionRecord, int], None]


@dataclass(frozen=True)
class Overrides:
    """Locations of inputs that have moved since the sweep; None is the location that the sweep used.

    Attributes:
        benchmark: folder or URI of the prepared benchmark.
        backbone: name, file or folder of the pretrained network.
        store: folder or URI of the stages.
        trust_remote_code: the revision whose code may run, of a backbone that comes with its own.
        method: code of the method, if it is not one of Earshot: that which a run names is not run.
    """

    benchmark: str | None = None
    backbone: str | None = None
    store: str | Path | None = None
    trust_remote_code: str | None = None
    method: str = ""


@dataclass(frozen=True)
class Trained:
    """A learner after a session, and what it has learned from.

    Attributes:
        stage: of the session.
        state: of the learner.
        protocol: of the chain.
        sessions: of the chain up to this one.
        validation: positions of the clips that temperatures and thresholds are fitted to.
    """

    stage: Stage
    state: State
    protocol: Protocol
    sessions: tuple[Session, ...]
    validation: tuple[int, ...]


def export(
    folder: RunFolder,
    trial: str,
    out: Path,
    *,
    seed: str | None = None,
    session: int | None = None,
    train_on_all: bool = False,
    keep: float = KEEP,
    overrides: Overrides | None = None,
    device: str = "cpu",
    force: bool = False,
    listener: Listener | None = None,
    hub_dataset: str | None = None,
) -> Description:
    """Exports a trial.

    Args:
        folder: of the run.
        trial: see `choose_trial`.
        out: new folder, written atomically.
        seed: of the trial; see `choose_trial`.
        session: number of the session (default: the last finished one).
        train_on_all: train the chain again, in the same order of sessions, on all train clips of its classes.
        keep: fraction of the validation clips that get a class; the others are below the threshold of unknown sounds.
        overrides: locations of the run's inputs.
        device: where networks run, to train and to score validation clips.
        force: replace an existing export.
        listener: called with the record of each session that `train_on_all` has trained.
        hub_dataset: `owner/name` of the benchmark on the Hugging Face hub, for the model card.

    Raises:
        EarshotError: there is no such trial or session, an input is missing, or `out` contains other files.
    """
    overrides = overrides or Overrides()
    check_output(out, force=force)
    check_hub_dataset(hub_dataset)
    record = TrialRecord.load(folder.trial(choose_trial(folder, trial, seed)))
    source = record.method_code or MethodCode(name="", sha256="")
    shown = f"trial {printable(record.trial)}"
    code = recorded_code(record.method, source.name, source.sha256, overrides.method, shown)
    method = find_method(record.method, code)
    number = _session_number(record, session)
    store = Location.of(overrides.store or folder.store)
    stage, state = _load_stage(record, number, store)
    _check_version(record, stage, method)
    benchmark = find_benchmark(folder, record, overrides.benchmark)
    shards = Shards(benchmark)
    manifest = shards.manifest
    frontend = frontend_spec(stage)
    backbone = verified_backbone(
        record, method, stage, frontend, manifest, overrides.backbone, overrides.trust_remote_code
    )
    trained = _as_computed(record, stage, state, shards)
    validation_clips = trained.protocol.validation
    if train_on_all:
        config = _all_clips_config(record, code, stage, trained.protocol, benchmark, store, overrides, device)
        trained = _train_on_all(config, number, validation_clips, listener)
    description = _describe(record, method, trained, shards, frontend, backbone, all_clips=train_on_all)
    others = other_clips(
        shards, [entry.label for entry in description.classes], validation_clips, len(trained.validation)
    )
    clips = ValidationClips(shards, trained.validation, others)

    def load(model: Path) -> ExportedModel:
        return load_model(model, pick_device(device), *_code_of(backbone), method=code)

    results = None if train_on_all else measured(record, folder.trial(record.trial), number)

    def card(model: Description) -> dict[str, bytes]:
        return card_files(model, readme(model, method), results, hub_dataset)

    def validate(model: ExportedModel) -> dict[str, Any]:
        return validated_fields(model, clips, keep)

    with written_folder(out, replace=force) as place:
        return _write(place, description, trained.state, backbone, load, validate, card)


def _as_computed(record: TrialRecord, stage: Stage, state: State, shards: Shards) -> Trained:
    """The learner of the sweep."""
    protocol = Protocol.model_validate(record.protocol)
    sessions = make_sessions(
        protocol,
        shards.table,
        order_seed=record.seeds.order,
        support_seed=record.seeds.support,
        base_classes=shards.manifest.base_classes,
    )[: stage.depends_on["session"] + 1]
    validation = tuple(position for clips in classes_present(sessions) for position in clips.validation)
    return Trained(stage, state, protocol, sessions, validation)


def _all_clips_config(
    record: TrialRecord,
    code: str,
    stage: Stage,
    protocol: Protocol,
    benchmark: str,
    store: Location,
    overrides: Overrides,
    device: str,
) -> ChainConfig:
    """The chain of a trial, with all train clips of a class as its support."""
    return ChainConfig(
        benchmark=benchmark,
        method=record.method,
        method_code=code,
        settings=record.settings,
        protocol=AllClips.like(protocol),
        seeds=record.seeds,
        backbone=overrides.backbone or record.backbone,
        frontend=frontend_spec(stage),
        layer=record.layer,
        pool=record.pool,
        padding=record.padding,
        trust_remote_code=overrides.trust_remote_code,
        device=device,
        precision=stage.depends_on["precision"],
        threads=stage.depends_on["threads"],
        store=store.address,
    )


def _train_on_all(config: ChainConfig, session: int, validation: int, listener: Listener | None) -> Trained:
    """A learner that the same chain has trained on all train clips; its stages are stored like those of a sweep.

    Args:
        config: of the chain, with all train clips of a class as its support.
        session: number of the last session.
        validation: clips of a class's val split that temperatures are fitted to, at most.
        listener: called with the record of each session.
    """
    with tempfile.TemporaryDirectory() as records:
        chain = Chain(config, Path(records))
        for _ in range(session + 1):
            record = chain.step()
            if listener:
                listener(record, len(chain.sessions))
    stage, state = _load_stage(chain.record, session, Location.of(config.store))
    sessions, shards = chain.sessions[: session + 1], Shards(config.benchmark)
    present = (clips.label for clips in classes_present(sessions))
    held_out = (shards.select(labels=[label], splits=["val"])[:validation] for label in present)
    return Trained(stage, state, config.protocol, sessions, tuple(int(clip) for clips in held_out for clip in clips))


def _session_number(record: TrialRecord, session: int | None) -> int:
    """The session that is exported: the last finished one by default."""
    finished = len(record.sessions)
    if not finished:
        raise EarshotError(f"trial {printable(record.trial)}: no session is finished; run the sweep again")
    number = finished - 1 if session is None else session
    if not 0 <= number < finished:
        raise EarshotError(
            f"--session {number}: expected 0 to {finished - 1}, the finished sessions of {printable(record.trial)}"
        )
    return number


def _load_stage(record: TrialRecord, session: int, root: Location) -> tuple[Stage, State]:
    """The stage of a session, and the learner's state after it."""
    address = record.sessions[session].stage
    store = StageStore(root)
    stage = store.find(address)
    if stage is None:
        raise EarshotError(
            f"{root}: has no stage {address[:12]}... (session {session} of {printable(record.trial)}); run the same "
            "sweep again to compute it, or give the store with --store"
        )
    state = store.state(address)
    if state is None:
        raise EarshotError(
            f"{root / stage_file(address)}: the weights after session {session} of {printable(record.trial)} are "
            "missing or damaged; remove this file and run the same sweep again"
        )
    return stage, state


def _check_version(record: TrialRecord, stage: Stage, method: type[Learner]) -> None:
    installed, computed = method.version, stage.depends_on["version"]
    if installed != computed:
        raise EarshotError(
            f"trial {printable(record.trial)}: computed with version {computed} of {record.method}, "
            f"this is version {installed}; run the sweep again"
        )


def _describe(
    record: TrialRecord,
    method: type[Learner],
    trained: Trained,
    shards: Shards,
    frontend: FrontEndSpec,
    backbone: Backbone | None,
    *,
    all_clips: bool,
) -> Description:
    """The description of a trained chain, without `files` and what validation clips decide."""
    stage, manifest = trained.stage, shards.manifest
    present = classes_present(trained.sessions)
    known = {clips.label for clips in present} if method.forgets else set(range(len(record.class_names)))
    classes = [
        ExportedClass(label=label, name=record.class_names[label], session=session.index)
        for session in trained.sessions
        for label in session.labels
        if label in known
    ]
    available = shards.select(labels=[entry.label for entry in classes], splits=["train"])
    clips = sum(len(session.support) for session in trained.sessions)
    return Description(
        method=record.method,
        method_code=record.method_code,
        version=stage.depends_on["version"],
        settings=record.settings,
        notes=trained.state.notes,
        classes=tuple(classes),
        heads=record.heads,
        default_head=record.default_head,
        frontend=frontend,
        sample_rate=manifest.sample_rate,
        num_samples=manifest.num_samples,
        loudness=manifest.settings.get("loudness") is True,
        precision=stage.depends_on["precision"],
        backbone=backbone and _backbone_entry(record, backbone, stage.depends_on.get("text")),
        benchmark=ExportedBenchmark(
            name=manifest.name,
            fingerprint=record.benchmark_digest,
            corpus=manifest.corpus,
            settings=manifest.settings,
            class_names=record.class_names,
        ),
        protocol=trained.protocol.model_dump(mode="json"),
        protocol_hash=protocol_hash(
            record.benchmark_digest,
            trained.protocol,
            base=len(trained.sessions[0].classes),
            sessions=record.planned_sessions,
        ),
        seeds=record.seeds,
        trial=record.trial,
        configuration=record.configuration,
        session=stage.depends_on["session"],
        planned_sessions=record.planned_sessions,
        stage=stage.address,
        files={},
        training=Training(clips=clips, of=len(available), all_clips=all_clips),
        threads=stage.depends_on["threads"],
    )


def _backbone_entry(record: TrialRecord, backbone: Backbone, text: str | None) -> ExportedBackbone:
    return ExportedBackbone(
        name=_portable_name(record.backbone),
        digest=backbone.digest,
        family=backbone.family,
        layer=record.layer,
        pool=record.pool,
        padding=record.padding,
        text=text,
    )


def _portable_name(backbone: str) -> str:
    """The backbone's name without folders of this machine."""
    return Path(backbone).name if Path(backbone).is_absolute() else backbone


def _code_of(backbone: Backbone | None) -> tuple[str, str | None]:
    """What `load_model` needs to run the code of a backbone, which ran already."""
    return (backbone.factory, backbone.trust_remote_code) if backbone else ("", None)


def _write(
    folder: Path,
    description: Description,
    state: State,
    backbone: Backbone | None,
    load: Callable[[Path], ExportedModel],
    validate: Callable[[ExportedModel], dict[str, Any]],
    card: Callable[[Description], dict[str, bytes]],
) -> Description:
    """Writes a model to a folder, and loads it from there to fit it to validation clips."""
    description = save_model(folder, description, state, backbone)
    model = load(folder)
    description = description.model_copy(update=validate(model))
    description.save(folder)
    for name, content in card(description).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return description
