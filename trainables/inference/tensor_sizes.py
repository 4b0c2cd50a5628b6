"""Sizes of the files of an export, from their headers."""

import math
import os
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from datasets.utils.errors import EarshotError
from datasets.utils.humanize import format_size
from datasets.utils.text import one_line, printable
from trainables.inference.description import EXPORT_AGAIN, MAX_JSON


def check_sizes(folder: Path, names: Iterable[str], memory: int | None = None) -> None:
    """Checks that files exist and fit into memory together; reads only the headers of tensor files.

    Args:
        folder: of the export.
        names: of its JSON and safetensors files.
        memory: of this machine, bytes (default: its physical memory).

    Raises:
        EarshotError: a file is missing, has a damaged header, or is too large.
    """
    memory = memory or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    total = 0
    for name in names:
        path = folder / name
        shown = printable(str(path))
        if not path.is_file():  # opening a pipe would block forever
            raise EarshotError(f"{shown}: not found; {EXPORT_AGAIN}")
        size = path.stat().st_size
        total += size
        if path.suffix == ".json" and size > MAX_JSON:
            raise EarshotError(f"{shown}: expected at most {MAX_JSON} bytes, found {size}; {EXPORT_AGAIN}")
        if total > memory:
            raise EarshotError(
                f"{shown}: expected tensors that fit into this machine's memory ({format_size(memory)}), found "
                f"{_largest(path)}, {format_size(total)} with the files before; {EXPORT_AGAIN}, or use a machine with "
                "more memory"
            )


def _largest(path: Path) -> str:
    """The name and shape of the largest tensor in a file."""
    try:
        with safe_open(path, "np") as file:  # maps the file and reads its header
            shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118  # no iteration
    except (SafetensorError, OSError) as error:
        return printable(f"a damaged header ({one_line(error)[:100]})")
    if not shapes:
        return "no tensor"
    key = max(shapes, key=lambda name: math.prod(shapes[name]))
    return printable(f"'{key[:100]}' of shape {shapes[key]}")
