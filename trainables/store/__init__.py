"""Stages and embeddings by content address."""
