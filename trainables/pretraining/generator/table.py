"""A table of tensors, one source or place per row."""

from dataclasses import dataclass, fields
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class TensorTable:
    """Tensors `[rows, ...]`, one per attribute."""

    def rows(self, index: Tensor) -> Self:
        """The rows at `index`, which may repeat."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))
