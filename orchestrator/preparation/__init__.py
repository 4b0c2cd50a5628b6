"""Recordings -> benchmark, in parallel."""
