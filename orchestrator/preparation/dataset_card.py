"""README.md of a benchmark: a dataset card as the Hugging Face hub wants it, with a table of the classes.

`datasets.load_dataset("data/mine", "train", split="train")` of the Hugging Face library finds the Parquet files and the
features in it: `audio` as `Audio` with its sample rate, `label` as `ClassLabel`. Each split is a configuration that
filters the rows, as a shard has clips of all splits; the configuration `default` has all clips.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from datasets.benchmark.manifest import SPLITS, Manifest, SplitCounts
from datasets.benchmark.shards import Shards
from datasets.corpora.inventory import Rejection
from datasets.corpora.preset import Preset
from datasets.utils.location import Location
from datasets.utils.text import plural, printable
from orchestrator.preparation.split_files import HUB_NAMES

CARD = "README.md"
SHARDS = "shards/*.parquet"
MARK = "<!-- made by earshot prepare, which replaces this file: delete this line to keep your changes -->"
"""In every card; a README.md without it is not replaced."""

_SAME_FILES = (
    "All splits are in the same files. A configuration reads one of them; the column `split` of all clips says which "
    "one a clip belongs to:",
)
_LOAD_SAME = (
    'train = load_dataset("FOLDER", "train", split="train")',
    'clips = load_dataset("FOLDER", split="clips")',
)
_OWN_FILES = ("Each split has files of its own in `splits`:",)
_LOAD_OWN = ('train = load_dataset("FOLDER", split="train")',)

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_HUB_LICENCES = {
    "CC BY 3.0": "cc-by-3.0",
    "CC BY 4.0": "cc-by-4.0",
    "CC BY-NC 3.0": "cc-by-nc-3.0",
    "CC BY-SA 4.0": "cc-by-sa-4.0",
}


class _Quoted(SafeRepresenter):
    """Writes every text between quotes: `yes` or `1:30` without them is no text for a reader of YAML 1.1."""


def _quoted(representer: SafeRepresenter, text: str) -> ScalarNode:
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_Quoted.add_representer(str, _quoted)


@dataclass(frozen=True)
class ClassRow:
    """A class in the summary.

    Attributes:
        name: of the class.
        clips: in each split.
        hours: of all its clips.
        groups: number of groups of its recordings; None if the benchmark has no groups.
    """

    name: str
    clips: SplitCounts
    hours: float
    groups: int | None

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of `columns`."""
        counts = (self.clips.train, self.clips.val, self.clips.test)
        groups = () if self.groups is None else (str(self.groups),)
        return (printable(self.name), *map(str, counts), f"{self.hours:.2f}", *groups)


def class_rows(out: Location) -> list[ClassRow]:
    """The classes of a finished benchmark, by label.

    Raises:
        EarshotError: the benchmark cannot be read.
    """
    shards = Shards(out)
    manifest, groups = shards.manifest, shards.groups
    found: list[set[str]] = [set() for _ in manifest.classes]
    for label, group in zip(shards.table.labels.tolist(), groups or (), strict=groups is not None):
        found[label].add(group)
    seconds = manifest.num_samples / manifest.sample_rate
    return [
        ClassRow(
            entry.name,
            entry.clips,
            entry.clips.total * seconds / 3600,
            None if groups is None else len(found[entry.label]),
        )
        for entry in manifest.classes
    ]


def columns(rows: Sequence[ClassRow]) -> tuple[str, ...]:
    """The header of the table of classes."""
    with_groups = any(row.groups is not None for row in rows)
    return ("class", "train", "val", "test", "hours", *(("groups",) if with_groups else ()))


def dataset_card(
    manifest: Manifest,
    rows: Sequence[ClassRow],
    rejected: Sequence[Rejection],
    preset: Preset | None,
    files: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The text of README.md.

    Args:
        manifest: of the benchmark.
        rows: see `class_rows`.
        rejected: files without clips.
        preset: facts of the corpus; None if it is not known.
        files: by split, if each has files of its own.
    """
    clips, seconds = manifest.clips, manifest.num_samples / manifest.sample_rate
    lines = [
        "---",
        _front_matter(manifest, preset, files).rstrip(),
        "---",
        "",
        MARK,
        "",
        f"# {_escaped(manifest.name)}",
        "",
        f"{plural(clips.total, 'clip')} of {seconds:g} s at {manifest.sample_rate} Hz, one channel, in "
        f"{len(manifest.classes)} classes: {clips.train} train, {clips.val} val, {clips.test} test. Made by "
        f"`earshot prepare {manifest.corpus}` from {plural(manifest.source.files, 'recording')}, of which "
        f"{manifest.source.rejected} were rejected{'' if rejected else '.'}"
        + (f" (`rejected.csv`), the first for this reason: {_escaped(rejected[0].reason)}." if rejected else ""),
        "",
    ]
    if preset is not None:
        lines += [f"Recordings: {preset.citation}. Licence: {preset.licence}. <{preset.url}>", ""]
    lines += [
        *(_OWN_FILES if files else _SAME_FILES),
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        *(_LOAD_OWN if files else _LOAD_SAME),
        "```",
        "",
        _markdown_row(columns(rows)),
        "|---|" + "---:|" * (len(columns(rows)) - 1),
        *(_markdown_row(row.cells) for row in rows),
        "",
    ]
    return "\n".join(lines)


def _configs(manifest: Manifest, files: Mapping[str, Sequence[str]] | None) -> list[dict[str, Any]]:
    """Which files are which split; the first configuration is the one that is read without a name."""
    if files:
        data = [{"split": HUB_NAMES[split], "path": list(names)} for split, names in files.items()]
        return [{"config_name": "default", "data_files": data}]
    return [
        {"config_name": "default", "data_files": [{"split": "clips", "path": SHARDS}]},
        *(
            {
                "config_name": split,
                "data_files": [{"split": split, "path": SHARDS}],
                "filters": [["split", "==", split]],
            }
            for split in SPLITS
            if getattr(manifest.clips, split)
        ),
    ]


def _front_matter(manifest: Manifest, preset: Preset | None, files: Mapping[str, Sequence[str]] | None) -> str:
    names = {str(entry.label): entry.name for entry in manifest.classes}
    text = [{"name": name, "dtype": "string"} for name in ("clip_id", "split", "class_name", "source")]
    whole = [
        {"name": "start", "dtype": "int64"},
        {"name": "num_samples", "dtype": "int32"},
        {"name": "sample_rate", "dtype": "int32"},
    ]
    content = {
        "pretty_name": manifest.name,
        "license": _HUB_LICENCES.get(preset.licence, "other") if preset else "unknown",
        "task_categories": ["audio-classification"],
        "size_categories": [next((text for limit, text in _SIZES if manifest.clips.total < limit), "n>1M")],
        "configs": _configs(manifest, files),
        "dataset_info": {
            "features": [
                *text[:2],
                {"name": "label", "dtype": {"class_label": {"names": names}}},
                *text[2:],
                *whole,
                {"name": "audio", "dtype": {"audio": {"sampling_rate": manifest.sample_rate}}},
            ]
        },
    }
    text_file = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Quoted
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False  # type: ignore[assignment]
    yaml.width = 1 << 20
    yaml.allow_unicode = True
    yaml.dump(content, text_file)
    return text_file.getvalue()


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    """Untrusted text in Markdown: no markup, no HTML."""
    escaped = printable(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{char}" if char in "\\`*_[]|#!" else char for char in escaped)
