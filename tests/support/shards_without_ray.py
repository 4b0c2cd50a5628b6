"""Writes the shards of a benchmark in this process; `prepare` then finds all of them finished, and needs no Ray."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets.corpora.preset import find_corpus_or_preset
from datasets.utils.location import Location
from orchestrator.preparation.output_folder import LOCK
from orchestrator.preparation.units import shard_name, unit_key, write_unit


def write_shards(name: str, source: Path, out: Path, options: Mapping[str, Any]) -> None:
    """Cuts all units of a corpus or preset into the folder of a benchmark.

    Args:
        name: of the corpus or preset.
        source: folder of the recordings.
        out: folder of the benchmark, which gets no manifest.
        options: of the corpus.
    """
    corpus, preset = find_corpus_or_preset(name)
    made = corpus.options_type.model_validate({**preset, **options})
    inventory = corpus.inventory(source, made)
    made = corpus.resolve(source, inventory, made)
    plan, identity = corpus.plan(source, inventory, made), corpus.identity(made)
    files = {file.path: file for file in inventory.files}
    (out / "shards").mkdir(parents=True)
    (out / LOCK).touch()  # marks the folder as ours
    for number, unit in enumerate(plan.units):
        key = unit_key(corpus, identity, unit, [files[path] for path in unit.files])
        write_unit(corpus, made, source, unit, key, Location.of(out) / shard_name(number), plan.sample_rate)
