"""The training loop: trains a network on a stream of batches, and resumes after an interruption."""

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
from trainables.pretraining.recipe import Recipe
from trainables.pretraining.retrieval import Retrieval, score
from trainables.pretraining.stream import Batch, Stream, generator_of

WARM_UP = 0.05  # fraction of the steps in which the learning rate rises
MAX_NORM = 1.0  # of the gradient
HELD_OUT_BATCH = 64  # clips


@dataclass(frozen=True)
class Point:
    """The metrics of a step.

    Attributes:
        step: from 1.
        loss: of its batch.
        accuracy: fraction of its clips that were assigned to their source.
        seconds: training time, over all launches.
        retrieval: the held-out score, if it was measured after this step.
    """

    step: int
    loss: float
    accuracy: float
    seconds: float
    retrieval: Retrieval | None = None


class Training:
    """A training run in a folder.

    Args:
        recipe: settings of the run.
        folder: of the state: `state.pt` (plain tensors), `curve.csv`.
        stream: the batches, `recipe.steps` of them.
        device: where the network is trained.
        network: trained in place.

    Raises:
        EarshotError: the folder contains a run with another recipe, or its state cannot be read.
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

    def run(self, *, workers: int, save_every: int, listener: Callable[[Point], None]) -> None:
        """Trains until the last step, starting after the last saved one.

        Args:
            workers: number of processes that make batches; 0 makes them in this process (as for a GPU).
            save_every: steps between two saved states, each with a held-out score.
            listener: called after every step.
        """
        loss_function = torch.compile(self._loss) if self.device.type == "cuda" else self._loss
        inputs, sources = (part.to(self.device) for part in self.stream.held_out())
        started = time.monotonic() - self.seconds
        for batch in self._batches(workers):
            loss, accuracy = self._train(batch.to(self.device), loss_function)
            self.step += 1
            self.seconds = time.monotonic() - started
            last = self.step == self.recipe.steps
            saved = last or self.step % save_every == 0
            retrieval = score(self._embed(inputs), sources) if saved and len(inputs) else None
            self.points.append(Point(self.step, loss, accuracy, self.seconds, retrieval))
            if saved:
                self.save()
            listener(self.points[-1])

    def _batches(self, workers: int) -> Iterator[Batch]:
        remaining: Subset[Batch] = Subset(self.stream, range(self.step, self.recipe.steps))
        return iter(DataLoader(remaining, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None))

    def _train(self, batch: Batch, loss_function: Callable[..., tuple[Tensor, Tensor]]) -> tuple[float, float]:
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.lr * schedule(self.step / recipe.steps)
        generator = generator_of(recipe.seed, self.step, self.device)
        view = self.network.view(batch.inputs, recipe.keep, generator)
        loss, accuracy = loss_function(batch.inputs, view, batch.sources)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), MAX_NORM)
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
            embeddings = torch.cat([self.network(part) for part in inputs.split(HELD_OUT_BATCH)])
        self.network.train()
        return embeddings

    def save(self) -> None:
        """Writes the state and the curve, each atomically."""
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "points": [_row(point) for point in self.points],
        }
        with atomic_path(self._state) as temporary:
            torch.save(state, temporary)
        write_atomically(self.folder / "curve.csv", _csv(self.points))

    def _load(self) -> None:
        try:
            state = torch.load(self._state, map_location=self.device, weights_only=True)
            saved = state["recipe"]
        except Exception as error:  # torch raises many types of exception for a bad file
            raise EarshotError(
                f"{self._state}: cannot be read ({type(error).__name__}); remove it to start again"
            ) from None
        recipe = asdict(self.recipe)
        if saved != recipe:
            others = ", ".join(f"{key} {saved.get(key)}" for key, value in recipe.items() if saved.get(key) != value)
            raise EarshotError(f"{self.folder}: contains another run ({others}); choose another folder with --out")
        self.network.load_state_dict(state["network"])
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.points = [_point(row) for row in state["points"]]


def schedule(done: float) -> float:
    """Learning rate over its peak: linear warm-up, then cosine annealing to zero; `done` from 0 to 1."""
    if done < WARM_UP:
        return (done + 1e-3) / (WARM_UP + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _row(point: Point) -> list[float]:
    scores = [point.retrieval.first, point.retrieval.precision] if point.retrieval else []
    return [point.step, point.loss, point.accuracy, point.seconds, *scores]


def _point(row: list[float]) -> Point:
    return Point(int(row[0]), row[1], row[2], row[3], Retrieval(*row[4:6]) if len(row) > 4 else None)


def _csv(points: list[Point]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "loss", "accuracy", "seconds", "retrieval_first", "retrieval_precision"])
    writer.writerows([format(value, ".6g") for value in _row(point)] for point in points)
    return text.getvalue().encode()
