"""A table of tensors: sources or places, one a row."""

from dataclasses import dataclass, fields
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Tensors `[rows, ...]`, one an attribute."""

    def rows(self, index: Tensor) -> Self:
        """Those at `index`, which may repeat."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))
