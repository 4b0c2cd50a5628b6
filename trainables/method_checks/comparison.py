"""Compares the scores and the states of two learners."""

import json

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from trainables.store.state import State

Scores = dict[str, Tensor]


def difference(first: Scores, second: Scores, tolerance: float = 0.0) -> str:
    """How scores differ; empty if they do not."""
    for head, values in first.items():
        other = second.get(head)
        if other is None or values.shape != other.shape:
            return f"head {head} has {'no scores' if other is None else f'{list(other.shape)} scores'}"
        gap = (values - other).abs().max().item()
        if not gap <= tolerance * max(1.0, values.abs().max().item()):
            return f"scores of head {head} differ by {gap:.3g}"
    return ""


def state_difference(first: State, second: State) -> str:
    """What differs between two states; empty if nothing does."""
    if first.parts.keys() != second.parts.keys():
        return f"parts {', '.join(sorted(first.parts.keys() ^ second.parts.keys()))}"
    for part, tensors in first.parts.items():
        others = second.parts[part]
        if tensors.keys() != others.keys() or not all(torch.equal(tensors[key], others[key].cpu()) for key in tensors):
            return f"part {part}"
    return "" if first.notes == second.notes else "notes"


def written(state: State) -> State:
    """The state as the store returns it."""
    parts = {
        part: load_tensors(save_tensors({key: value.detach().cpu().clone().contiguous() for key, value in own.items()}))
        for part, own in state.parts.items()
    }
    return State(parts, json.loads(json.dumps(state.notes)), state.settled)
