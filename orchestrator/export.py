"""Writes a trained chain to a self-contained folder: weights, prototypes, classes, front end, configuration.

    earshot export RUN [TRIAL] --out DIR

RUN is a run folder or its name in runs/ (--runs). TRIAL is one of:

    best             the configuration with the best validation AA (the default)
    a method         the same among its configurations; METHOD+BACKBONE as in the report, where the run has several
    a configuration  by its name
    a trial          or the beginning of its name, if it is unique

Of a configuration the first seed is exported, or the one that --seed names. Its chain has learned from the few clips of
the experiment; for a classifier to be used, --train-on-all trains the same chain on all train clips.

A threshold for sounds of none of the classes is chosen on validation clips of the classes that the model knows: --known
0.95 is the score that 95 % of them reach. Of the benchmark's other classes it is printed how many it rejects.

Then classify recordings with DIR: earshot predict DIR recording.wav
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.options import Option, add_options
from datasets.utils.validation import validated
from orchestrator.exporting.output_folder import KEEP, check_output
from orchestrator.results.find_run import RunsOptions
from orchestrator.results.run_folder import RunFolder

if TYPE_CHECKING:
    from trainables.inference.description import Description
    from trainables.records import SessionRecord

MOVED = "inputs that have moved since the sweep"
SWITCH = Option(negatable=False)


class ExportOptions(RunsOptions):
    """Options of the command line."""

    out: Annotated[Path, Option(metavar="DIR")] = Field(description="new folder for the model")
    seed: str | None = Field(
        None, description="a seed, or best-by-validation: the highest validation AA (default: the first)"
    )
    train_on_all: Annotated[bool, SWITCH] = Field(
        False, description="train the chain again on all train clips of its classes, in the same order of sessions"
    )
    known: Annotated[float, Option(metavar="FRACTION")] = Field(
        KEEP,
        gt=0,
        le=1,
        description="predict answers 'none of these' below a score that this fraction of the validation clips reaches",
    )
    session: int | None = Field(None, description="state after session N (default: the last finished)")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where networks run")
    force: Annotated[bool, SWITCH] = Field(False, description="replace an existing export")
    benchmark: Annotated[str | None, Option(MOVED, metavar="DIR")] = Field(
        None, description="folder or URI of the prepared benchmark"
    )
    backbone: Annotated[str | None, Option(MOVED, metavar="NAME")] = Field(
        None, description="hub name, checkpoint or folder of the same weights"
    )
    trust_remote_code: Annotated[str | None, Option(MOVED, metavar="REVISION")] = Field(
        None, description="run the code that comes with --backbone, as you"
    )
    store: Annotated[str | None, Option(MOVED, metavar="PLACE")] = Field(
        None, description="folder or URI of the stages (default: store beside the run)"
    )


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`earshot export`."""
    given = vars(parser().parse_args(arguments))
    run, trial = given.pop("run"), given.pop("trial")
    options = validated(ExportOptions, given, "command line", as_flags=True)
    check_output(options.out, force=options.force)  # before the imports: a wrong path fails at once
    folder = RunFolder.find(run, options.runs)
    from orchestrator.exporting.export import Overrides, export

    overrides = Overrides(options.benchmark, options.backbone, options.store, options.trust_remote_code)
    model = export(
        folder,
        trial,
        options.out,
        seed=options.seed,
        session=options.session,
        train_on_all=options.train_on_all,
        keep=options.known,
        overrides=overrides,
        device=options.device,
        force=options.force,
        listener=_print_session,
    )
    _print_summary(model, options.out)
    return 0


def parser() -> CommandLine:
    """The command line."""
    command = CommandLine("orchestrator.export", description=__doc__)
    command.add_argument("run", metavar="RUN", help="run folder of a sweep, its name in --runs, or latest")
    command.add_argument("trial", metavar="TRIAL", nargs="?", default="best", help="see above (default: best)")
    add_options(command, ExportOptions)
    return command


def _print_session(record: "SessionRecord", sessions: int) -> None:
    result = "cached" if record.cached else f"{record.seconds:.1f} s"
    print(f"session {record.index + 1}/{sessions}  {len(record.classes)} new classes  {result}")


def _print_summary(model: "Description", out: Path) -> None:
    from rich.markup import escape
    from rich.table import Table

    from datasets.utils.console import output_console
    from datasets.utils.text import printable

    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # a path is not cut
    for key, value in (
        ("trial", model.trial),
        ("protocol", model.protocol_hash or "unknown"),
        ("session", f"{model.session} of 0 to {model.planned_sessions - 1}"),
        ("classes", f"{len(model.classes)}"),
        ("learned from", _training_text(model)),
        ("heads", f"{', '.join(model.heads)} (default: {model.default_head})"),
        ("probabilities", _calibration_text(model)),
        ("none of these", _threshold_text(model)),
        ("clip", f"{model.num_samples / model.sample_rate:g} s at {model.sample_rate} Hz"),
        ("size", f"{size / 1e6:.1f} MB"),
        ("folder", str(out)),
    ):
        table.add_row(key, escape(printable(value)))
    output_console().print(table)


def _training_text(model: "Description") -> str:
    """'125 of 7,500 train clips of these classes'."""
    training = model.training
    assert training is not None, "written by this version"
    text = f"{training.clips:,} of {training.of:,} train clips of these classes"
    return text if training.all_clips or training.clips == training.of else f"{text} (all: --train-on-all)"


def _calibration_text(model: "Description") -> str:
    """'calibrated on 500 validation clips: accuracy 0.760, ECE 0.021 (uncalibrated: 0.630)', of the default head."""
    calibration = model.calibration
    assert calibration is not None, "written by this version"
    if not calibration.clips:
        return "not calibrated: the benchmark has no validation clips of these classes"
    head = calibration.heads[model.default_head]
    return (
        f"calibrated on {calibration.clips:,} validation clips: accuracy {head.accuracy:.3f}, ECE {head.ece:.3f} "
        f"(uncalibrated: {head.ece_uncalibrated:.3f})"
    )


def _threshold_text(model: "Description") -> str:
    """'score below 11.2: keeps 0.952 of 500 validation clips, rejects 0.610 of 480 of other classes'."""
    thresholds = model.thresholds
    if thresholds is None:
        from trainables.methods.registry import find_method

        if find_method(model.method).transductive:
            return "never answered: scores of a transductive model depend on the batch"
        return "never answered: the benchmark has no validation clips of these classes"
    head = thresholds.heads[model.default_head]
    text = f"score below {head.value:.4g}: keeps {head.kept:.3f} of {thresholds.clips:,} validation clips"
    if head.rejected is None:
        return f"{text}; the benchmark has no validation clips of other classes"
    return f"{text}, rejects {head.rejected:.3f} of {thresholds.other_clips:,} of other classes"


if __name__ == "__main__":
    sys.exit(main())
