"""The training loop: from a stream of batches to a network, to be gone on with after any interruption."""

import csv
import io
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from datasets.utils.errors import EarshotError
from datasets.utils.files import atomic_path, write_atomically
from trainables.pretraining.network import Network, View
from trainables.pretraining.objective import Prototypes
from trainables.pretraining.retrieval import Retrieval, score
from trainables.pretraining.stream import Batch, Stream, generator_of

WARM_UP = 0.05  # share of the steps over which the learning rate rises
CLIP = 1.0  # largest norm of the gradient
LOOKED_AT = 64  # held-out clips that are embedded at a time


@dataclass(frozen=True)
class Recipe:
    """What decides the weights, beside the kind of device.

    Attributes:
        benchmark: `synthetic` and the version of the generator, or what its sources are and its fingerprint.
        config: size of the network.
        init: digest of the backbone that training starts from; none: random weights.
        steps: batches.
        sources: in a batch.
        clips: of a source.
        lr: highest learning rate (AdamW; warm-up, then half a cosine down to nothing).
        weight_decay: of matrices.
        keep: share of the patches that is read in training.
        seed: of the weights, the stream and the patches.
    """

    benchmark: str = "synthetic"
    config: str = "tiny"
    init: str = ""
    steps: int = 2000
    sources: int = 64
    clips: int = 4
    lr: float = 1e-3
    weight_decay: float = 0.05
    keep: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class Point:
    """A step as it is reported.

    Attributes:
        step: from 1.
        loss: of its batch.
        accuracy: share of its clips that were given to their source.
        seconds: since training began, over all launches.
        retrieval: the held-out score, where it was measured after this step.
    """

    step: int
    loss: float
    accuracy: float
    seconds: float
    retrieval: Retrieval | None = None


class Training:
    """A training run in a folder.

    Args:
        recipe: what is trained.
        folder: where the state is kept: `state.pt` (plain tensors), `curve.csv`.
        stream: the batches, `recipe.steps` of them.
        device: where the network is trained.
        network: what is trained.

    Raises:
        EarshotError: the folder holds another recipe's run, or its state cannot be read.
    """

    def __init__(self, recipe: Recipe, folder: Path, stream: Stream, device: torch.device, network: Network) -> None:
        self.recipe, self.folder, self.stream, self.device = recipe, folder, stream, device
        self.network = network.to(device)
        self.objective = Prototypes().to(device)
        matrices = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1] + list(self.objective.parameters())
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=recipe.lr,
            betas=(0.9, 0.98),
        )
        self.step = 0
        self.seconds = 0.0
        self.points: list[Point] = []
        if self._state.is_file():
            self._load()

    @property
    def _state(self) -> Path:
        return self.folder / "state.pt"

    def run(self, *, workers: int, save_every: int, told: Callable[[Point], None]) -> None:
        """Trains until the last step; what was done before is not done again.

        Args:
            workers: processes that make batches; 0 makes them in this one (as a GPU does).
            save_every: steps between two saved states, each with a held-out score.
            told: hears of every step.
        """
        step_of = torch.compile(self._loss) if self.device.type == "cuda" else self._loss
        inputs, sources = (part.to(self.device) for part in self.stream.held_out())
        began = time.monotonic() - self.seconds
        for batch in self._batches(workers):
            loss, accuracy = self._train(batch.to(self.device), step_of)
            self.step += 1
            self.seconds = time.monotonic() - began
            last = self.step == self.recipe.steps
            saved = last or self.step % save_every == 0
            measured = score(self._embed(inputs), sources) if saved and len(inputs) else None
            self.points.append(Point(self.step, loss, accuracy, self.seconds, measured))
            if saved:
                self.save()
            told(self.points[-1])

    def _batches(self, workers: int) -> Iterator[Batch]:
        left: Subset[Batch] = Subset(self.stream, range(self.step, self.recipe.steps))
        return iter(DataLoader(left, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None))

    def _train(self, batch: Batch, step_of: Callable[..., tuple[Tensor, Tensor]]) -> tuple[float, float]:
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.lr * schedule(self.step / recipe.steps)
        drawn = generator_of(recipe.seed, self.step, self.device)
        view = self.network.view(batch.inputs, recipe.keep, drawn)
        loss, accuracy = step_of(batch.inputs, view, batch.sources)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimizer.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise EarshotError(f"{self.folder}: the loss is {value} at step {self.step}; try a lower --lr")
        return value, float(accuracy)

    def _loss(self, inputs: Tensor, view: View, sources: int) -> tuple[Tensor, Tensor]:
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            embeddings = self.network(inputs, view)
        loss, accuracy = self.objective(embeddings, sources)
        return loss, accuracy

    def _embed(self, inputs: Tensor) -> Tensor:
        self.network.eval()
        with torch.inference_mode():
            embeddings = torch.cat([self.network(part) for part in inputs.split(LOOKED_AT)])
        self.network.train()
        return embeddings

    def save(self) -> None:
        """Writes the state and the curve, each aside and renamed."""
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "points": [_row(point) for point in self.points],
        }
        with atomic_path(self._state) as aside:
            torch.save(state, aside)
        write_atomically(self.folder / "curve.csv", _csv(self.points))

    def _load(self) -> None:
        try:
            state = torch.load(self._state, map_location=self.device, weights_only=True)
            found = state["recipe"]
        except Exception as error:  # torch has its own zoo of exceptions for a bad file
            raise EarshotError(
                f"{self._state}: cannot be read ({type(error).__name__}); remove it to begin again"
            ) from None
        if found != asdict(self.recipe):
            other = ", ".join(
                f"{key} {found.get(key)}" for key, value in asdict(self.recipe).items() if found.get(key) != value
            )
            raise EarshotError(f"{self.folder}: holds another run ({other}); name another folder with --out")
        self.network.load_state_dict(state["network"])
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.points = [_point(row) for row in state["points"]]


def schedule(done: float) -> float:
    """Learning rate over its highest: a straight rise, then half a cosine down to nothing; `done` from 0 to 1."""
    if done < WARM_UP:
        return (done + 1e-3) / (WARM_UP + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _row(point: Point) -> list[float]:
    measured = point.retrieval
    scores = [measured.first, measured.precision] if measured else []
    return [point.step, point.loss, point.accuracy, point.seconds, *scores]


def _point(row: list[float]) -> Point:
    return Point(int(row[0]), row[1], row[2], row[3], Retrieval(*row[4:6]) if len(row) > 4 else None)


def _csv(points: list[Point]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "loss", "accuracy", "seconds", "retrieval_first", "retrieval_precision"])
    writer.writerows([format(value, ".6g") for value in _row(point)] for point in points)
    return text.getvalue().encode()
