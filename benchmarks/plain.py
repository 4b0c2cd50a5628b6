"""One chain, computed as the package does it or the plain way: what `benchmarks.chain` measures.

The plain way is the same learners' code over a `Plain` in place of `Features`: what a frozen network says of a clip is
not stored but computed each time it is needed. So the frozen network runs in every epoch on every batch, and on
all queries in every session; so does every part of an expanding method. Spectrograms of all clips are stored.

It is kinder to the plain way than published code: what a learner computes once before an epoch (the old parts on
the training clips, a teacher's outputs) is computed once here, too, and parts that are asked in a row about the same
clips share one run of the network below them.
"""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from datasets.utils.errors import EarshotError, error_line
from trainables.chain_config import ChainConfig
from trainables.learners.features import BATCH, Features
from trainables.session_chain import Chain
from trainables.store.arrays import ArrayRows, Rows
from trainables.store.stages import Stage, StageStore
from trainables.store.state import State

COST = "cost.json"
ERROR = "error.txt"

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Measured:
    """The cost of a chain, measured by its own process.

    Attributes:
        ready: seconds before the first session, imports apart: benchmark opened, backbone loaded.
        seconds: of each session: learning, scoring, writing predictions and record.
        cpu_seconds: the same in seconds of a core, all threads together.
        stage_seconds: of each session: writing its stage, which a later session would start from.
        stage_cpu_seconds: the same in seconds of a core.
        queries: clips scored in each session, validation among them.
        weights: bytes of the backbone P.
        device_bytes: peak of the memory that PyTorch held on the GPU; 0 on CPU.
        flops: of matrix products, convolutions and attention, forwards and backwards, counted from the shapes of what
            ran; 0 where they were not counted.
    """

    ready: float
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    stage_seconds: tuple[float, ...]
    stage_cpu_seconds: tuple[float, ...]
    queries: tuple[int, ...]
    weights: int
    device_bytes: int
    flops: int


class Plain(Features):
    """Features that keep nothing but spectrograms."""

    _at_hand: tuple[tuple[str, str, tuple[int, ...]], Rows] | None = None

    @classmethod
    def like(cls, features: Features) -> "Plain":
        """The plain way to what `features` gives."""
        backbone = features._backbone
        given = features.clips, features.frontend, backbone, features.store, features.device, features.precision
        return cls(*given)

    def frozen(
        self,
        kind: str,
        digest: str,
        positions: tuple[int, ...],
        network: Callable[[Tensor], Tensor],
        *,
        of: Callable[[], Rows] | None = None,
        dtype: type[np.floating] = np.float32,
    ) -> Rows:
        """See `Features.frozen`; the network runs whenever rows are asked for."""
        return Recomputed(self, (kind, digest, positions), network, of or (lambda: self.inputs(positions)), dtype)

    def describe(self, kind: str, positions: tuple[int, ...], compute: Callable[[Tensor], Tensor]) -> Tensor:
        """See `Features.describe`; described anew each time."""
        return torch.cat([compute(self.waves(positions[i : i + BATCH])) for i in range(0, len(positions), BATCH)])

    def at_hand(self, rows: Rows) -> Rows:
        """The rows of a group that another network is to read: computed once for those that ask in a row."""
        if not isinstance(rows, Recomputed):
            return rows
        if self._at_hand is None or self._at_hand[0] != rows.key:
            self._at_hand = (rows.key, ArrayRows(rows[:].cpu().numpy(), self.device))
        return self._at_hand[1]


class Recomputed(Rows):
    """Rows that a network computes each time that they are asked for.

    Args:
        features: whose device and precision they are computed with.
        key: kind, digest and clips.
        network: frozen.
        source: gives the rows that the network reads.
        dtype: what the result is rounded to, as if it had been stored.
    """

    def __init__(
        self,
        features: Plain,
        key: tuple[str, str, tuple[int, ...]],
        network: Callable[[Tensor], Tensor],
        source: Callable[[], Rows],
        dtype: type[np.floating],
    ) -> None:
        self.key = key
        self._features = features
        self._network = network
        self._source = source
        self._dtype = torch.from_numpy(np.empty(0, dtype)).dtype

    def __len__(self) -> int:
        return len(self.key[2])

    @property
    def shape(self) -> tuple[int, ...]:
        """`[rows, ...]`."""
        return (len(self), *self[:1].shape[1:])

    def __getitem__(self, rows: Tensor | slice) -> Tensor:
        source = self._source()
        batches: list[Tensor] | list[slice]
        if isinstance(rows, slice):  # the batches of `Features.frozen`, as the last bits depend on them
            source = self._features.at_hand(source)
            first, last, _ = rows.indices(len(self))
            batches = [slice(start, min(start + BATCH, last)) for start in range(first, last, BATCH)]
        else:
            batches = list(rows.split(BATCH))
        with torch.inference_mode(), self._features.autocast():
            computed = [self._network(source[batch]).to(self._dtype).float() for batch in batches]
        return torch.cat(computed)


class PlainChain(Chain):
    """A chain computed the plain way."""

    def __init__(self, config: ChainConfig, folder: Path) -> None:
        super().__init__(config, folder)
        self._features = Plain.like(self._features)


def _attention(query: Shape, key: Shape, value: Shape, *_: object, **__: object) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(gradient: Shape, query: Shape, key: Shape, value: Shape, *_: object, **__: object) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))


_ON_CPU = {  # the counter knows the attention of GPUs alone
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}

WAYS: dict[str, type[Chain]] = {"ours": Chain, "plain": PlainChain}


class _Clock(NamedTuple):
    """A moment, in seconds of the day and of a core."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "_Clock":
        return cls(time.perf_counter(), time.process_time())


class _TimedStages(StageStore):
    """A store of stages that notes how long it takes to write them: `spent`, wall and CPU seconds of each."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.spent: list[tuple[float, float]] = []

    def publish(self, stage: Stage, state: State) -> None:
        began = _Clock.now()
        super().publish(stage, state)
        ended = _Clock.now()
        self.spent.append((ended.wall - began.wall, ended.cpu - began.cpu))


def run_in_process(way: str, config: ChainConfig, folder: Path, count: bool) -> None:
    """Leaves a `cost.json` with what a chain cost in its folder, or an `error.txt`: what a process of its own does."""
    try:
        measured = run(way, config, folder, count=count)
    except (EarshotError, OSError) as error:
        (folder / ERROR).write_text(error_line(error), encoding="utf-8")
    else:
        (folder / COST).write_text(json.dumps(asdict(measured)), encoding="utf-8")


def run(way: str, config: ChainConfig, folder: Path, *, count: bool) -> Measured:
    """Runs a chain in this process."""
    began = _Clock.now()
    chain = WAYS[way](config, folder)
    chain._store = stages = _TimedStages(config.store)
    moments = [_Clock.now()]
    counter = FlopCounterMode(display=False, custom_mapping=_ON_CPU) if count else None
    with counter or nullcontext():
        while not chain.done:
            assert not chain.step().cached, f"{config.store}: has this chain's stages already"
            moments.append(_Clock.now())
    steps = np.diff(moments, axis=0) - stages.spent
    scored = [sum(len(one.validation) + len(one.query) for one in session.classes) for session in chain.sessions]
    backbone = chain._features._backbone
    return Measured(
        ready=moments[0].wall - began.wall,
        seconds=tuple(steps[:, 0].tolist()),
        cpu_seconds=tuple(steps[:, 1].tolist()),
        stage_seconds=tuple(wall for wall, _ in stages.spent),
        stage_cpu_seconds=tuple(cpu for _, cpu in stages.spent),
        queries=tuple(np.cumsum(scored).tolist()),
        weights=sum(p.numel() * p.element_size() for p in backbone.parameters()) if backbone is not None else 0,
        device_bytes=max(one.peak_bytes or 0 for one in chain.record.sessions) if config.device == "cuda" else 0,
        flops=counter.get_total_flops() if counter is not None else 0,
    )
