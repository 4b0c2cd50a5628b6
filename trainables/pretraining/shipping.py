"""Backbones that come with the package: small, in 16 bits, checked against their digest before they are used.

    python -m trainables.pretraining.shipping pretrained --name earshot-tiny
    python -m trainables.pretraining.shipping pretrained/second pretrained/third --name earshot-tiny

turns what `trainables.pretrain` left in a folder into a folder of this package, in the layout of `transformers`. Of
several runs, each begun with the weights of the one before, it takes the mean of the weights, which lies in a wider
optimum than their ends (Izmailov et al. 2018, "Averaging weights leads to wider optima", arXiv 1803.05407).

    weights/NAME/config.json         the architecture
    weights/NAME/model.safetensors   the weights, float16
    weights/NAME/made.json           SHA-256 of the two, and the recipe; of a mean also SHA-256 of its parts
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.errors import EarshotError
from datasets.utils.files import file_digest, write_atomically
from trainables.networks.shipped import FILES, WEIGHTS, _reason

LARGEST = 12_000_000  # bytes


def ship(runs: Sequence[Path], name: str, weights: Path = WEIGHTS) -> Path:
    """Makes the folder of a backbone.

    Args:
        runs: folders of finished `trainables.pretrain`, whose weights are averaged; the recipe is that of the last one.
        name: what it is to be called.
        weights: where the folder goes.

    Raises:
        EarshotError: a folder holds no finished run, the runs are of several architectures, or the weights are too
            large or do not fit 16 bits.
    """
    states = []
    for run in runs:
        try:
            config = (run / "model" / "config.json").read_bytes()
            states.append(load((run / "model" / "model.safetensors").read_bytes()))
            recipe = json.loads((run / "recipe.json").read_bytes())
        except (OSError, ValueError) as error:
            raise EarshotError(f"{run}: expected a finished run of trainables.pretrain ({_reason(error)})") from None
        if _shapes(states[-1]) != _shapes(states[0]):
            raise EarshotError(f"{run}: expected the architecture of {runs[0]}, to take the mean of their weights")
    mean = {key: torch.stack([state[key] for state in states]).mean(0) for key in sorted(states[0])}
    halved = {key: value.to(torch.float16).contiguous() for key, value in mean.items()}
    if not all(bool(torch.isfinite(value).all()) for value in halved.values()):
        raise EarshotError(f"{run / 'model'}: has weights that do not fit 16 bits")
    content = save(halved, metadata={"format": "pt"})
    if len(content) > LARGEST:
        raise EarshotError(f"{run / 'model'}: expected at most {LARGEST} bytes in 16 bits, found {len(content)}")
    folder = weights / name
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "config.json", config)
    write_atomically(folder / "model.safetensors", content)
    if len(runs) > 1:
        recipe["mean_of"] = [file_digest(run / "model" / "model.safetensors") for run in runs]
    made = {"sha256": {file: file_digest(folder / file) for file in FILES}, "recipe": recipe}
    write_atomically(folder / "made.json", (json.dumps(made, indent=2) + "\n").encode())
    return folder


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in state.items()}


def parser() -> CommandLine:
    """The command line."""
    made = CommandLine("trainables.pretraining.shipping", description=__doc__)
    made.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="folder of a finished trainables.pretrain; of several: the mean",
    )
    made.add_argument("--name", required=True, help="what it is to be called")
    return made


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m trainables.pretraining.shipping`."""
    options = parser().parse_args(arguments)
    if not options.name.replace("-", "").isalnum():
        parser().error("--name: expected letters, digits and dashes")
    path = ship(options.runs, options.name)
    print(f"{path} ({sum(file.stat().st_size for file in path.iterdir()) / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
