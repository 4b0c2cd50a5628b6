"""The store of stages and embeddings, by content address."""
