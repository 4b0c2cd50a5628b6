"""Classifies recordings of any length, rate and number of channels with an exported model.

    python -m orchestrator.predict DIR recording.wav [...] [--top 5] [--windows] [--json]

A recording is cut into windows as long as the model's clips, one every half of that. The scores of a head are averaged
over the windows and turned into probabilities of the classes that the model knows, which add up to 1: a sound of none
of them gets a class too, and they are not calibrated.

Exit codes: 0 all recordings classified, 1 some could not be read, 2 the command or the model is wrong, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datasets.audio.recordings import RejectedError
from datasets.utils.cli import CommandLine, as_program, local_path, positive
from datasets.utils.console import progress_bar
from datasets.utils.json_values import json_text
from datasets.utils.text import printable
from trainables.inference.prediction import Prediction, check_head, predict

SCHEMA_VERSION = 1


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    given = parser().parse_args(arguments)
    console = Console(soft_wrap=True, highlight=False)
    results: list[dict[str, Any]] = []
    failed = 0
    from trainables.chain import pick_device
    from trainables.inference.exported_model import load_model

    model = load_model(given.model, pick_device(given.device))
    head = check_head(model, given.head)
    with progress_bar("", unit="windows") as update:
        for name in given.recording:
            update(0, description=Path(name).name, total=None)
            try:
                found = predict(
                    model,
                    Path(name),
                    head=head,
                    top=given.top,
                    hop=given.hop,
                    timeline=given.windows,
                    loudness=given.loudness,
                    listener=lambda done, total: update(done, total=total),
                )
            except (RejectedError, OSError) as error:
                failed += 1
                reason = printable(str(error) if isinstance(error, RejectedError) else error.strerror or str(error))
                print(f"error: {printable(name)}: {reason}", file=sys.stderr)
                results.append({"file": name, "error": reason})
                continue
            results.append({"file": name, "error": None, **asdict(found)})
            if not given.json:
                _tell(name, found, console)
    if given.json:
        known = model.description
        described: dict[str, Any] = {"folder": str(given.model), "trial": known.trial, "session": known.session}
        described |= {"method": known.method, "head": head, "classes": len(known.classes)}
        print(json_text({"schema_version": SCHEMA_VERSION, "model": described, "recordings": results}, indent=1))
    return 1 if failed else 0


def _tell(name: str, found: Prediction, console: Console) -> None:
    windows = "1 window" if found.windows == 1 else f"{found.windows} windows"
    console.print(Text.assemble((printable(name), "bold"), f"  {found.seconds:.2f} s, {windows}"))
    likely = Table(show_header=False, box=None, padding=(0, 0, 0, 2))
    for one in found.classes:
        likely.add_row(Text(printable(one.name)), Text(f"{one.probability:.3f}"))
    console.print(likely)
    if not found.timeline:
        return
    timeline = Table(box=None, padding=(0, 0, 0, 2), header_style="")
    for heading in ("start", "end"):
        timeline.add_column(heading, justify="right")
    timeline.add_column("class")
    timeline.add_column("probability")
    for window in found.timeline:
        row = (f"{window.start:.2f}", f"{window.end:.2f}", printable(window.name), f"{window.probability:.3f}")
        timeline.add_row(*map(Text, row))
    console.print(timeline)


def parser() -> CommandLine:
    """The command line."""
    made = CommandLine(
        "orchestrator.predict",
        description=__doc__,
    )
    made.add_argument("model", type=local_path, metavar="DIR", help="folder that orchestrator.export wrote")
    made.add_argument("recording", nargs="+", metavar="FILE", help="recordings, of any format that libsndfile reads")
    made.add_argument("--top", type=positive, default=5, metavar="K", help="likeliest classes to tell (default: 5)")
    made.add_argument("--head", metavar="NAME", help="whose scores (default: the trial's)")
    made.add_argument(
        "--hop", type=_seconds, metavar="SECONDS", help="from one window to the next (default: half a window)"
    )
    made.add_argument("--windows", action="store_true", help="also tell the likeliest class of every window")
    made.add_argument(
        "--loudness",
        action=argparse.BooleanOptionalAction,
        help="bring recordings to -23 LUFS, true peak at most -2 dB (default: as the model's clips were made)",
    )
    made.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where networks run (default: cpu)")
    return made


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, found {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
