"""The command `earshot`, also as `python -m earshot`."""

import sys

import earshot  # makes `orchestrator` importable  # noqa: F401
from orchestrator.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
