"""Finds defects of a benchmark."""
