"""Pretrains a backbone on procedurally generated sources or on recordings, without Ray.

    earshot pretrain --benchmark synthetic --config tiny --out pretrained
    earshot pretrain --benchmark data/mine --labels recording --init earshot-tiny --out pretrained

The folder `--out` gets:

    recipe.json    what determines the weights, where they were made, and the recipe of the backbone given by --init
    state.pt       plain tensors: after an interruption the same command resumes from there
    curve.csv      loss, accuracy and held-out retrieval by step; curve.png plots them
    model/         the backbone: --backbone pretrained/model of a sweep
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from datasets.benchmark.manifest import Manifest
from datasets.utils.cli import CommandLine, as_program
from datasets.utils.errors import Interrupted
from datasets.utils.options import Option, add_options, option_of
from datasets.utils.validation import validated
from trainables.networks.device import pick_device
from trainables.pretraining.recipe import SYNTHETIC, Recipe

INPUTS, RECIPE, EXECUTION = Option("input and output"), Option("recipe"), Option("execution")
_DEFAULT = Recipe()


class PretrainOptions(BaseModel):
    """Options of the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmark: Annotated[str, Option("input and output", metavar="DIR")] = Field(
        SYNTHETIC,
        description="a prepared benchmark, of which the train clips are used; or synthetic: procedurally generated"
        " sources",
    )
    labels: Annotated[Literal["class", "recording"], INPUTS] = Field(
        "class", description="what a source of a benchmark is; recording needs no labels"
    )
    config: Annotated[Literal["tiny", "small"], INPUTS] = Field("tiny", description="size of the network")
    init: Annotated[str | None, Option("input and output", metavar="BACKBONE")] = Field(
        None,
        description="start from a backbone of this size instead of random weights: earshot-tiny, or the folder model/"
        " of an earlier run",
    )
    out: Annotated[Path, Option("input and output", metavar="DIR")] = Field(description="folder for the run")
    steps: Annotated[int, RECIPE] = Field(_DEFAULT.steps, ge=1, description="number of batches")
    sources: Annotated[int, RECIPE] = Field(_DEFAULT.sources, ge=2, description="sources per batch")
    clips: Annotated[int, RECIPE] = Field(_DEFAULT.clips, ge=2, description="clips per source in a batch")
    lr: Annotated[float, RECIPE] = Field(_DEFAULT.lr, description="peak learning rate (AdamW)")
    weight_decay: Annotated[float, RECIPE] = Field(_DEFAULT.weight_decay, description="weight decay of matrices")
    keep: Annotated[float, RECIPE] = Field(
        _DEFAULT.keep, gt=0, le=1, description="fraction of the patches that is used in training"
    )
    seed: Annotated[int, RECIPE] = Field(_DEFAULT.seed, ge=0, description="seed of weights, sounds and patches")
    device: Annotated[str, EXECUTION] = Field("cpu", description="cpu or cuda")
    threads: Annotated[int, EXECUTION] = Field(1, ge=1, description="threads of the network on a CPU")
    workers: Annotated[int, EXECUTION] = Field(
        1, ge=0, description="processes that make batches; synthetic ones for a GPU are made on it"
    )
    save_every: Annotated[int, EXECUTION] = Field(
        100, ge=1, description="steps between two saved states, each with a held-out score"
    )


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m trainables.pretrain`."""
    options = validated(PretrainOptions, vars(parser().parse_args(arguments)), "command line", as_flags=True)
    if options.benchmark != SYNTHETIC:
        Manifest.load(options.benchmark)  # before anything slow is imported
    import torch

    from datasets.utils.console import output_console
    from trainables.pretraining.run import open_start, open_stream, pretrain

    device = pick_device(options.device)
    torch.set_num_threads(options.threads)
    numbers = (options.seed, options.steps, options.sources, options.clips)
    benchmark, stream = open_stream(options.benchmark, options.labels, *numbers, device)
    start = open_start(options.config, options.seed, options.init)
    numbers_of_recipe = {name for name, field in PretrainOptions.model_fields.items() if option_of(field) == RECIPE}
    recipe = Recipe(benchmark, options.config, start.digest, **options.model_dump(include=numbers_of_recipe))
    on_gpu = device.type == "cuda" and options.benchmark == SYNTHETIC  # then batches are made on the GPU
    console = output_console()
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
    add_options(command, PretrainOptions)
    return command


if __name__ == "__main__":
    sys.exit(main())
