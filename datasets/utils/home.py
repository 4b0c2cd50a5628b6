"""A home folder for users that have none: a container may run under any user number, without HOME and passwd entry."""

import os
import pwd
import tempfile
from pathlib import Path

_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # where `getpass.getuser` looks before the passwd file


def ensure_home() -> None:
    """Sets HOME and USER where neither the environment nor the system knows them, for this process and its children.

    Matplotlib, Hugging Face, PyTorch and Ray look for a home folder and a user name, and most of them fail without.
    The folder is in the temporary folder and only its owner can access it.
    """
    user = os.geteuid()
    try:
        pwd.getpwuid(user)
    except KeyError:
        if not any(os.environ.get(name) for name in _NAMES):
            os.environ["USER"] = f"user{user}"
        if not os.environ.get("HOME"):
            os.environ["HOME"] = str(_folder(user))


def _folder(user: int) -> Path:
    folder = Path(tempfile.gettempdir()) / f"earshot-home-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != user or found.st_mode & 0o077:  # of another user
        return Path(tempfile.mkdtemp(prefix="earshot-home-"))
    return folder
