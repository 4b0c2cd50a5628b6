"""Errors, files, locations, validation, text and command lines: utilities that every package uses."""
