"""Sessions of the benchmark of tones, and learners trained on them, for tests of methods."""

from typing import TypeVar

import torch

from datasets.benchmark.protocol import Protocol, Session, make_sessions
from datasets.benchmark.shards import Shards
from trainables.learners.features import Features
from trainables.learners.learner import Learner

PROTOCOL = Protocol(base=2, way=2, shot=3)
DIM = 96  # of the tokens of `random-tiny`

AnyLearner = TypeVar("AnyLearner", bound=Learner)


def sessions(features: Features, protocol: Protocol = PROTOCOL) -> tuple[Session, ...]:
    """Three sessions of two classes each, with the default protocol."""
    assert isinstance(features.clips, Shards)
    return make_sessions(protocol, features.clips.table, order_seed=0, support_seed=0)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def trained(learner: AnyLearner, count: int, protocol: Protocol = PROTOCOL) -> AnyLearner:
    """The learner after the first `count` sessions; the seed of a session is its index."""
    for session in sessions(learner.features, protocol)[:count]:
        learner.learn(session, generator(session.index))
    return learner


def size(module: torch.nn.Module) -> int:
    """Number of values of a module's parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
