"""Errors, files, locations, validation and text: what every package uses."""
