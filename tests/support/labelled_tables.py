"""Small corpora of a table and its recordings, and what the table corpus makes of them."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from datasets.benchmark.clips import Clip
from datasets.corpora.corpus import Plan
from datasets.corpora.inventory import Rejection
from datasets.corpora.table import TableCorpus
from datasets.corpora.table_options import TableOptions

RATE = 16000
CORPUS = TableCorpus()


def record(path: Path, seconds: float = 0.1, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE)), RATE, subtype="PCM_16")


def options_of(**options: Any) -> TableOptions:
    return TableOptions.model_validate({"clip_seconds": 0.1, **options})


def plan_of(root: Path, **options: Any) -> Plan:
    made = options_of(**options)
    return CORPUS.plan(root, CORPUS.inventory(root, made), made)


def doubts_of(root: Path, **options: Any) -> str:
    made = options_of(**options)
    return "; ".join(CORPUS.doubts(root, CORPUS.inventory(root, made), made))


def items_of(root: Path, **options: Any) -> list[Clip | Rejection]:
    made = options_of(**options)
    inventory = CORPUS.inventory(root, made)
    made = CORPUS.resolve(root, inventory, made)
    return [item for unit in CORPUS.plan(root, inventory, made).units for item in CORPUS.cut(root, unit, made)]


def clips_of(root: Path, **options: Any) -> list[Clip]:
    return [item for item in items_of(root, **options) if isinstance(item, Clip)]


def write_table(root: Path, *lines: str, name: str = "meta.csv") -> None:
    (root / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def two_classes(root: Path, *extra: str, header: str = "file,label") -> None:
    """Five recordings of each of two classes in `audio`, and a table with additional rows, from line 12 on."""
    lines = [header]
    for number in range(10):
        record(root / f"audio/{number}.wav", seed=number)
        lines.append(f"{number}.wav,{'dog' if number % 2 else 'rain'}")
    write_table(root, *lines, *extra)
