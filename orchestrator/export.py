"""Writes a trained chain into a folder that stands alone: weights, prototypes, classes, front end, configuration.

    python -m orchestrator.export RUN [TRIAL] --out DIR

RUN is a run folder or its name in runs/. TRIAL is one of:

    best             the configuration with the best validation AA, its first seed (the default)
    a method         the same among its configurations
    a configuration  its first seed
    a trial          or the beginning of its name, if only one begins so

DIR then classifies recordings: python -m orchestrator.predict DIR recording.wav
"""

import shutil
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from datasets.benchmark.manifest import Manifest
from datasets.utils.cli import CommandLine, as_program, local_path
from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.location import Location, is_uri
from datasets.utils.text import printable
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder
from trainables.inference.exported_model import (
    FILE_NAME,
    Description,
    ExportedBackbone,
    ExportedBenchmark,
    ExportedClass,
    load_model,
    save_model,
)
from trainables.methods.registry import find_method
from trainables.networks.backbone import Backbone, load_backbone
from trainables.networks.frontend import FrontEnd
from trainables.networks.specs import FrontEndSpec
from trainables.records import TrialRecord
from trainables.store.layout import stage_file
from trainables.store.stages import Stage, StageStore
from trainables.store.state import State

BEST = "best"
README = "README.md"


@dataclass(frozen=True)
class Places:
    """Where to look for what a run does not hold itself; None is where the sweep had it.

    Attributes:
        benchmark: folder or URI of the prepared benchmark; its manifest alone is read.
        backbone: name, file or folder of the pretrained network.
        store: folder or URI of the stages.
    """

    benchmark: str | None = None
    backbone: str | None = None
    store: str | Path | None = None


def export(
    run: str, trial: str, out: Path, *, session: int | None = None, places: Places | None = None, force: bool = False
) -> Description:
    """Writes a trial, after one of its sessions, to a folder.

    Args:
        run: run folder, or its name in `runs`.
        trial: see the module.
        out: new folder; it is there whole or not at all.
        session: number of the session (default: the last one that is finished).
        places: of what the run needs.
        force: replace an export that is there.

    Raises:
        EarshotError: there is no such trial or session, what it needs is gone, or `out` is in the way.
    """
    places = places or Places()
    _refuse_existing(out, force)
    folder = RunFolder.find(run)
    record = TrialRecord.load(folder.trial(choose(folder, trial)))
    number = _session(record, session)
    stage, state = _learned(record, number, Location.of(places.store or folder.store))
    ours, theirs = find_method(record.method).version, stage.depends_on["version"]
    if ours != theirs:
        raise EarshotError(
            f"trial {printable(record.trial)}: computed with version {theirs} of {record.method}, "
            f"this is version {ours}; run the sweep again"
        )
    manifest = _manifest(folder, record, places.benchmark)
    frontend = _frontend(stage)
    backbone = _backbone(record, stage, frontend, manifest, places.backbone)
    classes = [
        ExportedClass(label=label, name=record.class_names[label], session=one.index)
        for one in record.sessions[: number + 1]
        for label in one.classes
    ]
    description = Description(
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
        backbone=backbone and ExportedBackbone(name=_name(record.backbone), digest=backbone.digest),
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
    return _write(out, description, state, backbone)


def choose(folder: RunFolder, wanted: str) -> str:
    """The name of the trial that is meant by `wanted`; see the module.

    Raises:
        EarshotError: none is, or more than one.
    """
    names = folder.trials
    if wanted in names:
        return wanted
    run = Run.load(folder.path)
    if wanted == BEST or wanted in run.methods:
        methods = run.methods if wanted == BEST else (wanted,)
        choices = [choice for choice in map(run.best, methods) if choice.sessions]
        # NaN, where there are no validation clips, comes last; equals are told apart by name
        ranked = sorted(
            choices, key=lambda one: (one.n == 0, -round(one.validation_aa, 12) if one.n else 0, one.method)
        )
        configuration = ranked[0].configuration if ranked else ""
    else:
        configuration = wanted
    if configuration in run.configurations():
        records = [record for record in run.of(configuration) if record.sessions]
        first = sorted(records, key=lambda one: (one.seeds.order, one.seeds.support, one.seeds.initialisation))
        if first:
            return first[0].trial
    found = [name for name in names if name.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    shown = printable(", ".join(found or names)[:300])
    what = f"{len(found)} of them" if found else "none such"
    raise EarshotError(
        f"trial '{printable(wanted)}': expected one with a finished session, found {what}; trials: {shown}"
    )


def _session(record: TrialRecord, wanted: int | None) -> int:
    finished = len(record.sessions)
    if not finished:
        raise EarshotError(f"trial {printable(record.trial)}: no session is finished; run the sweep again")
    number = finished - 1 if wanted is None else wanted
    if not 0 <= number < finished:
        raise EarshotError(
            f"--session {number}: expected 0 to {finished - 1}, the finished sessions of {printable(record.trial)}"
        )
    return number


def _learned(record: TrialRecord, session: int, root: Location) -> tuple[Stage, State]:
    """The stage after a session, and the learner's state."""
    address = record.sessions[session].stage
    store = StageStore(root)
    stage = store.find(address)
    if stage is None:
        raise EarshotError(
            f"{root}: holds no stage {address[:12]}... (session {session} of {printable(record.trial)}); run the same "
            "sweep again to compute it, or name the store with --store"
        )
    state = store.state(address)
    if state is None:
        raise EarshotError(
            f"{root / stage_file(address)}: the weights after session {session} of {printable(record.trial)} are gone "
            "or damaged; remove this file and run the same sweep again"
        )
    return stage, state


def _manifest(folder: RunFolder, record: TrialRecord, given: str | None) -> Manifest:
    """The manifest of the benchmark that the trial learned from, and of no other."""
    if given is not None:
        manifest = Manifest.load(given)
        if manifest.fingerprint != record.benchmark_fingerprint:
            raise EarshotError(
                f"--benchmark {Location.of(given)}: expected the benchmark of the run (fingerprint "
                f"{record.benchmark_fingerprint[:12]}...), found {manifest.fingerprint[:12]}..."
            )
        return manifest
    where = folder.where()
    place = str(where.get("benchmark", ""))
    named = [] if not place or is_uri(place) else [str(Path(str(where.get("data", "data"))) / place)]
    for candidate in [place, *named] if place else []:
        try:
            manifest = Manifest.load(candidate)
        except EarshotError:
            continue
        if manifest.fingerprint == record.benchmark_fingerprint:
            return manifest
    raise EarshotError(
        f"benchmark {printable(record.benchmark)}: expected it where the sweep found it"
        f"{f' ({Location.of(place)})' if place else ''}, with fingerprint {record.benchmark_fingerprint[:12]}...; "
        "give its folder: --benchmark DIR"
    )


def _frontend(stage: Stage) -> FrontEndSpec:
    """The front end from what a stage depends on: 'kaldi', or 'reference 400/160'."""
    kind, _, window = str(stage.depends_on["frontend"]).partition(" ")
    if not window:
        return FrontEndSpec.model_validate({"kind": kind})
    size, hop = window.split("/")
    return FrontEndSpec.model_validate({"kind": kind, "window": int(size), "hop": int(hop)})


def _backbone(
    record: TrialRecord, stage: Stage, frontend: FrontEndSpec, manifest: Manifest, given: str | None
) -> Backbone | None:
    wanted = stage.depends_on["weights"]
    if wanted is None:
        return None
    name = given or record.backbone
    frames = FrontEnd(frontend, manifest.sample_rate, manifest.num_samples).frames
    backbone = load_backbone(name, frames)
    if backbone.digest != wanted:
        raise EarshotError(
            f"backbone '{printable(name)}': not the weights that the trial was computed with (expected "
            f"{wanted[:12]}..., found {backbone.digest[:12]}...); name the right ones with --backbone"
        )
    return backbone


def _name(backbone: str) -> str:
    """The backbone's name without the folders of this machine."""
    return Path(backbone).name if Path(backbone).is_absolute() else backbone


def _refuse_existing(out: Path, force: bool) -> None:
    shown = printable(str(out))
    if not (out.exists() or out.is_symlink()) or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / FILE_NAME).is_file():
        raise EarshotError(f"{shown}: expected no such folder, an empty one or an export, found other files")
    if not force:
        raise EarshotError(f"{shown}: holds an export already; choose another --out, or replace it with --force")
    known = {FILE_NAME, README, *Description.load(out).files}
    others = [
        path for path in sorted(out.rglob("*")) if path.is_file() and path.relative_to(out).as_posix() not in known
    ]
    if others:
        raise EarshotError(f"{printable(str(others[0]))}: not part of the export that is to be replaced; move it away")


def _write(out: Path, description: Description, state: State, backbone: Backbone | None) -> Description:
    """Writes aside, sees that it can be loaded, renames."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.parent / f".{out.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}"
    before = aside.with_name(f"{aside.name}.before")
    aside.mkdir()
    try:
        description = save_model(aside, description, state, backbone)
        (aside / README).write_text(_readme(description), encoding="utf-8")
        load_model(aside)
        if out.exists():
            out.rename(before)
        aside.rename(out)
    finally:
        if before.exists() and not out.exists():
            before.rename(out)
        for path in (aside, before):
            shutil.rmtree(path, ignore_errors=True)
    return description


def _readme(model: Description) -> str:
    seconds = model.num_samples / model.sample_rate
    loudness = "brought to -23 LUFS (EBU R128)" if model.loudness else "at their own loudness"
    return f"""\
# {printable(model.trial)}

Method `{model.method}`, heads {", ".join(model.heads)}; {len(model.classes)} classes after session {model.session}.
Clips: {seconds:g} s at {model.sample_rate} Hz, {loudness}.

```sh
python -m orchestrator.predict DIR recording.wav --top 5
python -m orchestrator.predict DIR recording.wav --windows --json
```

DIR is this folder. `model.json` tells the classes, the configuration and where they come from; `parts/` holds what the
method learned (safetensors){", `backbone/` the pretrained network (`transformers`)" if model.backbone else ""}.
"""


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m orchestrator.export`: 0 written, 2 bad input."""
    given = parser().parse_args(arguments)
    places = Places(given.benchmark, given.backbone, given.store)
    model = export(given.run, given.trial, given.out, session=given.session, places=places, force=given.force)
    size = sum(path.stat().st_size for path in given.out.rglob("*") if path.is_file())
    table = Table(show_header=False, box=None, pad_edge=False)
    for key, value in (
        ("trial", model.trial),
        ("session", f"{model.session} of 0 to {model.planned_sessions - 1}"),
        ("classes", f"{len(model.classes)}"),
        ("heads", f"{', '.join(model.heads)} (default: {model.default_head})"),
        ("clip", f"{model.num_samples / model.sample_rate:g} s at {model.sample_rate} Hz"),
        ("size", f"{size / 1e6:.1f} MB"),
        ("folder", str(given.out)),
    ):
        table.add_row(key, escape(printable(value)))
    Console(soft_wrap=True, highlight=False).print(table)
    return 0


def parser() -> CommandLine:
    """The command line."""
    made = CommandLine(
        "orchestrator.export",
        description=__doc__,
    )
    made.add_argument("run", metavar="RUN", help="run folder of a sweep, or its name in runs/")
    made.add_argument("trial", metavar="TRIAL", nargs="?", default=BEST, help="see above (default: best)")
    made.add_argument("--out", type=local_path, required=True, metavar="DIR", help="folder of the model, a new one")
    made.add_argument("--session", type=int, metavar="N", help="as after session N (default: the last finished one)")
    made.add_argument("--force", action="store_true", help="replace an export that is there")
    moved = made.add_argument_group("if things are no longer where the sweep had them")
    moved.add_argument("--benchmark", metavar="DIR", help="folder or URI of the prepared benchmark")
    moved.add_argument("--backbone", metavar="NAME", help="hub name, checkpoint or folder of the same weights")
    moved.add_argument("--store", metavar="PLACE", help="of the stages (default: store, beside the run)")
    return made


if __name__ == "__main__":
    sys.exit(main())
