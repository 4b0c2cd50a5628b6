"""Classifies recordings of any length, sample rate and number of channels with an exported model.

    earshot predict DIR recording.wav folder [...] [--top 5] [--windows] [--json] [--no-unknown]

A folder stands for the recordings in it and its subfolders, in the order of their names. A recording is cut into
windows of the model's clip length with a hop of half that length. The scores of a head are averaged over the windows
and converted to probabilities of the classes that the model knows, calibrated on validation clips. They add up to 1,
also for a sound of none of these classes: the answer to that is 'none of these', if the highest score is below the
threshold of the model, above the classes that are nearest. Models without validation clips, or written by earlier
versions, have no threshold; nor have transductive models, which classify all recordings of a command as one batch.

Exit status: 0 all recordings classified, 1 some could not be read, 2 bad arguments or model, 130 interrupted.
"""

import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.table import Table
from rich.text import Text

from datasets.utils.cli import CommandLine, as_program, local_path
from datasets.utils.console import progress_bar
from datasets.utils.json_values import json_text
from datasets.utils.options import JSON, Option, add_options
from datasets.utils.text import plural, printable
from datasets.utils.validation import validated
from trainables.inference.description import Description
from trainables.records import TRANSDUCTIVE

if TYPE_CHECKING:
    from trainables.inference.prediction import EmbeddedRecording, Prediction

SCHEMA_VERSION = 1
NONE = "none of these"
SWITCH = Option(negatable=False)


class PredictOptions(BaseModel):
    """Options of the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top: Annotated[int, Option(metavar="K")] = Field(5, ge=1, description="number of classes to show")
    head: str | None = Field(None, description="head whose scores are used (default: the trial's)")
    hop: Annotated[float | None, Option(metavar="SECONDS")] = Field(
        None, gt=0, allow_inf_nan=False, description="from one window to the next (default: half a window)"
    )
    windows: Annotated[bool, SWITCH] = Field(False, description="also show the most probable class of every window")
    loudness: bool | None = Field(
        None,
        description="normalise recordings to -23 LUFS, true peak at most -2 dB (default: as the model's clips were "
        "made)",
    )
    backbone: str = Field(
        "",
        description="MODULE:FUNCTION or FILE.py:FUNCTION that makes the model's backbone, if it is a network of your "
        "own; the name or folder of a backbone with code of its own",
    )
    trust_remote_code: Annotated[str | None, Option(metavar="REVISION")] = Field(
        None, description="run the code that comes with --backbone, as you"
    )
    unknown: Annotated[bool, SWITCH] = Field(True, description="never answer 'none of these'")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where networks run")
    as_json: Annotated[bool, JSON] = Field(False, description="print one JSON document instead of tables")


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`earshot predict`."""
    given = vars(parser().parse_args(arguments))
    folder, paths = given.pop("model"), given.pop("recording")
    options = validated(PredictOptions, given, "command line", as_flags=True)
    description = Description.load(folder)  # before the imports: a wrong path fails at once
    from datasets.audio.recordings import RejectedError
    from trainables.inference.exported_model import load_model
    from trainables.inference.prediction import check_head, classify_together, embed_recording, predict
    from trainables.inference.recording_files import recording_files
    from trainables.networks.device import pick_device

    console = Console(soft_wrap=True, highlight=False)
    model = load_model(folder, pick_device(options.device), options.backbone, options.trust_remote_code)
    head = check_head(model, options.head)
    recordings: list[dict[str, Any]] = []
    batch: dict[int, EmbeddedRecording] = {}  # of a transductive model, by index in `recordings`
    how: dict[str, Any] = {"hop": options.hop, "loudness": options.loudness}
    shown: dict[str, Any] = {"head": head, "top": options.top, "timeline": options.windows}
    with progress_bar("", unit="windows") as update:
        how["listener"] = lambda done, total: update(done, total=total)
        for file in recording_files(paths):
            name = file.path
            update(0, description=Path(name).name, total=None)
            try:
                if file.error:
                    raise RejectedError(file.error)
                if model.transductive:
                    batch[len(recordings)] = embed_recording(model, Path(name), **how)
                    recordings.append({"file": name, "error": None})
                    continue
                prediction = predict(model, Path(name), unknown=options.unknown, **how, **shown)
            except (RejectedError, OSError) as error:
                reason = printable(str(error) if isinstance(error, RejectedError) else error.strerror or str(error))
                print(f"error: {printable(name)}: {reason}", file=sys.stderr)
                recordings.append({"file": name, "error": reason})
                continue
            recordings.append({"file": name, "error": None, **asdict(prediction)})
            if not options.as_json:
                _print_prediction(name, prediction, console)
    if batch:
        for index, prediction in zip(batch, classify_together(model, list(batch.values()), **shown), strict=True):
            recordings[index] |= asdict(prediction)
            if not options.as_json:
                _print_prediction(recordings[index]["file"], prediction, console)
        print(_one_batch(description, batch.values()), file=sys.stderr)
    if options.as_json:
        threshold = description.threshold(head) if options.unknown else None
        header = _json_header(folder, description, head, threshold)
        header |= {"track": TRANSDUCTIVE} if model.transductive else {}
        print(json_text({"schema_version": SCHEMA_VERSION, "model": header, "recordings": recordings}, indent=1))
    return 1 if any(recording["error"] is not None for recording in recordings) else 0


def parser() -> CommandLine:
    """The command line."""
    command = CommandLine("orchestrator.predict", description=__doc__)
    command.add_argument("model", type=local_path, metavar="DIR", help="folder written by earshot export")
    command.add_argument(
        "recording", nargs="+", metavar="PATH", help="recordings that libsndfile reads, or folders of them"
    )
    add_options(command, PredictOptions)
    return command


def _json_header(folder: Path, description: Description, head: str, threshold: float | None) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "trial": description.trial,
        "session": description.session,
        "method": description.method,
        "head": head,
        "classes": len(description.classes),
        "threshold": threshold,
    }


def _one_batch(description: Description, recordings: "Collection[EmbeddedRecording]") -> str:
    """What a transductive model has done, in one line."""
    windows = plural(sum(len(recording.starts) for recording in recordings), "window")
    return (
        f"{description.method} is transductive: {plural(len(recordings), 'recording')} ({windows}) were classified as "
        "one batch, and each result depends on all of them"
    )


def _print_prediction(name: str, prediction: "Prediction", console: Console) -> None:
    summary = f"  {prediction.seconds:.2f} s, {plural(prediction.windows, 'window')}"
    console.print(Text.assemble((printable(name), "bold"), summary))
    classes = Table(show_header=False, box=None, padding=(0, 0, 0, 2))
    if prediction.none_of_these:
        classes.add_row(Text(NONE, "bold"), Text(""))
    for entry in prediction.classes:
        classes.add_row(Text(printable(entry.name)), Text(f"{entry.probability:.3f}"))
    console.print(classes)
    if not prediction.timeline:
        return
    timeline = Table(box=None, padding=(0, 0, 0, 2), header_style="")
    for heading in ("start", "end"):
        timeline.add_column(heading, justify="right")
    timeline.add_column("class")
    timeline.add_column("probability")
    for window in prediction.timeline:
        name = NONE if window.none_of_these else printable(window.name)
        row = (f"{window.start:.2f}", f"{window.end:.2f}", name, f"{window.probability:.3f}")
        timeline.add_row(*map(Text, row))
    console.print(timeline)


if __name__ == "__main__":
    sys.exit(main())
