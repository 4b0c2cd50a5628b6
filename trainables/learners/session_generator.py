"""The random generator of a session."""

import hashlib

import torch


def session_generator(initialisation: int, index: int) -> torch.Generator:
    """The generator of one session, independent of those of the others: a session can be computed alone.

    Args:
        initialisation: seed of the chain.
        index: of the session.
    """
    digest = hashlib.sha256(f"initialisation {initialisation} session {index}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
