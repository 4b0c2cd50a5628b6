"""Chooses the device that networks run on; imports PyTorch only when called."""

from typing import TYPE_CHECKING

from datasets.utils.errors import EarshotError

if TYPE_CHECKING:
    import torch


def pick_device(name: str) -> "torch.device":
    """Returns the device called `name`.

    Raises:
        EarshotError: the name is not `cpu` or `cuda`, or there is no GPU.
    """
    if name not in ("cpu", "cuda"):
        raise EarshotError(f"device '{name}': expected cpu or cuda")
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise EarshotError("device 'cuda': PyTorch finds no GPU; use --device cpu")
    return torch.device(name)
