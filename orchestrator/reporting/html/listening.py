"""Mistakes to listen to: the most frequent confusions and the most confident mistakes of each method, with clips.

A mistake has its clip and a clip that its predicted class was learned from. Their audio is in the page as far as a
budget of bytes goes, the first mistakes of all methods first.
"""

import math
from itertools import chain, zip_longest
from typing import Any

from orchestrator.reporting.html.page_clips import PageClips
from orchestrator.reporting.html.results import Results
from orchestrator.results.mistakes import Mistake, confident_mistakes, frequent_confusions, trial_of
from orchestrator.results.run import Run

SHOWN = 5
"""Confusions, and mistakes, of a method."""

_DIGITS = 4

Row = dict[str, Any]


def listening(results: Results) -> dict[str, Any] | None:
    """Mistakes of the chosen configuration of each method, default head, after the last session; None without any.

    Args:
        results: what the page is made from.

    Returns:
        `confusions` and `mistakes`: method -> rows, whose `clip` and `heard` are indices of `clips`; `bytes` of their
        audio; `reason`: why there is none, or none of some benchmark, or None.

    Raises:
        EarshotError: a file of predictions was removed or damaged since the run was loaded.
    """
    run = results.run
    chosen = {method["name"]: method["configuration"] for method in results.methods}
    confusions = {label: _confusions(run, configuration) for label, configuration in chosen.items()}
    mistakes = {label: _confident(run, configuration) for label, configuration in chosen.items()}
    if not any((*confusions.values(), *mistakes.values())):
        return None
    clips = PageClips(run, results.benchmarks, results.audio)
    by_rank = zip_longest(*confusions.values(), *mistakes.values())
    for row, trial, mistake in filter(None, chain.from_iterable(by_rank)):
        row |= {"clip": clips.add(trial, mistake.clip), "heard": clips.add_support(trial, mistake.prediction)}
    return {
        "confusions": {label: [row for row, *_ in rows] for label, rows in confusions.items()},
        "mistakes": {label: [row for row, *_ in rows] for label, rows in mistakes.items()},
        "clips": clips.clips,
        "bytes": clips.used,
        "wanted": results.audio > 0,
        "reason": clips.reason,
    }


def _confusions(run: Run, configuration: str) -> list[tuple[Row, str, Mistake]]:
    """The most frequent confusions with their trial and example."""
    found = frequent_confusions(run, configuration, run.default_head(configuration), SHOWN)
    return [
        (
            {**_row(run, configuration, it.example), "clips": it.clips, "total": it.total, "chains": it.chains},
            trial_of(run, configuration, it.example),
            it.example,
        )
        for it in found
    ]


def _confident(run: Run, configuration: str) -> list[tuple[Row, str, Mistake]]:
    """The most confident mistakes, each once for all chains that make it; the first chain is the one shown."""
    chains: dict[tuple[str, int], list[Mistake]] = {}
    for mistake in confident_mistakes(run, configuration, run.default_head(configuration)):
        chains.setdefault((mistake.clip, mistake.prediction), []).append(mistake)
    return [
        ({**_row(run, configuration, it[0]), "chains": len(it)}, trial_of(run, configuration, it[0]), it[0])
        for it in list(chains.values())[:SHOWN]
    ]


def _row(run: Run, configuration: str, mistake: Mistake) -> Row:
    names = run.class_names(configuration)
    confidence = None if math.isnan(mistake.confidence) else round(mistake.confidence, _DIGITS)
    return {
        "class": names[mistake.label],
        "predicted": names[mistake.prediction],
        "confidence": confidence,
        "seeds": str(mistake.seeds),
    }
