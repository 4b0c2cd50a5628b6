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

import argparse
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datasets.utils.cli import CommandLine, as_program, local_path, positive
from datasets.utils.console import progress_bar
from datasets.utils.json_values import json_text
from datasets.utils.text import plural, printable
from trainables.inference.description import Description
from trainables.records import TRANSDUCTIVE

if TYPE_CHECKING:
    from trainables.inference.prediction import EmbeddedRecording, Prediction

SCHEMA_VERSION = 1
NONE = "none of these"


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`earshot predict`."""
    options = parser().parse_args(arguments)
    description = Description.load(options.model)  # before the imports: a wrong path fails at once
    from datasets.audio.recordings import RejectedError
    from trainables.inference.exported_model import load_model
    from trainables.inference.prediction import check_head, classify_together, embed_recording, predict
    from trainables.inference.recording_files import recording_files
    from trainables.networks.device import pick_device

    console = Console(soft_wrap=True, highlight=False)
    model = load_model(options.model, pick_device(options.device), options.backbone, options.trust_remote_code)
    head = check_head(model, options.head)
    recordings: list[dict[str, Any]] = []
    batch: dict[int, EmbeddedRecording] = {}  # of a transductive model, by index in `recordings`
    how = {"hop": options.hop, "loudness": options.loudness}
    shown = {"head": head, "top": options.top, "timeline": options.windows}
    with progress_bar("", unit="windows") as update:
        how["listener"] = lambda done, total: update(done, total=total)
        for file in recording_files(options.recording):
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
            if not options.json:
                _print_prediction(name, prediction, console)
    if batch:
        for index, prediction in zip(batch, classify_together(model, list(batch.values()), **shown), strict=True):
            recordings[index] |= asdict(prediction)
            if not options.json:
                _print_prediction(recordings[index]["file"], prediction, console)
        print(_one_batch(description, batch.values()), file=sys.stderr)
    if options.json:
        threshold = description.threshold(head) if options.unknown else None
        header = _json_header(options.model, description, head, threshold)
        header |= {"track": TRANSDUCTIVE} if model.transductive else {}
        print(json_text({"schema_version": SCHEMA_VERSION, "model": header, "recordings": recordings}, indent=1))
    return 1 if any(recording["error"] is not None for recording in recordings) else 0


def parser() -> CommandLine:
    """The command line."""
    command = CommandLine("orchestrator.predict", description=__doc__)
    command.add_argument("model", type=local_path, metavar="DIR", help="folder written by earshot export")
    command.add_argument(
        "recording",
        nargs="+",
        metavar="PATH",
        help="recordings that libsndfile reads, or folders of them",
    )
    command.add_argument("--top", type=positive, default=5, metavar="K", help="number of classes to show (default: 5)")
    command.add_argument("--head", metavar="NAME", help="head whose scores are used (default: the trial's)")
    command.add_argument(
        "--hop", type=_seconds, metavar="SECONDS", help="from one window to the next (default: half a window)"
    )
    command.add_argument("--windows", action="store_true", help="also show the most probable class of every window")
    command.add_argument(
        "--loudness",
        action=argparse.BooleanOptionalAction,
        help="normalise recordings to -23 LUFS, true peak at most -2 dB (default: as the model's clips were made)",
    )
    command.add_argument(
        "--backbone",
        default="",
        metavar="BACKBONE",
        help="MODULE:FUNCTION or FILE.py:FUNCTION that makes the model's backbone, if it is a network of your own; the "
        "name or folder of a backbone with code of its own",
    )
    command.add_argument(
        "--trust-remote-code", metavar="REVISION", help="run the code that comes with --backbone, as you"
    )
    command.add_argument("--no-unknown", dest="unknown", action="store_false", help="never answer 'none of these'")
    command.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    command.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where networks run (default: cpu)")
    return command


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, found {text}")
    return value


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
