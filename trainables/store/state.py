"""The state of a learner after a session, as it is stored."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class State:
    """The complete state of a learner after a session.

    Attributes:
        parts: groups of named tensors; a part that does not change between sessions is stored once.
        notes: the rest, in JSON types (exemplars, counters).
        settled: names of parts that later sessions do not change; later stages need not hash them again.
    """

    parts: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    settled: frozenset[str] = frozenset()
