"""Findings: what an audit's facts mean to a person, one finding per kind of defect."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from datasets.benchmark.audit import CLIPPED_RUN, NEAR_SILENT_DB, Audit, Ceiling
from datasets.utils.text import one_line, plural, printable

Kind = Literal["labels", "splits", "repeats", "sources", "silent", "clipped", "loudness", "imbalance"]
Verdict = Literal["ok", "note", "warning", "unknown"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MANY = 0.01
"""Near-silent or clipped clips are a warning from this fraction of all clips on."""
LOUDNESS_RANGE = 10.0
"""Class means so many dB apart are worth a note: a classifier may go by level alone."""
IMBALANCE = 1.5
"""A class with so many times the clips of another of its part and split is worth a note."""

TITLES: dict[Kind, str] = {
    "labels": "identical audio under two labels",
    "splits": "identical audio in two splits",
    "repeats": "identical audio in one class and split",
    "sources": "recordings in train and test",
    "silent": f"near-silent clips (below {NEAR_SILENT_DB:g} dBFS)",
    "clipped": f"clipped clips ({CLIPPED_RUN} samples at full scale)",
    "loudness": "level of classes (mean RMS)",
    "imbalance": "clips per class",
}
NOTHING = "-"
_SHOWN = 5
_LONGEST = 32


@dataclass(frozen=True)
class Finding:
    """What one check says.

    Attributes:
        verdict: 'ok', 'note' (worth knowing), 'warning' (an accuracy means something else than it seems), or 'unknown'
            where it takes audio and there is none.
        found: how much, in words.
        example: one case, or the first few.
        positions: the clips concerned.
        details: of each of these, what it shares with others or what was measured.
    """

    kind: Kind
    verdict: Verdict
    found: str
    example: str = ""
    positions: tuple[int, ...] = ()
    details: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What was looked for."""
        return TITLES[self.kind]

    @property
    def exists(self) -> bool:
        """Whether there is something to tell."""
        return self.verdict in ("note", "warning")


def findings(audit: Audit) -> tuple[Finding, ...]:
    """One finding per kind, in the order of `KINDS`."""
    makers = (_labels, _splits, _repeats, _sources, _silent, _clipped, _loudness, _imbalance)
    return tuple(make(audit) for make in makers)


def merged_ceilings(audit: Audit) -> list[tuple[str, Ceiling]]:
    """The ceilings with the names of their protocols: one for all protocols that have the same sessions."""
    names: dict[tuple[tuple[int, ...], tuple[float, ...]], list[Ceiling]] = {}
    for one in audit.ceilings:
        names.setdefault((one.classes, one.accuracy), []).append(one)
    return [(", ".join(one.protocol for one in same), same[0]) for same in names.values()]


def percent(fraction: float) -> str:
    """'95', '93.33'; what is below one is below 100."""
    if math.isnan(fraction):
        return NOTHING
    value = min(100 * fraction, 99.99) if fraction < 1 else 100.0
    return f"{value:.2f}".rstrip("0").rstrip(".")


def shorten(text: str) -> str:
    """Untrusted text on one line of at most 32 characters."""
    plain = printable(one_line(text))
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "…"


def class_name(audit: Audit, label: int) -> str:
    """A label with the name of its class: "12 '1926'"."""
    return f"{label} '{shorten(audit.clips.table.class_names[label])}'"


def _labels(audit: Audit) -> Finding:
    if not audit.pairs:
        return Finding("labels", "ok", "none")
    contents, held = audit.clips.contents, dict[str, set[int]]()
    for content, label in zip(contents, audit.clips.table.labels.tolist(), strict=True):
        held.setdefault(content, set()).add(label)
    positions = [position for position, content in enumerate(contents) if len(held[content]) > 1]
    found = f"{plural(len(positions), 'clip')}, {plural(len(audit.pairs), 'pair')} of labels"
    example = _first_few(f"{pair.first}={pair.second}" for pair in audit.pairs)
    return _finding("labels", "warning", found, example, positions, contents)


def _splits(audit: Audit) -> Finding:
    there = [pair for pair in audit.splits if pair.keys]
    if not there:
        return Finding("splits", "ok", "none")
    table, contents = audit.clips.table, audit.clips.contents
    held = {contents[position] for pair in there for position in pair.positions}
    positions = [position for position, content in enumerate(contents) if content in held]
    found = "; ".join(f"{plural(len(pair.positions), f'{pair.second} clip')} also in {pair.first}" for pair in there)
    last = there[0].positions[0]
    twin = next(p for p in positions if contents[p] == contents[last] and table.splits[p] == there[0].first)
    example = f"{shorten(table.clip_ids[twin])} = {shorten(table.clip_ids[last])}"
    return _finding("splits", "warning", found, example, positions, contents)


def _repeats(audit: Audit) -> Finding:
    if not audit.repeats:
        return Finding("repeats", "ok", "none")
    example = shorten(audit.clips.table.clip_ids[audit.repeats[0]])
    found = f"{plural(len(audit.repeats), 'clip')} twice or more"
    return _finding("repeats", "note", found, example, audit.repeats, audit.clips.contents)


def _sources(audit: Audit) -> Finding:
    pair = audit.sources[0]
    sources = audit.clips.sources
    if not pair.keys:
        alone = len(set(sources)) == len(set(audit.clips.contents))
        return Finding("sources", "ok", "none: every clip names its own" if alone else "none")
    tests = int(audit.counts[:, 2].sum())
    found = f"{pair.keys} of {pair.of} in test; {len(pair.positions)} of {plural(tests, 'test clip')}"
    classes = sum(count > 0 for count in pair.by_label)
    example = f"{shorten(sources[pair.positions[0]])} ({'1 class' if classes == 1 else f'{classes} classes'})"
    return _finding("sources", "warning", found, example, pair.positions, sources)


def _silent(audit: Audit) -> Finding:
    if audit.measures is None:
        return Finding("silent", "unknown", "")
    levels = audit.measures.rms_db
    positions = np.flatnonzero(levels < NEAR_SILENT_DB)
    if not len(positions):
        return Finding("silent", "ok", "none")
    quietest = int(positions[np.argmin(levels[positions])])
    example = f"{shorten(audit.clips.table.clip_ids[quietest])} at {_decibels(levels[quietest])}"
    details = [_decibels(level) for level in levels]
    verdict = _by_share(len(positions), len(levels))
    return _finding("silent", verdict, plural(len(positions), "clip"), example, positions.tolist(), details)


def _clipped(audit: Audit) -> Finding:
    if audit.measures is None:
        return Finding("clipped", "unknown", "")
    clipped = audit.measures.clipped
    positions = np.flatnonzero(clipped)
    if not len(positions):
        return Finding("clipped", "ok", "none")
    worst = int(np.argmax(clipped))
    example = f"{shorten(audit.clips.table.clip_ids[worst])}: {clipped[worst]} samples"
    details = [f"{count} samples" for count in clipped]
    verdict = _by_share(len(positions), len(clipped))
    return _finding("clipped", verdict, plural(len(positions), "clip"), example, positions.tolist(), details)


def _loudness(audit: Audit) -> Finding:
    if audit.loudness is None:
        return Finding("loudness", "unknown", "")
    means, deviations = audit.loudness.T
    if np.isnan(means).all():
        return Finding("loudness", "ok", "every class is near-silent")
    low, high = int(np.nanargmin(means)), int(np.nanargmax(means))
    found = f"{means[low]:.1f} to {means[high]:.1f} dBFS"
    if not np.isnan(deviations).all():
        found += f", within a class ±{np.nanmedian(deviations):.1f} dB"
    example = f"{class_name(audit, low)} to {class_name(audit, high)}" if low != high else ""
    return Finding("loudness", "note" if means[high] - means[low] > LOUDNESS_RANGE else "ok", found, example)


def _imbalance(audit: Audit) -> Finding:
    worst = max(audit.balance, key=lambda one: one.ratio)
    if worst.ratio == 1:
        parts = "" if worst.part == "all" else ", base and novel apart"
        return Finding("imbalance", "ok", f"equal in each split{parts}")
    found = f"{worst.least} to {worst.most}, median {worst.median:g}"
    times = f"{worst.ratio:.1f} times" if math.isfinite(worst.ratio) else "a class has none"
    example = f"{'' if worst.part == 'all' else worst.part + ' '}{worst.split}: {times}"
    return Finding("imbalance", "note" if worst.ratio > IMBALANCE else "ok", found, example)


def _finding(
    kind: Kind,
    verdict: Verdict,
    found: str,
    example: str,
    positions: Iterable[int],
    details: Sequence[str],
) -> Finding:
    """Picks out the details of the clips concerned; `details` holds those of all clips."""
    chosen = tuple(positions)
    return Finding(kind, verdict, found, example, chosen, tuple(details[position] for position in chosen))


def _first_few(examples: Iterable[str]) -> str:
    every = list(examples)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


def _by_share(count: int, of: int) -> Verdict:
    return "warning" if count >= MANY * of else "note"


def _decibels(level: float) -> str:
    return f"{level:.1f} dBFS" if math.isfinite(level) else "digital silence"
