"""A mix: one benchmark out of several, such as speech, then instruments, then sound events.

    --of data/ls100 --of data/nsynth100 --of data/fsc89

    labels     0 .. 99            100 .. 199             200 .. 288
    classes    ls100/1069, ...    nsynth100/guitar...    fsc89/Chirp_and_tweet, ...

Classes keep the order of their benchmark, benchmarks the order in which they are given; so a chain crosses from one
domain to the next (a seeded class order mixes them). The base classes are those of the first one. Clips keep their
split. They are brought to one sample rate, by default the lowest of all, so that no domain is told by an empty upper
band; and to one length, by default the shortest: of longer clips the first part is taken, shorter ones are padded with
zeros at their end. The recordings are not needed: a mix is made from the shards of its parts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, count
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from datasets.audio.recordings import resample
from datasets.benchmark.manifest import Manifest, SplitCounts
from datasets.benchmark.shards import Clip, Shards
from datasets.corpora.corpus import Corpus, CorpusOptions, Plan, Unit
from datasets.corpora.inventory import Inventory, Rejection, SourceFile
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.options import Option
from datasets.utils.text import printable


class MixOptions(CorpusOptions):
    """Options of the `mix` corpus."""

    of: Annotated[tuple[str, ...], Option(metavar="DIR")]
    """a prepared benchmark (folder or URI); give it once for each, in the order of the chain"""
    sample_rate: int | None = Field(None, ge=4000, le=192000)
    """of the clips, in Hz (default: the lowest of all)"""
    clip_seconds: float | None = Field(None, ge=0.1, le=60)
    """length of a clip (default: the shortest of all)"""

    @field_validator("of")
    @classmethod
    def _absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(Location.of(place).address for place in value)  # absolute: workers run in other folders


@dataclass(frozen=True)
class _Part:
    """One of the benchmarks, and the label of its first class."""

    name: str
    manifest: Manifest
    first_label: int


class Mix(Corpus[MixOptions]):
    """Several benchmarks as one; a unit of work is a shard of one of them."""

    name = "mix"
    summary = "one benchmark out of several prepared ones, for chains that cross from one domain to another"
    options_type = MixOptions
    reads_folder = False

    def identity(self, options: MixOptions) -> dict[str, Any]:
        """The benchmarks by their content, not by where they lie."""
        parts = [[part.name, part.manifest.fingerprint] for part in _parts(options)]
        return {**options.model_dump(mode="json"), "of": parts}

    def benchmarks(self, options: MixOptions) -> tuple[str, ...]:
        """The parts."""
        return options.of

    def inventory(self, source: Path, options: MixOptions) -> Inventory:
        """The shards of all parts, as PART/shards/NNNNN.parquet; their digests are in the manifests."""
        files = [
            SourceFile(f"{number}/{entry.file}", entry.bytes, int(entry.sha256[:15], 16))
            for number, part in enumerate(_parts(options))
            for entry in part.manifest.shards
        ]
        return Inventory(tuple(sorted(files, key=lambda file: file.path)), (), 0)

    def plan(self, source: Path, inventory: Inventory, options: MixOptions) -> Plan:
        """One unit per shard; reads manifests only."""
        parts = _parts(options)
        rate = options.sample_rate or min(part.manifest.sample_rate for part in parts)
        seconds = options.clip_seconds or min(part.manifest.num_samples / part.manifest.sample_rate for part in parts)
        units = [
            Unit(
                f"{part.name} {shard}",
                (f"{number}/{entry.file}",),
                {
                    "part": number,
                    "name": part.name,
                    "fingerprint": part.manifest.fingerprint,
                    "shard": shard,
                    "first_label": part.first_label,
                    "rate": rate,
                    "num_samples": round(seconds * rate),
                },
            )
            for number, part in enumerate(parts)
            for shard, entry in enumerate(part.manifest.shards)
        ]
        warnings = [
            f"{part.name} is at {part.manifest.sample_rate} Hz: clips at {rate} Hz hold nothing above its half"
            for part in parts
            if part.manifest.sample_rate < rate
        ]
        return Plan(
            units=tuple(units),
            classes=tuple(f"{part.name}/{name}" for part in parts for name in part.manifest.class_names),
            sample_rate=rate,
            num_samples=round(seconds * rate),
            warnings=tuple(warnings),
            base_classes=parts[0].manifest.base_classes,
            files=len(inventory.files),
        )

    def cut(self, source: Path, unit: Unit, options: MixOptions) -> Iterator[Clip | Rejection]:
        """The clips of one shard, in the order of their ids; an id keeps its order inside of its class."""
        part, name = unit.details["part"], unit.details["name"]
        shards = _opened(options.of[part], unit.details["fingerprint"])
        table, rate = shards.table, unit.details["rate"]
        positions = shards.positions_by_shard()[unit.details["shard"]]
        for batch, audio in shards.batches(positions):
            for position, samples in zip(batch, audio, strict=True):
                label = int(table.labels[position])
                yield Clip(
                    clip_id=f"{part:02d}-{name}-{table.clip_ids[position]}",
                    split=str(table.splits[position]),
                    label=unit.details["first_label"] + label,
                    class_name=f"{name}/{table.class_names[label]}",
                    source=f"{name}/{shards.sources[position]}",
                    start=int(shards.starts[position]) * rate // shards.manifest.sample_rate,
                    samples=_of_length(
                        resample(samples, shards.manifest.sample_rate, rate), unit.details["num_samples"]
                    ),
                )

    def review(self, counts: Sequence[SplitCounts], classes: Sequence[str], options: MixOptions) -> tuple[str, ...]:
        """Every class has what it had in its own benchmark."""
        return ()


def _parts(options: MixOptions) -> list[_Part]:
    """The benchmarks with their labels; those of one name are told apart by a number.

    Raises:
        EarshotError: there are fewer than two, or one is no complete benchmark.
    """
    if len(options.of) < 2:
        raise EarshotError(f"--of: expected at least two benchmarks, found {len(options.of)}; give it once for each")
    manifests = [Manifest.load(place) for place in options.of]
    parts: list[_Part] = []
    first = 0
    for manifest in manifests:
        known, name = {part.name for part in parts}, printable(manifest.name)
        unused = next(one for one in chain([name], (f"{name}-{n}" for n in count(2))) if one not in known)
        parts.append(_Part(unused, manifest, first))
        first += len(manifest.classes)
    return parts


@lru_cache(maxsize=8)
def _opened(place: str, fingerprint: str) -> Shards:
    """A benchmark, opened once by each worker for all units: its table is read whole.

    Raises:
        EarshotError: it is no longer the benchmark that the mix was planned with.
    """
    shards = Shards(place)
    if shards.manifest.fingerprint != fingerprint:
        raise EarshotError(f"{shards.root}: expected the benchmark to stay as it is, found another; run prepare again")
    return shards


def _of_length(samples: np.ndarray, wanted: int) -> np.ndarray:
    """The first `wanted` samples, zeros where there are fewer."""
    return np.pad(samples[:wanted], (0, max(0, wanted - len(samples))))
