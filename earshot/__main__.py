"""The command `earshot`, also as `python -m earshot`."""

import sys

import earshot  # makes the other packages importable  # noqa: F401
from datasets.utils import signals

signals.end_at_once_when_interrupted()  # until the command itself has been imported

from orchestrator.__main__ import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
