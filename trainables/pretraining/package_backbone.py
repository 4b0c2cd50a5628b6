"""Adds a pretrained backbone to this package, in 16 bits and in the layout of `transformers`.

    python -m trainables.pretraining.package_backbone pretrained --name earshot-tiny
    python -m trainables.pretraining.package_backbone pretrained/second pretrained/third --name earshot-tiny

The input is the folder of a finished `earshot pretrain`. For several runs, each started from the weights of the one
before, the weights are averaged, which gives a wider optimum (Izmailov et al. 2018, "Averaging weights leads to wider
optima", arXiv 1803.05407).

    weights/NAME/config.json         the architecture
    weights/NAME/model.safetensors   the weights, float16
    weights/NAME/made.json           SHA-256 of the two files, and the recipe; for a mean also SHA-256 of its inputs
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.errors import EarshotError, first_line
from datasets.utils.files import file_digest, write_atomically
from trainables.networks.shipped import FILES, WEIGHTS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MAX_BYTES = 12_000_000


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m trainables.pretraining.package_backbone`."""
    options = parser().parse_args(arguments)
    if not options.name.replace("-", "").isalnum():
        parser().error("--name: expected letters, digits and dashes")
    path = package_backbone(options.runs, options.name)
    print(f"{path} ({sum(file.stat().st_size for file in path.iterdir()) / 1e6:.1f} MB)")
    return 0


def parser() -> CommandLine:
    """The command line."""
    command = CommandLine("trainables.pretraining.package_backbone", description=__doc__)
    command.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="folder of a finished earshot pretrain; the weights of several are averaged",
    )
    command.add_argument("--name", required=True, help="name of the backbone")
    return command


def package_backbone(runs: Sequence[Path], name: str, weights: Path = WEIGHTS) -> Path:
    """Writes the folder of a backbone.

    Args:
        runs: folders of finished `earshot pretrain` runs, whose weights are averaged; the recipe is that of the last.
        name: of the backbone.
        weights: parent of the folder.

    Raises:
        EarshotError: a folder has no finished run, the runs have different architectures, or the weights are too large
            or exceed the range of float16.
    """
    finished = [_read_run(run) for run in runs]
    states = [state for _, state, _ in finished]
    for run, state in zip(runs, states, strict=True):
        if _shapes(state) != _shapes(states[0]):
            raise EarshotError(f"{run}: expected the architecture of {runs[0]}, to average their weights")
    config, _, recipe = finished[-1]
    content = _averaged(states, runs[-1] / "model")
    folder = weights / name
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "config.json", config)
    write_atomically(folder / "model.safetensors", content)
    if len(runs) > 1:
        recipe["mean_of"] = [file_digest(run / "model" / "model.safetensors") for run in runs]
    digests = {file: file_digest(folder / file) for file in FILES}
    write_atomically(
        folder / "made.json", (json.dumps({"sha256": digests, "recipe": recipe}, indent=2) + "\n").encode()
    )
    return folder


def _read_run(run: Path) -> "tuple[bytes, dict[str, Tensor], dict[str, Any]]":
    """Configuration, weights and recipe of a finished run."""
    from safetensors.torch import load

    try:
        config = (run / "model" / "config.json").read_bytes()
        state = load((run / "model" / "model.safetensors").read_bytes())
        recipe = json.loads((run / "recipe.json").read_bytes())
    except (OSError, ValueError) as error:
        raise EarshotError(f"{run}: expected a finished run of earshot pretrain ({first_line(error)})") from None
    return config, state, recipe


def _averaged(states: "Sequence[dict[str, Tensor]]", model: Path) -> bytes:
    """Mean of weights, as a safetensors file in float16."""
    import torch
    from safetensors.torch import save

    mean = {key: torch.stack([state[key] for state in states]).mean(0) for key in sorted(states[0])}
    half = {key: value.to(torch.float16).contiguous() for key, value in mean.items()}
    if not all(bool(torch.isfinite(value).all()) for value in half.values()):
        raise EarshotError(f"{model}: has weights that exceed the range of float16")
    content = save(half, metadata={"format": "pt"})
    if len(content) > MAX_BYTES:
        raise EarshotError(f"{model}: expected at most {MAX_BYTES} bytes in float16, found {len(content)}")
    return content


def _shapes(state: "dict[str, Tensor]") -> "dict[str, torch.Size]":
    return {key: value.shape for key, value in state.items()}


if __name__ == "__main__":
    sys.exit(main())
