"""What a learner knows after a session, as the store keeps it."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class State:
    """Everything that a learner knows after a session.

    Attributes:
        parts: groups of named tensors; a part that does not change between sessions is stored once.
        notes: the rest, in JSON types (remembered clips, counters).
        settled: names of parts that no later session changes; later stages need not look at them again.
    """

    parts: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    settled: frozenset[str] = frozenset()
