"""Exports a trial, after one of its sessions, to a folder that `trainables.inference` loads."""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from datasets.benchmark.manifest import Manifest
from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.location import Location
from datasets.utils.text import is_uri, printable
from orchestrator.exporting.choice import choose_trial
from orchestrator.exporting.output_folder import README, check_output
from orchestrator.results.run_folder import RunFolder
from trainables.inference.description import Description, ExportedBackbone, ExportedBenchmark, ExportedClass
from trainables.inference.exported_model import load_model, save_model
from trainables.methods.registry import check_backbone, find_method
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.specs import FRONT_ENDS, BackboneSpec, ClipFormat, FrontEndSpec
from trainables.records import TrialRecord
from trainables.store.layout import stage_file
from trainables.store.stages import Stage, StageStore
from trainables.store.state import State


@dataclass(frozen=True)
class Overrides:
    """Locations of inputs that have moved since the sweep; None is the location that the sweep used.

    Attributes:
        benchmark: folder or URI of the prepared benchmark; only its manifest is read.
        backbone: name, file or folder of the pretrained network.
        store: folder or URI of the stages.
    """

    benchmark: str | None = None
    backbone: str | None = None
    store: str | Path | None = None


def export(
    folder: RunFolder,
    trial: str,
    out: Path,
    *,
    session: int | None = None,
    overrides: Overrides | None = None,
    force: bool = False,
) -> Description:
    """Exports a trial.

    Args:
        folder: of the run.
        trial: see `choose_trial`.
        out: new folder, written atomically.
        session: number of the session (default: the last finished one).
        overrides: locations of the run's inputs.
        force: replace an existing export.

    Raises:
        EarshotError: there is no such trial or session, an input is missing, or `out` contains other files.
    """
    overrides = overrides or Overrides()
    check_output(out, force=force)
    record = TrialRecord.load(folder.trial(choose_trial(folder, trial)))
    number = _session_number(record, session)
    stage, state = _load_stage(record, number, Location.of(overrides.store or folder.store))
    _check_version(record, stage)
    manifest = _load_manifest(folder, record, overrides.benchmark)
    frontend = _frontend_spec(stage)
    backbone = _load_backbone(record, stage, frontend, manifest, overrides.backbone)
    description = _describe(record, stage, state, manifest, frontend, backbone)
    return _write(out, description, state, backbone)


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


def _check_version(record: TrialRecord, stage: Stage) -> None:
    installed, computed = find_method(record.method).version, stage.depends_on["version"]
    if installed != computed:
        raise EarshotError(
            f"trial {printable(record.trial)}: computed with version {computed} of {record.method}, "
            f"this is version {installed}; run the sweep again"
        )


def _load_manifest(folder: RunFolder, record: TrialRecord, override: str | None) -> Manifest:
    """The manifest of the benchmark that the trial was trained on, verified by its fingerprint."""
    if override is not None:
        manifest = Manifest.load(override)
        if manifest.fingerprint != record.benchmark_fingerprint:
            raise EarshotError(
                f"--benchmark {Location.of(override)}: expected the benchmark of the run (fingerprint "
                f"{record.benchmark_fingerprint[:12]}...), found {manifest.fingerprint[:12]}..."
            )
        return manifest
    where = folder.where()
    location = str(where.get("benchmark", ""))
    in_data = [] if not location or is_uri(location) else [str(Path(str(where.get("data", "data"))) / location)]
    for candidate in [location, *in_data] if location else []:
        try:
            manifest = Manifest.load(candidate)
        except EarshotError:
            continue
        if manifest.fingerprint == record.benchmark_fingerprint:
            return manifest
    raise EarshotError(
        f"benchmark {printable(record.benchmark)}: not found where the sweep read it"
        f"{f' ({Location.of(location)})' if location else ''}, with fingerprint "
        f"{record.benchmark_fingerprint[:12]}...; give its folder: --benchmark DIR"
    )


def _frontend_spec(stage: Stage) -> FrontEndSpec:
    """The front end in a stage's description: 'kaldi', or 'reference 400/160'."""
    if not str(stage.depends_on["frontend"]).startswith(FRONT_ENDS):
        return FrontEndSpec()  # the backbone has its own
    kind, _, window = str(stage.depends_on["frontend"]).partition(" ")
    if not window:
        return FrontEndSpec.model_validate({"kind": kind})
    size, hop = window.split("/")
    return FrontEndSpec.model_validate({"kind": kind, "window": int(size), "hop": int(hop)})


def _load_backbone(
    record: TrialRecord, stage: Stage, frontend: FrontEndSpec, manifest: Manifest, override: str | None
) -> Backbone | None:
    """The backbone that the trial was computed with, verified by its digest; None if the method uses none."""
    digest = stage.depends_on["weights"]
    if digest is None:
        return None
    name = override or record.backbone
    settings = find_method(record.method).Settings.model_validate(record.settings)
    spec = BackboneSpec(name, frontend, record.layer, record.pool)
    backbone = load_backbone(spec, ClipFormat(manifest.sample_rate, manifest.num_samples))
    check_backbone(find_method(record.method), settings, backbone, printable(name))
    if backbone.digest != digest:
        raise EarshotError(
            f"backbone '{printable(name)}': not the weights that the trial was computed with (expected "
            f"{digest[:12]}..., found {backbone.digest[:12]}...); give the right ones with --backbone"
        )
    return backbone


def _describe(
    record: TrialRecord,
    stage: Stage,
    state: State,
    manifest: Manifest,
    frontend: FrontEndSpec,
    backbone: Backbone | None,
) -> Description:
    """The description of a trial after the session of `stage`, without `files`."""
    number = stage.depends_on["session"]
    classes = [
        ExportedClass(label=label, name=record.class_names[label], session=session.index)
        for session in record.sessions[: number + 1]
        for label in session.classes
    ]
    return Description(
        method=record.method,
        version=stage.depends_on["version"],
        settings=record.settings,
        notes=state.notes,
        classes=tuple(classes),
        heads=record.heads,
        default_head=record.default_head,
        frontend=frontend,
        sample_rate=manifest.sample_rate,
        num_samples=manifest.num_samples,
        loudness=manifest.settings.get("loudness") is True,
        precision=stage.depends_on["precision"],
        backbone=backbone
        and ExportedBackbone(
            name=_portable_name(record.backbone),
            digest=backbone.digest,
            family=backbone.family,
            layer=record.layer,
            pool=record.pool,
        ),
        benchmark=ExportedBenchmark(
            name=manifest.name, fingerprint=manifest.fingerprint, corpus=manifest.corpus, settings=manifest.settings
        ),
        protocol=record.protocol,
        seeds=record.seeds,
        trial=record.trial,
        configuration=record.configuration,
        session=number,
        planned_sessions=record.planned_sessions,
        stage=stage.address,
        files={},
    )


def _portable_name(backbone: str) -> str:
    """The backbone's name without folders of this machine."""
    return Path(backbone).name if Path(backbone).is_absolute() else backbone


def _write(out: Path, description: Description, state: State, backbone: Backbone | None) -> Description:
    """Writes to a temporary folder, verifies that it can be loaded, and renames it to `out`."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.parent / f".{out.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    replaced = temporary.with_name(f"{temporary.name}.before")
    temporary.mkdir()
    try:
        description = save_model(temporary, description, state, backbone)
        (temporary / README).write_text(_readme(description), encoding="utf-8")
        load_model(temporary)
        if out.exists():
            out.rename(replaced)
        temporary.rename(out)
    finally:
        if replaced.exists() and not out.exists():
            replaced.rename(out)
        for path in (temporary, replaced):
            shutil.rmtree(path, ignore_errors=True)
    return description


def _readme(model: Description) -> str:
    seconds = model.num_samples / model.sample_rate
    loudness = "normalised to -23 LUFS (EBU R128)" if model.loudness else "loudness as recorded"
    return f"""\
# {printable(model.trial)}

Method `{model.method}`, heads {", ".join(model.heads)}; {len(model.classes)} classes after session {model.session}.
Clips: {seconds:g} s at {model.sample_rate} Hz, {loudness}.

```sh
earshot predict DIR recording.wav --top 5
earshot predict DIR recording.wav --windows --json
```

DIR is this folder. `model.json` lists the classes, the configuration and their origin; `parts/` contains what the
method learned (safetensors){", `backbone/` the pretrained network (`transformers`)" if model.backbone else ""}.
"""
