"""Runs trials and reads their results; each module at the top level is a command (`earshot VERB`)."""

import os
import sys

from datasets.utils import signals

if sys.argv[:1] == ["-m"]:  # `python -m orchestrator.VERB` imports this package first
    signals.end_at_once_when_interrupted()
for _name, _value in {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}.items():
    os.environ.setdefault(_name, _value)  # Ray reads them when it is imported for the first time
