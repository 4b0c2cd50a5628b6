"""Procedural sound sources for pretraining."""
