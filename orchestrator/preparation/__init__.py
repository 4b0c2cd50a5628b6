"""Prepares benchmarks from recordings, in parallel."""
