"""Presets: each reads the layout of its publisher, and splits by its folds, lists or groups."""

import re
from collections import Counter
from pathlib import Path

import pytest

from datasets.benchmark.clips import Clip
from datasets.benchmark.protocol import Protocol
from datasets.corpora.preset import FOLDER, find_corpus_or_preset, find_preset, preset_names
from datasets.corpora.registry import corpora
from datasets.utils.errors import EarshotError
from tests.support.published_layouts import LAYOUTS, URBAN, WORDS

SMALL = {"clip_seconds": 0.1, "max_clips_per_file": 1, "sample_rate": 8000}
CLASSES = {
    "esc50": ["cow", "dog", "pig", "rain", "rooster"],
    "esc10": ["dog", "rain", "rooster"],
    "urbansound8k": list(URBAN),
    "speech-commands": list(WORDS),
    "vocalset": ["female1", "female2", "male1"],
    "fsd50k": ["Bass_guitar", "Electric_guitar", "Meow"],
    "fsdd": ["0", "1", "2"],
    "timit-speakers": ["FAKS0", "FCJF0", "MARC0"],
    "voxceleb1": ["id10001", "id10002"],
}
COUNTS = {  # of every class: train, val, test
    "esc50": (9, 3, 3),
    "esc10": (9, 3, 3),
    "urbansound8k": (16, 2, 2),
    "speech-commands": (12, 4, 4),
    "vocalset": (3, 1, 1),
    "fsd50k": (5, 1, 2),
    "fsdd": (6, 2, 2),
    "timit-speakers": (6, 2, 2),
    "voxceleb1": (2, 2, 2),
}
GROUPS = {
    "esc50": "103041", "urbansound8k": "1010", "speech-commands": "00000009", "fsdd": "jackson",
    "voxceleb1": "id10001/1zcIwhm3eo4",
}  # fmt: skip


def test_every_preset_is_tested_documented_and_names_a_corpus() -> None:
    page = (Path(__file__).parents[3] / "docs/benchmarks.md").read_text(encoding="utf-8")
    section = page.split("## Presets\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", section, flags=re.MULTILINE)) == set(preset_names())
    assert list(preset_names()) == sorted(LAYOUTS) == sorted(CLASSES)
    assert not set(preset_names()) & set(corpora())
    for name in preset_names():
        preset = find_preset(name)
        assert preset and preset.corpus in ("table", "folder") and preset.url.startswith("http"), name
        assert preset.licence in section and preset.url in section


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_the_layout_of_the_publisher_is_read(name: str, tmp_path: Path) -> None:
    LAYOUTS[name](tmp_path)
    corpus, given = find_corpus_or_preset(name)
    options = corpus.options_type.model_validate({**given, **SMALL, **({"min_files": 3} if name == "fsd50k" else {})})
    inventory = corpus.inventory(tmp_path, options)
    options = corpus.resolve(tmp_path, inventory, options)
    assert corpus.doubts(tmp_path, inventory, options) == ()
    plan = corpus.plan(tmp_path, inventory, options)
    assert list(plan.classes) == CLASSES[name] and plan.rejected == ()
    items = [item for unit in plan.units for item in corpus.cut(tmp_path, unit, options)]
    clips = [item for item in items if isinstance(item, Clip)]
    assert len(clips) == len(items) == plan.files
    train, val, test = COUNTS[name]
    for label in plan.classes:
        counts = Counter(clip.split for clip in clips if clip.class_name == label)
        assert counts == {"train": train, "val": val, "test": test}, label
    splits: dict[str, set[str]] = {}
    for clip in clips:
        if clip.group is not None:
            splits.setdefault(clip.group, set()).add(clip.split)
    assert all(len(found) == 1 for found in splits.values())
    assert GROUPS[name] in splits if name in GROUPS else name == "esc10" or not splits


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_suggested_protocols_divide_the_published_classes(name: str) -> None:
    preset = find_preset(name)
    assert preset is not None
    words = preset.protocol.split()
    values = dict(zip(words[::2], words[1::2], strict=True))
    numbers = {key: int(values[f"--{key}"]) for key in ("base", "way", "shot")}
    protocol = Protocol.model_validate({"name": values["--protocol"], **numbers})
    assert protocol.base is not None and (preset.classes - protocol.base) % protocol.way == 0


def test_names_that_are_neither_corpus_nor_preset() -> None:
    with pytest.raises(EarshotError, match=r"^corpus 'esc-50': not known; did you mean 'esc50'\?$"):
        find_corpus_or_preset("esc-50")
    assert find_preset("../presets/esc50") is None and FOLDER.is_dir()
