"""Pretrains a backbone on procedurally generated sources or on recordings, without Ray.

    earshot pretrain --benchmark synthetic --config tiny --out pretrained
    earshot pretrain --benchmark data/mine --labels recording --init earshot-tiny --out pretrained

The folder `--out` gets:

    recipe.json    what determines the weights, where they were made, and the recipe of the backbone given by --init
    state.pt       plain tensors: after an interruption the same command resumes from there
    curve.csv      loss, accuracy and held-out retrieval by step; curve.png plots them
    model/         the backbone: --backbone pretrained/model of a sweep
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.errors import EarshotError, Interrupted
from trainables.networks.device import pick_device
from trainables.pretraining.recipe import SIZES, SYNTHETIC, Recipe

_RECIPE = {
    "steps": "number of batches",
    "sources": "sources per batch",
    "clips": "clips per source in a batch",
    "lr": "peak learning rate (AdamW)",
    "weight_decay": "weight decay of matrices",
    "keep": "fraction of the patches that is used in training",
    "seed": "of weights, sounds and patches",
}
_MINIMUM = {"steps": 1, "sources": 2, "clips": 2, "threads": 1, "workers": 0, "save_every": 1, "seed": 0}


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m trainables.pretrain`."""
    options = parser().parse_args(arguments)
    _check_options(options)
    import torch
    from rich.console import Console

    from trainables.pretraining.run import open_start, open_stream, pretrain

    device = pick_device(options.device)
    torch.set_num_threads(options.threads)
    numbers = (options.seed, options.steps, options.sources, options.clips)
    benchmark, stream = open_stream(options.benchmark, options.labels, *numbers, device)
    start = open_start(options.config, options.seed, options.init)
    recipe = Recipe(benchmark, options.config, start.digest, *(getattr(options, name) for name in _RECIPE))
    on_gpu = device.type == "cuda" and options.benchmark == SYNTHETIC  # then batches are made on the GPU
    console = Console(stderr=False, highlight=False)
    try:
        model = pretrain(
            recipe,
            stream,
            start,
            options.out,
            device=device,
            workers=0 if on_gpu else options.workers,
            save_every=options.save_every,
            console=console,
        )
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; run the same command again to resume from the last saved step in {options.out}"
        ) from None
    console.print(f"backbone: {model}", soft_wrap=True)
    return 0


def parser() -> CommandLine:
    """The command line."""
    command = CommandLine("trainables.pretrain", description=__doc__)
    _add_inputs(command.add_argument_group("input and output"))
    recipe = command.add_argument_group("recipe")
    for name, text in _RECIPE.items():
        value = getattr(Recipe(), name)
        kind, metavar = (int, "N") if isinstance(value, int) else (float, "X")
        flag = f"--{name.replace('_', '-')}"
        recipe.add_argument(flag, type=kind, default=value, metavar=metavar, help=f"{text} (default: {value})")
    _add_resources(command.add_argument_group("execution"))
    return command


def _add_inputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--benchmark",
        default=SYNTHETIC,
        metavar="DIR",
        help="a prepared benchmark, of which the train clips are used; or synthetic: procedurally generated sources"
        " (default: synthetic)",
    )
    group.add_argument(
        "--labels",
        choices=("class", "recording"),
        default="class",
        help="what a source of a benchmark is; recording needs no labels (default: class)",
    )
    group.add_argument(
        "--config",
        choices=list(SIZES),
        default=Recipe().config,
        help=f"size of the network (default: {Recipe().config})",
    )
    group.add_argument(
        "--init",
        metavar="BACKBONE",
        help="start from a backbone of this size instead of random weights: earshot-tiny, or the folder model/ of an"
        " earlier run",
    )
    group.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the run")


def _add_resources(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    group.add_argument(
        "--threads", type=int, default=1, metavar="N", help="threads of the network on a CPU (default: 1)"
    )
    group.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that make batches; synthetic ones for a GPU are made on it (default: 1)",
    )
    group.add_argument(
        "--save-every",
        type=int,
        default=100,
        metavar="N",
        help="steps between two saved states, each with a held-out score (default: 100)",
    )


def _check_options(options: argparse.Namespace) -> None:
    """Checks numbers and paths before anything slow is imported."""
    for name, minimum in _MINIMUM.items():
        if (value := getattr(options, name)) < minimum:
            raise EarshotError(f"--{name.replace('_', '-')}: expected at least {minimum}, found {value}")
    if not 0 < options.keep <= 1:
        raise EarshotError(f"--keep: expected a fraction above 0 and at most 1, found {options.keep}")
    if options.benchmark != SYNTHETIC:
        from datasets.benchmark.manifest import Manifest

        Manifest.load(options.benchmark)


if __name__ == "__main__":
    sys.exit(main())
