"""A mix: one benchmark built from several, such as speech, then instruments, then sound events.

    --of data/ls100 --of data/nsynth100 --of data/fsc89

    labels     0 .. 99            100 .. 199             200 .. 288
    classes    ls100/1069, ...    nsynth100/guitar...    fsc89/Chirp_and_tweet, ...

Classes keep the order of their benchmark, and benchmarks the order in which they are given, so a chain crosses from one
domain to the next (a seeded class order mixes them). The base classes are those of the first benchmark. Clips keep
their split. They are resampled to one rate, by default the lowest of all, so that an empty upper band does not reveal
the domain; and brought to one length, by default the shortest: longer clips are truncated, shorter ones are padded with
zeros at the end. The recordings are not needed: a mix is built from the shards of its parts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from datasets.audio.resampling import resample
from datasets.benchmark.clips import Clip
from datasets.benchmark.manifest import Manifest, SplitCounts
from datasets.corpora.corpus import Corpus, CorpusOptions, Plan, Unit
from datasets.corpora.inventory import Inventory, Rejection, SourceFile
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.options import Option
from datasets.utils.text import printable

if TYPE_CHECKING:
    from datasets.benchmark.shards import Shards


class MixOptions(CorpusOptions):
    """Options of the `mix` corpus."""

    of: Annotated[tuple[str, ...], Option(metavar="DIR")]
    """a prepared benchmark (folder or URI); repeat the option for each of them, in the order of the chain"""
    sample_rate: int | None = Field(None, ge=4000, le=192000)
    """of the clips, in Hz (default: the lowest of all)"""
    clip_seconds: float | None = Field(None, ge=0.1, le=60)
    """length of a clip (default: the shortest of all)"""

    @field_validator("of")
    @classmethod
    def _make_absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(Location.of(place).address for place in value)  # workers run in another working directory


@dataclass(frozen=True)
class _Part:
    """One of the benchmarks, and the label that its first class gets in the mix."""

    name: str
    manifest: Manifest
    first_label: int


class Mix(Corpus[MixOptions]):
    """Several benchmarks as one; a unit of work is a shard of one of them."""

    name = "mix"
    summary = "one benchmark from several prepared ones, for chains that cross from one domain to another"
    options_type = MixOptions
    reads_folder = False

    def identity(self, options: MixOptions) -> dict[str, Any]:
        """Identifies the benchmarks by content, not by address."""
        parts = [[part.name, part.manifest.fingerprint] for part in _parts(options)]
        return {**options.model_dump(mode="json"), "of": parts}

    def input_benchmarks(self, options: MixOptions) -> tuple[str, ...]:
        """The parts."""
        return options.of

    def inventory(self, source: Path, options: MixOptions) -> Inventory:
        """Lists the shards of all parts, as PART/shards/NNNNN.parquet, with their digests from the manifests."""
        files = [
            SourceFile(f"{number}/{entry.file}", entry.identity.bytes, int(entry.identity.sha256[:15], 16))
            for number, part in enumerate(_parts(options))
            for entry in part.manifest.shards
        ]
        return Inventory(tuple(sorted(files, key=lambda file: file.path)), (), 0)

    def plan(self, source: Path, inventory: Inventory, options: MixOptions) -> Plan:
        """Creates one unit per shard; reads only the manifests."""
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
            f"{part.name} is at {part.manifest.sample_rate} Hz: its clips at {rate} Hz contain no energy above "
            f"{part.manifest.sample_rate / 2:g} Hz"
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
        """Yields the clips of one shard in the order of their ids, which is the same within a class as before."""
        part, name = unit.details["part"], unit.details["name"]
        shards = _open_shards(options.of[part], unit.details["fingerprint"])
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
                    samples=_fit_length(
                        resample(samples, shards.manifest.sample_rate, rate), unit.details["num_samples"]
                    ),
                    group=None if shards.groups is None else f"{name}/{shards.groups[position]}",
                )

    def review(self, counts: Sequence[SplitCounts], classes: Sequence[str], options: MixOptions) -> tuple[str, ...]:
        """No warnings: every class has the same clips as in its own benchmark."""
        return ()


def _parts(options: MixOptions) -> list[_Part]:
    """The benchmarks with their labels; benchmarks with the same name get a number as suffix.

    Raises:
        EarshotError: there are fewer than two, or one is not a complete benchmark.
    """
    if len(options.of) < 2:
        raise EarshotError(
            f"--of: expected at least two benchmarks, found {len(options.of)}; repeat the option for each of them"
        )
    manifests = [Manifest.load(place) for place in options.of]
    parts: list[_Part] = []
    first = 0
    for manifest in manifests:
        known, name = {part.name for part in parts}, printable(manifest.name)
        candidates = chain([name], (f"{name}-{number}" for number in count(2)))
        unique = next(candidate for candidate in candidates if candidate not in known)
        parts.append(_Part(unique, manifest, first))
        first += len(manifest.classes)
    return parts


@lru_cache(maxsize=8)
def _open_shards(address: str, fingerprint: str) -> "Shards":
    """Opens a benchmark; cached, because this reads its whole table and a worker processes several units.

    Raises:
        EarshotError: it is no longer the benchmark that the mix was planned with.
    """
    from datasets.benchmark.shards import Shards  # imports pyarrow, which `earshot prepare --help` does not need

    shards = Shards(address)
    if shards.manifest.fingerprint != fingerprint:
        raise EarshotError(f"{shards.root}: the benchmark was changed while the mix was prepared; run prepare again")
    return shards


def _fit_length(samples: np.ndarray, num_samples: int) -> np.ndarray:
    """The first `num_samples` samples, padded with zeros if there are fewer."""
    return np.pad(samples[:num_samples], (0, max(0, num_samples - len(samples))))
