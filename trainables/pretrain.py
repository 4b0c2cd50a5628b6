"""Pretrains a backbone on sources that are made on the spot or on recordings. No Ray in here.

    python -m trainables.pretrain --benchmark synthetic --config tiny --out pretrained
    python -m trainables.pretrain --benchmark data/mine --labels recording --init earshot-tiny --out pretrained

Leaves in the folder `--out`:

    recipe.json    what decides the weights, where they were made, and what the backbone that it began with was made by
    state.pt       plain tensors: the same command goes on from there after any interruption
    curve.csv      loss, accuracy and held-out retrieval by step;  curve.png shows them
    model/         the backbone: --backbone pretrained/model of a sweep
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import ASTConfig
from transformers.utils.logging import disable_progress_bar

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.errors import EarshotError, Interrupted
from datasets.utils.files import write_atomically
from trainables.networks.backbone import load_backbone
from trainables.networks.device import pick_device
from trainables.networks.shipped import recipe_of
from trainables.pretraining.curve import curve
from trainables.pretraining.network import LONGEST, SIZES, Network
from trainables.pretraining.recorded import Recorded
from trainables.pretraining.stream import Stream, Synthetic
from trainables.pretraining.training import Point, Recipe, Training

SYNTHETIC = "synthetic"
INTERRUPTED = 130
_RECIPE = {
    "steps": "batches",
    "sources": "sources in a batch",
    "clips": "clips of a source in a batch",
    "lr": "highest learning rate (AdamW)",
    "weight_decay": "of matrices",
    "keep": "share of the patches that is read in training",
    "seed": "of weights, sounds and patches",
}


@dataclass(frozen=True)
class Start:
    """What training begins with.

    Attributes:
        network: random weights, or those of a backbone.
        digest: of that backbone; none: random weights.
        recipe: how that backbone was made, where it is known.
    """

    network: Network
    digest: str = ""
    recipe: dict[str, object] | None = None


def pretrain(
    recipe: Recipe,
    stream: Stream,
    start: Start,
    out: Path,
    *,
    device: torch.device,
    workers: int,
    save_every: int,
    console: Console,
) -> Path:
    """Trains (or goes on training) in a folder; returns the folder of the backbone.

    Args:
        recipe: what is trained.
        stream: its batches.
        start: what training begins with.
        out: the folder; made where it is not there.
        device: where.
        workers: processes that make batches.
        save_every: steps between two saved states.
        console: where progress is shown.

    Raises:
        EarshotError: the folder holds another run, or training diverged.
    """
    out.mkdir(parents=True, exist_ok=True)
    training = Training(recipe, out, stream, device, start.network)
    made = {"torch": torch.__version__, "device": device.type, "machine": platform.processor() or platform.machine()}
    made["threads"] = str(torch.get_num_threads())
    whole = {**asdict(recipe), "made_with": made, **({"after": start.recipe} if start.recipe else {})}
    write_atomically(out / "recipe.json", json.dumps(whole, indent=2).encode())
    columns = (
        TextColumn("pretraining"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=recipe.steps, completed=training.step, told="")

        def show(point: Point) -> None:
            said = f"loss {point.loss:.2f}  right {point.accuracy:.0%}"
            if point.retrieval:
                said += f"  held out {point.retrieval.first:.0%}"
                write_atomically(out / "curve.png", curve(training.points, out.name))
                if not console.is_terminal:
                    console.print(f"step {point.step}/{recipe.steps}  {said}  {point.seconds:.0f} s")
            bar.update(task, completed=point.step, told=said)

        training.run(workers=workers, save_every=save_every, told=show)
    write_atomically(out / "curve.png", curve(training.points, out.name))
    disable_progress_bar()  # of writing tensors to a file
    training.network.exported().save_pretrained(out / "model")
    return out / "model"


def parser() -> CommandLine:
    """The command line."""
    default = Recipe()
    made = CommandLine(
        "trainables.pretrain",
        description=__doc__,
    )
    what = made.add_argument_group("what")
    what.add_argument(
        "--benchmark",
        default=SYNTHETIC,
        metavar="DIR",
        help="a prepared benchmark, whose train clips are read; or synthetic: sources made on the spot"
        " (default: synthetic)",
    )
    what.add_argument(
        "--labels",
        choices=("class", "recording"),
        default="class",
        help="of a benchmark: what a source is; recording needs no labels (default: class)",
    )
    what.add_argument(
        "--config",
        choices=list(SIZES),
        default=default.config,
        help=f"size of the network (default: {default.config})",
    )
    what.add_argument(
        "--init",
        metavar="BACKBONE",
        help="start from a backbone of this size instead of random weights: earshot-tiny, or a folder model/ that an"
        " earlier run left",
    )
    what.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the run")
    how = made.add_argument_group("recipe")
    for name, text in _RECIPE.items():
        value = getattr(default, name)
        kind, shown = (int, "N") if isinstance(value, int) else (float, "X")
        flag = f"--{name.replace('_', '-')}"
        how.add_argument(flag, type=kind, default=value, metavar=shown, help=f"{text} (default: {value})")
    where = made.add_argument_group("where")
    where.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    where.add_argument("--threads", type=int, default=1, metavar="N", help="of the network on a CPU (default: 1)")
    where.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that make batches for a CPU; a GPU makes synthetic ones itself (default: 1)",
    )
    where.add_argument(
        "--save-every",
        type=int,
        default=100,
        metavar="N",
        help="steps between two saved states, each with a held-out score (default: 100)",
    )
    return made


def _stream(options: argparse.Namespace, device: torch.device) -> tuple[str, Stream]:
    """The batches, and what they are."""
    numbers = (options.seed, options.steps, options.sources, options.clips)
    if options.benchmark == SYNTHETIC:
        return f"{SYNTHETIC} {Synthetic.version}", Synthetic(*numbers, device=device)
    recorded = Recorded(options.benchmark, options.labels, *numbers)
    return f"{options.labels} {recorded.shards.fingerprint}", recorded


def _start(options: argparse.Namespace) -> Start:
    network = Network(SIZES[options.config], options.seed)
    if options.init is None:
        return Start(network)
    backbone = load_backbone(options.init, LONGEST)
    try:
        network.take_over(backbone.ast)
    except ValueError:
        raise EarshotError(
            f"--init {options.init}: expected a network of --config {options.config} ({_size(network.config)}),"
            f" found {_size(backbone.ast.config)}"
        ) from None
    return Start(network, backbone.digest, recipe_of(options.init))


def _size(config: ASTConfig) -> str:
    return (
        f"{config.hidden_size} wide, {config.num_hidden_layers} blocks of {config.num_attention_heads} heads, patches"
        f" {config.frequency_stride} x {config.time_stride} apart"
    )


def _checked(options: argparse.Namespace) -> None:
    lowest = {"steps": 1, "sources": 2, "clips": 2, "threads": 1, "workers": 0, "save_every": 1, "seed": 0}
    for name, least in lowest.items():
        if (found := getattr(options, name)) < least:
            raise EarshotError(f"--{name.replace('_', '-')}: expected at least {least}, found {found}")
    if not 0 < options.keep <= 1:
        raise EarshotError(f"--keep: expected a share above 0, up to 1, found {options.keep}")


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m trainables.pretrain`."""
    options = parser().parse_args(arguments)
    console = Console(stderr=False, highlight=False)
    _checked(options)
    device = pick_device(options.device)
    torch.set_num_threads(options.threads)
    benchmark, stream = _stream(options, device)
    start = _start(options)
    recipe = Recipe(benchmark, options.config, start.digest, *(getattr(options, name) for name in _RECIPE))
    workers = 0 if device.type == "cuda" and options.benchmark == SYNTHETIC else options.workers
    try:
        model = pretrain(
            recipe,
            stream,
            start,
            options.out,
            device=device,
            workers=workers,
            save_every=options.save_every,
            console=console,
        )
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; the same command goes on from the last saved step in {options.out}") from None
    console.print(f"backbone: {model}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
