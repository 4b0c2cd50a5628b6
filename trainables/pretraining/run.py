"""A pretraining run in a folder: opens its inputs, trains or resumes, and exports the backbone."""

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from transformers import ASTConfig
from transformers.utils.logging import disable_progress_bar

from datasets.utils.console import progress_bar
from datasets.utils.errors import EarshotError
from datasets.utils.files import write_atomically
from trainables.networks.backbones.ast import load_ast
from trainables.networks.shipped import recipe_of
from trainables.pretraining.curve import curve
from trainables.pretraining.network import LONGEST, Network
from trainables.pretraining.recipe import SIZES, SYNTHETIC, Recipe
from trainables.pretraining.recorded import Labels, Recorded
from trainables.pretraining.stream import Stream, Synthetic
from trainables.pretraining.training import Point, Training


@dataclass(frozen=True)
class Start:
    """The network that training starts from.

    Attributes:
        network: with random weights, or those of a backbone.
        digest: of that backbone; empty for random weights.
        recipe: of that backbone, if it is known.
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
    """Trains, or resumes training, in a folder; returns the folder of the backbone.

    Args:
        recipe: settings of the run.
        stream: its batches.
        start: the network that training starts from.
        out: the folder; created if it does not exist.
        device: where the network is trained.
        workers: number of processes that make batches.
        save_every: steps between two saved states.
        console: where progress is shown.

    Raises:
        EarshotError: the folder contains another run, or training diverged.
    """
    out.mkdir(parents=True, exist_ok=True)
    training = Training(recipe, out, stream, device, start.network)
    _write_recipe(out / "recipe.json", recipe, start, device)
    with progress_bar("pretraining", recipe.steps, console=console) as update:
        update(training.step)

        def show(point: Point) -> None:
            text = f"loss {point.loss:.2f}  accuracy {point.accuracy:.0%}"
            if point.retrieval:
                text += f"  held out {point.retrieval.first:.0%}"
                write_atomically(out / "curve.png", curve(training.points, out.name))
                if not console.is_terminal:
                    console.print(f"step {point.step}/{recipe.steps}  {text}  {point.seconds:.0f} s")
            update(point.step, unit=text)

        training.run(workers=workers, save_every=save_every, listener=show)
    write_atomically(out / "curve.png", curve(training.points, out.name))
    disable_progress_bar()  # of writing tensors to a file
    training.network.exported().save_pretrained(out / "model")
    return out / "model"


def open_stream(
    benchmark: str, labels: Labels, seed: int, steps: int, sources: int, clips: int, device: torch.device
) -> tuple[str, Stream]:
    """The batches, and their description for the recipe.

    Raises:
        EarshotError: there is no such benchmark, or it has too few sources.
    """
    if benchmark == SYNTHETIC:
        return f"{SYNTHETIC} {Synthetic.version}", Synthetic(seed, steps, sources, clips, device=device)
    recorded = Recorded(benchmark, labels, seed, steps, sources, clips)
    return f"{labels} {recorded.shards.fingerprint}", recorded


def open_start(config: str, seed: int, init: str | None) -> Start:
    """The network that training starts from.

    Args:
        config: name of its size.
        seed: of random weights.
        init: backbone whose weights are used; None for random weights.

    Raises:
        EarshotError: there is no such backbone, or it has another size.
    """
    network = Network(SIZES[config], seed)
    if init is None:
        return Start(network)
    backbone = load_ast(init, LONGEST)
    try:
        network.load_backbone(backbone.ast)
    except ValueError:
        raise EarshotError(
            f"--init {init}: expected a network of --config {config} ({_format_size(network.config)}),"
            f" found {_format_size(backbone.ast.config)}"
        ) from None
    return Start(network, backbone.digest, recipe_of(init))


def _write_recipe(path: Path, recipe: Recipe, start: Start, device: torch.device) -> None:
    environment = {
        "torch": torch.__version__,
        "device": device.type,
        "machine": platform.processor() or platform.machine(),
        "threads": str(torch.get_num_threads()),
    }
    content = {**asdict(recipe), "made_with": environment, **({"after": start.recipe} if start.recipe else {})}
    write_atomically(path, json.dumps(content, indent=2).encode())


def _format_size(config: ASTConfig) -> str:
    return (
        f"{config.hidden_size} wide, {config.num_hidden_layers} blocks of {config.num_attention_heads} heads, patches"
        f" {config.frequency_stride} x {config.time_stride} apart"
    )
