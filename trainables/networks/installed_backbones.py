"""Backbones that installed distributions add; imports no PyTorch.

Such a name stands for the code of a function, as `--backbone mypackage.module:function` does.
"""

import re
from pathlib import Path

from datasets.utils.installed import installed
from trainables.networks.shipped import shipped
from trainables.networks.specs import RANDOM, RESNET, split_options

_NAME = re.compile(r"[\w.-]+")


def shipped_names() -> tuple[str, ...]:
    """Backbones that need no download."""
    return (*shipped(), *RANDOM, RESNET)


def code_of(text: str) -> str:
    """A backbone with its options, its name replaced by its code if an installed distribution adds it.

    Args:
        text: as the user has given it: `NAME` or `NAME@OPTION=VALUE`.

    Raises:
        EarshotError: two distributions add it.
    """
    name, _ = split_options(text)
    if name in shipped_names() or not _NAME.fullmatch(name) or Path(name).exists():
        return text
    entry = installed("backbone").get(name)
    if entry is None:
        return text
    entry.check_name(shipped_names())
    return entry.code + text.removeprefix(name)
