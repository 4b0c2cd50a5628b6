"""Findings: interprets the facts of an audit, one finding per kind of defect."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from datasets.benchmark.audit import Audit, Shared
from datasets.benchmark.ceiling import Ceiling
from datasets.benchmark.measures import CLIPPED_RUN, NEAR_SILENT_DB
from datasets.utils.text import first_few, one_line, plural, printable

Kind = Literal["labels", "splits", "similar", "repeats", "sources", "silent", "clipped", "loudness", "imbalance"]
Verdict = Literal["ok", "note", "warning", "unknown"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MANY = 0.01
"""Near-silent or clipped clips are a warning if they are at least this fraction of all clips, else a note."""
LOUDNESS_RANGE = 10.0
"""A larger difference between class means, in dB, is a note: a classifier may rely on the level alone."""
IMBALANCE = 1.5
"""A larger ratio between the clips of two classes of the same part and split is a note."""

TITLES: dict[Kind, str] = {
    "labels": "identical audio under two labels",
    "splits": "identical audio in two splits",
    "similar": "nearly identical audio in two splits",
    "repeats": "identical audio in one class and split",
    "sources": "recordings in train and test",
    "silent": f"near-silent clips (below {NEAR_SILENT_DB:g} dBFS)",
    "clipped": f"clipped clips ({CLIPPED_RUN} samples at full scale)",
    "loudness": "level of classes (mean RMS)",
    "imbalance": "clips per class",
}
NOTHING = "-"
_MAX_NAME = 32  # characters of a name


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        kind: the check.
        verdict: 'ok', 'note' (worth knowing), 'warning' (accuracies are misleading), or 'unknown' if the check needs
            audio or groups of recordings and there are none.
        result: summary, such as '4 clips, 1 pair of labels'.
        example: one case, or the first few.
        positions: the affected clips.
        details: for each of these clips, the content it shares with others, or the measured value.
    """

    kind: Kind
    verdict: Verdict
    result: str
    example: str = ""
    positions: tuple[int, ...] = ()
    details: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Description of the check."""
        return TITLES[self.kind]

    @property
    def is_defect(self) -> bool:
        """Whether the verdict is a note or a warning."""
        return self.verdict in ("note", "warning")

    @property
    def needs_audio(self) -> bool:
        """Whether there is no result because there is no audio."""
        return not self.result


def findings(audit: Audit) -> tuple[Finding, ...]:
    """Runs all checks: one finding per kind, in the order of `KINDS`."""
    checks = (_labels, _splits, _similar, _repeats, _sources, _silent, _clipped, _loudness, _imbalance)
    return tuple(check(audit) for check in checks)


def merged_ceilings(audit: Audit) -> list[tuple[str, Ceiling]]:
    """The ceilings with the names of their protocols; protocols with equal sessions and accuracies are merged."""
    groups: dict[tuple[tuple[int, ...], tuple[float, ...]], list[Ceiling]] = {}
    for ceiling in audit.ceilings:
        groups.setdefault((ceiling.classes, ceiling.accuracy), []).append(ceiling)
    return [(", ".join(ceiling.protocol for ceiling in group), group[0]) for group in groups.values()]


def percent(fraction: float) -> str:
    """'95', '93.33'; a fraction below one is never rounded to 100."""
    if math.isnan(fraction):
        return NOTHING
    value = min(100 * fraction, 99.99) if fraction < 1 else 100.0
    return f"{value:.2f}".rstrip("0").rstrip(".")


def shorten(text: str) -> str:
    """Untrusted text on one line of at most 32 characters."""
    plain = printable(one_line(text))
    return plain if len(plain) <= _MAX_NAME else plain[: _MAX_NAME - 1] + "…"


def class_name(audit: Audit, label: int) -> str:
    """A label with the name of its class: "12 '1926'"."""
    return f"{label} '{shorten(audit.clips.table.class_names[label])}'"


def _labels(audit: Audit) -> Finding:
    if not audit.pairs:
        return Finding("labels", "ok", "none")
    contents, labels = audit.clips.contents, dict[str, set[int]]()
    for content, label in zip(contents, audit.clips.table.labels.tolist(), strict=True):
        labels.setdefault(content, set()).add(label)
    positions = [position for position, content in enumerate(contents) if len(labels[content]) > 1]
    result = f"{plural(len(positions), 'clip')}, {plural(len(audit.pairs), 'pair')} of labels"
    example = first_few([f"{pair.first}={pair.second}" for pair in audit.pairs])
    return _finding("labels", "warning", result, example, positions, contents)


def _splits(audit: Audit) -> Finding:
    pairs = [pair for pair in audit.splits if pair.keys]
    if not pairs:
        return Finding("splits", "ok", "none")
    table, contents = audit.clips.table, audit.clips.contents
    duplicates = {contents[position] for pair in pairs for position in pair.positions}
    positions = [position for position, content in enumerate(contents) if content in duplicates]
    result = "; ".join(f"{plural(len(pair.positions), f'{pair.second} clip')} also in {pair.first}" for pair in pairs)
    second = pairs[0].positions[0]
    first = next(p for p in positions if contents[p] == contents[second] and table.splits[p] == pairs[0].first)
    example = f"{shorten(table.clip_ids[first])} = {shorten(table.clip_ids[second])}"
    return _finding("splits", "warning", result, example, positions, contents)


def _repeats(audit: Audit) -> Finding:
    if not audit.repeats:
        return Finding("repeats", "ok", "none")
    example = shorten(audit.clips.table.clip_ids[audit.repeats[0]])
    result = f"{plural(len(audit.repeats), 'clip')} twice or more"
    return _finding("repeats", "note", result, example, audit.repeats, audit.clips.contents)


def _similar(audit: Audit) -> Finding:
    if audit.similar is None:
        return Finding("similar", "unknown", "")
    pairs = [pair for pair in audit.similar if pair.positions]
    if not pairs:
        return Finding("similar", "ok", "none")
    ids, details = audit.clips.table.clip_ids, dict[int, str]()
    for pair in pairs:
        for position, partner, value in zip(pair.positions, pair.partners, pair.similarity, strict=True):
            details.setdefault(position, f"{value:.3f} {ids[partner]} ({pair.first})")
    result = "; ".join(f"{plural(len(pair.positions), f'{pair.second} clip')} as in {pair.first}" for pair in pairs)
    example = f"{shorten(ids[pairs[0].partners[0]])} ~ {shorten(ids[pairs[0].positions[0]])}"
    positions = sorted(details)
    return Finding("similar", "warning", result, example, tuple(positions), tuple(details[p] for p in positions))


def _sources(audit: Audit) -> Finding:
    recordings, groups, stems = audit.sources[0], audit.groups[0] if audit.groups else None, audit.stems[0]
    if recordings.keys:
        return _shared_sources(audit, "warning", recordings, audit.clips.sources, "in test")
    if groups and groups.keys:
        return _shared_sources(audit, "warning", groups, audit.clips.groups or (), "groups in test")
    if stems.keys:
        finding = _shared_sources(audit, "note", stems, audit.stem_of, "names in test share a stem with train")
        return replace(finding, result=f"no groups were given: {finding.result}", example=_two_names(audit, stems))
    classes = len(audit.clips.table.class_names)
    if not groups:
        return Finding("sources", "unknown", "no file is in both, but no groups of files were given")
    if audit.ungrouped:
        given = f"no groups were given in {len(audit.ungrouped)} of {classes} classes"
        return Finding("sources", "unknown", f"no file is in both, but {given}")
    return Finding("sources", "ok", f"none of {len(set(audit.clips.groups or ()))} groups")


def _shared_sources(audit: Audit, verdict: Verdict, pair: Shared, keys: Sequence[str], what: str) -> Finding:
    tests = int(audit.counts[:, 2].sum())
    result = f"{pair.keys} of {pair.of} {what}; {len(pair.positions)} of {plural(tests, 'test clip')}"
    classes = sum(count > 0 for count in pair.by_label)
    example = f"{shorten(keys[pair.positions[0]])} ({'1 class' if classes == 1 else f'{classes} classes'})"
    return _finding("sources", verdict, result, example, pair.positions, keys)


def _two_names(audit: Audit, stems: Shared) -> str:
    """A recording of each of the two splits with the same stem."""
    test, table, sources = stems.positions[0], audit.clips.table, audit.clips.sources
    first = next(
        position
        for position, stem in enumerate(audit.stem_of)
        if stem == audit.stem_of[test] and table.splits[position] == stems.first
    )
    return f"{shorten(sources[first])} and {shorten(sources[test])}"


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
    verdict = _verdict(len(positions), len(levels))
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
    verdict = _verdict(len(positions), len(clipped))
    return _finding("clipped", verdict, plural(len(positions), "clip"), example, positions.tolist(), details)


def _loudness(audit: Audit) -> Finding:
    if audit.loudness is None:
        return Finding("loudness", "unknown", "")
    means, deviations = audit.loudness.T
    if np.isnan(means).all():
        return Finding("loudness", "ok", "every class is near-silent")
    low, high = int(np.nanargmin(means)), int(np.nanargmax(means))
    result = f"{means[low]:.1f} to {means[high]:.1f} dBFS"
    if not np.isnan(deviations).all():
        result += f", within a class ±{np.nanmedian(deviations):.1f} dB"
    example = f"{class_name(audit, low)} to {class_name(audit, high)}" if low != high else ""
    return Finding("loudness", "note" if means[high] - means[low] > LOUDNESS_RANGE else "ok", result, example)


def _imbalance(audit: Audit) -> Finding:
    worst = max(audit.balance, key=lambda balance: balance.ratio)
    if worst.ratio == 1:
        parts = "" if worst.part == "all" else ", separately for base and novel"
        return Finding("imbalance", "ok", f"equal in each split{parts}")
    result = f"{worst.least} to {worst.most}, median {worst.median:g}"
    times = f"{worst.ratio:.1f} times" if math.isfinite(worst.ratio) else "a class has none"
    example = f"{'' if worst.part == 'all' else worst.part + ' '}{worst.split}: {times}"
    return Finding("imbalance", "note" if worst.ratio > IMBALANCE else "ok", result, example)


def _finding(
    kind: Kind,
    verdict: Verdict,
    result: str,
    example: str,
    positions: Iterable[int],
    details: Sequence[str],
) -> Finding:
    """Selects the details of the affected clips from those of all clips."""
    selected = tuple(positions)
    return Finding(kind, verdict, result, example, selected, tuple(details[position] for position in selected))


def _verdict(count: int, total: int) -> Verdict:
    return "warning" if count >= MANY * total else "note"


def _decibels(level: float) -> str:
    return f"{level:.1f} dBFS" if math.isfinite(level) else "digital silence"
