"""Parts of relative POSIX paths as text: `pathlib` takes ten times as long, which matters for 300,000 of them."""


def suffix(path: str) -> str:
    """The suffix of the last component with its dot; "" for `a`, `.a` and `a.`."""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return name[dot:] if 0 < dot < len(name) - 1 else ""


def last_components(path: str, number: int) -> str:
    """The last `number` components, or all of them if there are fewer."""
    parts = path.rsplit("/", number)
    return "/".join(parts[-number:])
