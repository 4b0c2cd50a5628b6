"""Trained chains in use: exported models and predictions."""
