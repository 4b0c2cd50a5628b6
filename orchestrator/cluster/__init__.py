"""Starts, joins and cleans up Ray, and distributes work over it."""
