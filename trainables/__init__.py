"""What a trial computes. Imports `datasets`; only `trial.py` imports Ray."""

import sys

from datasets.utils import signals

if sys.argv[:1] == ["-m"]:  # `python -m trainables.VERB` imports this package first
    signals.end_at_once_when_interrupted()
