"""Finds what is wrong with a benchmark."""
