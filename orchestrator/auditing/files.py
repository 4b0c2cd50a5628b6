"""Writes the files of an audit.

audit.md      findings, ceilings, label pairs, affected classes
audit.json    all facts
clips.csv     a row for each clip of each finding
audit.png     the figure, also as audit.svg
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets.benchmark.audit import Audit, Shared, Similar
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


def write_files(audit: Audit, results: Sequence[Finding], folder: Path) -> tuple[Path, ...]:
    """Writes the files of an audit and returns their paths.

    Raises:
        EarshotError: the folder is not writable.
    """
    figure = audit_figure(audit)
    contents = {
        "audit.md": format_markdown(audit, results).encode(),
        "audit.json": (json_text(audit_values(audit, results), indent=1) + "\n").encode(),
        "clips.csv": _clips_csv(audit, results),
        "audit.png": png(figure),
        "audit.svg": svg(figure),
    }
    write_contents(folder, contents, advice="name another with --out")
    return tuple(folder / name for name in contents)


def audit_values(audit: Audit, results: Sequence[Finding]) -> dict[str, Any]:
    """The audit as JSON values; positions of clips are replaced by their number, undefined values by null."""
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
            {"kind": f.kind, "title": f.title, "verdict": f.verdict, "found": f.result, "example": f.example,
             "clips": len(f.positions)}
            for f in results
        ],
        "label_pairs": [
            {"labels": [pair.first, pair.second], "contents": pair.contents, "clips": _by_split(pair.clips)}
            for pair in audit.pairs
        ],
        "identical_across_splits": [_shared_values(shared) for shared in audit.splits],
        "similar_across_splits": [_shared_values(similar) for similar in audit.similar or ()],
        "shared_sources": [_shared_values(shared) for shared in audit.sources],
        "shared_groups": None if audit.groups is None else [_shared_values(shared) for shared in audit.groups],
        "classes_without_groups": list(audit.ungrouped),
        "shared_stems": [_shared_values(shared) for shared in audit.stems],
        "balance": [{**dataclasses.asdict(balance), "ratio": balance.ratio} for balance in audit.balance],
        "ceiling": audit.ceiling,
        "ceilings": [dataclasses.asdict(ceiling) for ceiling in audit.ceilings],
        "classes": classes,
    }  # fmt: skip
    return content


def format_markdown(audit: Audit, results: Sequence[Finding]) -> str:
    """The audit as a Markdown document."""
    clips = audit.clips
    train, val, test = audit.counts.sum(axis=0)
    parts = [
        f"# Audit of {escape(printable(audit.name))}",
        f"{len(clips.table.class_names)} classes, {len(clips.table)} clips of {clips.clip_seconds:g} s: {train} train, "
        f"{val} val, {test} test{'' if audit.measures is not None else '; from lists only, without audio'}.",
        table(
            ["check", "result", "example", "verdict"],
            [[f.title, f.result or "unknown without audio", f.example, f.verdict] for f in results],
        ),
        "![Ceilings, clips and loudness of the classes](audit.png)",
        "## Ceilings",
        "The highest accuracy that identical test clips allow, in percent. A classifier predicts the same class for "
        "all clips with the same audio, so at most those of one label are correct.",
        table(
            ["protocol", ">classes", "A_0 to A_T", ">AA"],
            [
                ["all classes at once", len(clips.table.class_names), percent(audit.ceiling), NOTHING],
                *(
                    [
                        names,
                        ceiling.classes[-1],
                        " ".join(map(percent, ceiling.accuracy)),
                        percent(float(np.mean(ceiling.accuracy))),
                    ]
                    for names, ceiling in merged_ceilings(audit)
                ),
            ],
        ),
        *_pairs_section(audit),
        *_sources_section(audit),
        "## Clips per class",
        table(
            ["classes", "split", ">minimum", ">median", ">maximum"],
            [[b.part, b.split, b.least, f"{b.median:g}", b.most] for b in audit.balance],
        ),
    ]
    if any(finding.positions for finding in results):
        parts.append("[clips.csv](clips.csv) lists the affected clips of each finding.")
    return "\n\n".join(parts) + "\n"


def _pairs_section(audit: Audit) -> list[str]:
    if not audit.pairs:
        return []
    rows = [
        [class_name(audit, pair.first), class_name(audit, pair.second), pair.contents, *pair.clips]
        for pair in audit.pairs[:_PAIRS_SHOWN]
    ]
    more = len(audit.pairs) - len(rows)
    shown = table(["label", "label", ">different clips", *(f">{split}" for split in SPLITS)], rows)
    return ["## Labels with the same audio", "Clips are counted under both labels.", shown] + (
        [f"{more} more pairs are listed in audit.json."] if more else []
    )


def _sources_section(audit: Audit) -> list[str]:
    if not any(shared.keys for shared in audit.sources):
        return []
    rows = [
        [
            f"{shared.first}, {shared.second}",
            f"{shared.keys} of {shared.of}",
            len(shared.positions),
            sum(count > 0 for count in shared.by_label),
        ]
        for shared in audit.sources
    ]
    text = (
        "Recordings of the second split that also provide clips of the first split. A clip that spans several "
        "recordings is counted for the one in which it starts."
    )
    header = ["splits", ">recordings", ">clips of the second", ">classes"]
    return ["## Shared recordings", text, table(header, rows)]


def _clips_csv(audit: Audit, results: Sequence[Finding]) -> bytes:
    clips = audit.clips.table
    rows = []
    for finding in results:
        for position, detail in zip(finding.positions, finding.details, strict=True):
            label = int(clips.labels[position])
            clip = (clips.clip_ids[position], clips.splits[position], label, clips.class_names[label])
            rows.append((finding.kind, *clip, detail))
    return csv_bytes(["kind", "clip_id", "split", "label", "class_name", "detail"], rows)


def _by_split(counts: Sequence[int] | np.ndarray) -> dict[str, int]:
    return {split: int(count) for split, count in zip(SPLITS, counts, strict=True)}


def _shared_values(shared: Shared | Similar) -> dict[str, Any]:
    content = dataclasses.asdict(shared)
    for name in ("partners", "similarity"):  # of each clip: in clips.csv
        content.pop(name, None)
    return content | {"clips": len(content.pop("positions"))}
