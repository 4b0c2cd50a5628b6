"""Follows the trainings of a session: `train` reports every epoch to the listener of the block that it runs in.

with listen_to_training(print):
    learner.learn(session, generator)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """A completed epoch of a training.

    Attributes:
        training: which one, such as `session 2` or `base session, episodes`.
        epoch: from 1.
        epochs: of the training.
        loss: mean over its clips, each with the weights that its batch was computed with.
        lr: learning rate.
    """

    training: str
    epoch: int
    epochs: int
    loss: float
    lr: float


TrainingListener = Callable[[Epoch], None]

_LISTENER: ContextVar[TrainingListener | None] = ContextVar("training listener", default=None)


@contextmanager
def listen_to_training(listener: TrainingListener) -> Iterator[None]:
    """Within the block, and in this thread only, `listener` is called after every epoch.

    Methods need not know of it, so those of a user's own are followed, too. An inner block replaces an outer one.

    Args:
        listener: must not use PyTorch's random generators.
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def current_listener() -> TrainingListener | None:
    """The listener of the innermost block; None outside of any."""
    return _LISTENER.get()
