"""Closed-form classifiers: statistics that are sums over clips, and what is solved from them. PyTorch only."""
