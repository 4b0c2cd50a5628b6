"""Starts, joins and cleans up Ray."""
