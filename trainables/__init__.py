"""What a trial computes. Imports `datasets`; only `trial.py` imports Ray."""
