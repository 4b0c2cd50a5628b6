"""The section of training: loss by epoch of the methods that train, in a bounded number of points."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from datasets.utils.errors import EarshotError
from orchestrator.reporting.html.confusion import limits
from orchestrator.reporting.html.results import Results
from orchestrator.results.loading import read_curves
from trainables.training_curves import POINTS, Curves

TOTAL_POINTS = 4_000
"""Points of all curves of a page, at most: about 70 kB."""

_DIGITS = 4  # of a loss


def training(results: Results) -> dict[str, Any] | None:
    """Loss by epoch of the chosen configuration of each method; None without any, and in live pages.

    Args:
        results: what the page is made from.

    Returns:
        `methods`: name -> curves in their order, see `_mean`, each with its `session` and the epochs of the chain
        before it, `start`; `unreadable`: number of sessions whose curves are missing or damaged.
    """
    if results.progress is not None:
        return None
    methods: dict[str, list[dict[str, Any]]] = {}
    unreadable = 0
    for method in results.methods:
        curves, failed = _curves(results, method["configuration"])
        unreadable += failed
        if curves:
            methods[method["name"]] = curves
    drawn = [curve for curves in methods.values() for curve in curves]
    for curve, limit in zip(drawn, limits([len(curve["epoch"]) for curve in drawn], TOTAL_POINTS), strict=True):
        _thin(curve, min(limit, POINTS))
    return {"methods": methods, "unreadable": unreadable} if methods else None


def _curves(results: Results, configuration: str) -> tuple[list[dict[str, Any]], int]:
    """The mean curves of a configuration, and the number of sessions whose file cannot be read."""
    run = results.run
    curves: list[dict[str, Any]] = []
    start = unreadable = 0
    for session in range(run.reached(configuration)):
        chains: list[Curves] = []
        for record in run.of(configuration):
            if session < len(record.sessions):
                try:
                    chains.append(read_curves(record, run.folders[record.trial], session))
                except EarshotError:
                    unreadable += 1
        for curve in _mean([chain for chain in chains if chain]):
            curves.append({"session": session, "start": start, **curve})
            start += curve["epochs"]
    return curves, unreadable


def _mean(chains: Sequence[Curves]) -> list[dict[str, Any]]:
    """Mean curves of the trainings of a session, over the chains with the same trainings and epochs as most chains.

    Returns:
        `name` of the training, its `epochs`, `epoch` and mean `loss` of each point, and the number of chains, `n`.
    """
    if not chains:
        return []
    shapes = [tuple((curve.name, curve.epochs, curve.epoch) for curve in chain) for chain in chains]
    usual = Counter(shapes).most_common(1)[0][0]
    same = [chain for chain, shape in zip(chains, shapes, strict=True) if shape == usual]
    losses = [np.mean([chain[k].loss for chain in same], axis=0) for k in range(len(usual))]
    return [
        {"name": name, "epochs": epochs, "n": len(same), "epoch": list(epoch), "loss": _rounded(loss)}
        for (name, epochs, epoch), loss in zip(usual, losses, strict=True)
    ]


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values]


def _thin(curve: dict[str, Any], limit: int) -> None:
    """Keeps some points of a curve, evenly, with the first and the last one."""
    kept = np.unique(np.linspace(0, len(curve["epoch"]) - 1, min(limit, len(curve["epoch"]))).round().astype(int))
    for key in ("epoch", "loss"):
        curve[key] = [curve[key][index] for index in kept]
