"""The files of an audit: a page for people, JSON for programs, the clips concerned, a picture.

audit.md      findings, ceilings, label pairs, classes concerned
audit.json    all facts
clips.csv     a row for each clip that a finding is about
audit.png     the picture, and audit.svg
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets.benchmark.audit import Audit, Shared
from datasets.benchmark.manifest import SPLITS
from datasets.utils.csv_table import csv_bytes
from datasets.utils.files import write_files as write_contents
from datasets.utils.json_values import json_text
from datasets.utils.text import printable
from orchestrator.auditing.figure import audit_figure
from orchestrator.auditing.findings import NOTHING, Finding, class_name, merged_ceilings, percent
from orchestrator.reporting.markdown import escape, table
from orchestrator.reporting.style import png, svg

_PAIRS_SHOWN = 50


def write_files(audit: Audit, found: Sequence[Finding], folder: Path) -> tuple[Path, ...]:
    """Writes the files of an audit; see the module.

    Raises:
        EarshotError: the folder cannot be written to.
    """
    figure = audit_figure(audit)
    contents = {
        "audit.md": document(audit, found).encode(),
        "audit.json": (json_text(plain(audit, found), indent=1) + "\n").encode(),
        "clips.csv": _clips(audit, found),
        "audit.png": png(figure),
        "audit.svg": svg(figure),
    }
    write_contents(folder, contents, advice="name another with --out")
    return tuple(folder / name for name in contents)


def plain(audit: Audit, found: Sequence[Finding]) -> dict[str, Any]:
    """The audit as JSON values; positions of clips become their number, undefined values null."""
    clips, loudness = audit.clips, audit.loudness
    classes = []
    for label, name in enumerate(clips.table.class_names):
        entry: dict[str, Any] = {"label": label, "name": name, **_by_split(audit.counts[label])}
        if loudness is not None:
            entry |= {"rms_db_mean": float(loudness[label, 0]), "rms_db_std": float(loudness[label, 1])}
        classes.append(entry)
    content = {
        "name": audit.name,
        "clips": _by_split(audit.counts.sum(axis=0)),
        "clip_seconds": clips.clip_seconds,
        "base_classes": clips.base_classes,
        "with_audio": audit.measures is not None,
        "findings": [
            {"kind": f.kind, "title": f.title, "verdict": f.verdict, "found": f.found, "example": f.example,
             "clips": len(f.positions)}
            for f in found
        ],
        "label_pairs": [
            {"labels": [pair.first, pair.second], "contents": pair.contents, "clips": _by_split(pair.clips)}
            for pair in audit.pairs
        ],
        "identical_across_splits": [_shared(one) for one in audit.splits],
        "shared_sources": [_shared(one) for one in audit.sources],
        "balance": [{**dataclasses.asdict(one), "ratio": one.ratio} for one in audit.balance],
        "ceiling": audit.ceiling,
        "ceilings": [dataclasses.asdict(one) for one in audit.ceilings],
        "classes": classes,
    }  # fmt: skip
    return content


def document(audit: Audit, found: Sequence[Finding]) -> str:
    """The audit as a page of Markdown."""
    clips = audit.clips
    train, val, test = audit.counts.sum(axis=0)
    parts = [
        f"# Audit of {escape(printable(audit.name))}",
        f"{len(clips.table.class_names)} classes, {len(clips.table)} clips of {clips.clip_seconds:g} s: {train} train, "
        f"{val} val, {test} test{'' if audit.measures is not None else '; from lists alone, without audio'}.",
        table(
            ["check", "found", "example", "verdict"],
            [[f.title, f.found or "not known without audio", f.example, f.verdict] for f in found],
        ),
        "![Ceilings, clips and loudness of the classes](audit.png)",
        "## Ceilings",
        "The highest accuracy that identical test clips allow, in percent. A classifier gives all clips of the same "
        "audio the same answer, so at most those of one label are right.",
        table(
            ["protocol", ">classes", "A_0 to A_T", ">AA"],
            [
                ["all classes at once", len(clips.table.class_names), percent(audit.ceiling), NOTHING],
                *(
                    [
                        names,
                        one.classes[-1],
                        " ".join(map(percent, one.accuracy)),
                        percent(float(np.mean(one.accuracy))),
                    ]
                    for names, one in merged_ceilings(audit)
                ),
            ],
        ),
        *_pairs(audit),
        *_sources(audit),
        "## Clips per class",
        table(
            ["classes", "split", ">least", ">median", ">most"],
            [[one.part, one.split, one.least, f"{one.median:g}", one.most] for one in audit.balance],
        ),
    ]
    if any(finding.positions for finding in found):
        parts.append("The clips concerned, finding by finding, are the rows of [clips.csv](clips.csv).")
    return "\n\n".join(parts) + "\n"


def _pairs(audit: Audit) -> list[str]:
    if not audit.pairs:
        return []
    rows = [
        [class_name(audit, pair.first), class_name(audit, pair.second), pair.contents, *pair.clips]
        for pair in audit.pairs[:_PAIRS_SHOWN]
    ]
    more = len(audit.pairs) - len(rows)
    shown = table(["label", "label", ">different clips", *(f">{split}" for split in SPLITS)], rows)
    return ["## Labels with the same audio", "Clips are counted under both labels.", shown] + (
        [f"And {more} more pairs, in audit.json."] if more else []
    )


def _sources(audit: Audit) -> list[str]:
    if not any(one.keys for one in audit.sources):
        return []
    rows = [
        [
            f"{one.first}, {one.second}",
            f"{one.keys} of {one.of}",
            len(one.positions),
            sum(count > 0 for count in one.by_label),
        ]
        for one in audit.sources
    ]
    text = (
        "Recordings of the second split that supply clips of the first split too. A clip that spans several recordings "
        "counts for the one in which it begins."
    )
    header = ["splits", ">recordings", ">clips of the second", ">classes"]
    return ["## Shared recordings", text, table(header, rows)]


def _clips(audit: Audit, found: Sequence[Finding]) -> bytes:
    listed = audit.clips.table
    rows = []
    for finding in found:
        for position, detail in zip(finding.positions, finding.details, strict=True):
            label = int(listed.labels[position])
            clip = (listed.clip_ids[position], listed.splits[position], label, listed.class_names[label])
            rows.append((finding.kind, *clip, detail))
    return csv_bytes(["kind", "clip_id", "split", "label", "class_name", "detail"], rows)


def _by_split(counts: Sequence[int] | np.ndarray) -> dict[str, int]:
    return {split: int(count) for split, count in zip(SPLITS, counts, strict=True)}


def _shared(one: Shared) -> dict[str, Any]:
    content = dataclasses.asdict(one)
    return content | {"clips": len(content.pop("positions"))}
