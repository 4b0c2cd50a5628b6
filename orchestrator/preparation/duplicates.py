"""Leaves out clips with the same audio as another clip: the option `drop_duplicates` of `prepare`.

Which copy is kept depends on the clips alone: train before val before test, then the first by clip id. Shards carry the
digests of all their clips, also of those that were left out, so a run that was interrupted is resumed from the shards.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from datasets.benchmark.manifest import SPLITS
from datasets.corpora.inventory import Rejection
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.text import one_line, printable
from orchestrator.preparation.units import ClipContent, FinishedUnit, rewrite_without, shard_name

THREADS = 4


def find_duplicates(units: Sequence[FinishedUnit]) -> list[dict[str, Rejection]]:
    """For each unit, the clips to leave out by clip id, with their recording and the reason."""
    kept: dict[str, ClipContent] = {}
    for unit in units:
        for clip in unit.contents:
            other = kept.get(clip.digest)
            if other is None or _rank(clip) < _rank(other):
                kept[clip.digest] = clip
    return [
        {
            clip.clip_id: _duplicate(clip, kept[clip.digest])
            for clip in unit.contents
            if clip.clip_id != kept[clip.digest].clip_id
        }
        for unit in units
    ]


def outdated(units: Sequence[FinishedUnit]) -> list[int]:
    """Units that lack other clips than are duplicates now, since other recordings changed: they must be cut again."""
    wanted = find_duplicates(units)
    return [
        number
        for number, unit in enumerate(units)
        if unit.duplicates and unit.duplicates != tuple(wanted[number].values())
    ]


def drop_duplicates(
    out: Location, units: Sequence[FinishedUnit], sample_rate: int, class_names: Sequence[str] = ()
) -> list[FinishedUnit]:
    """Writes the shards with duplicates again, without them.

    Args:
        out: folder of the benchmark.
        units: of the shards, in their order; none is outdated.
        sample_rate: of the clips, in Hz.
        class_names: of the benchmark, by label.

    Raises:
        EarshotError: a shard cannot be read or written.
    """
    wanted = find_duplicates(units)

    def finish(number: int) -> FinishedUnit:
        unit = units[number]
        if unit.duplicates == tuple(wanted[number].values()):
            return unit
        place = out / shard_name(number)
        try:
            return rewrite_without(place, unit, wanted[number], sample_rate, class_names)
        except (OSError, ValueError) as error:
            raise EarshotError(
                f"{place}: duplicates cannot be dropped ({one_line(error)}); run the same command to resume"
            ) from None

    with ThreadPoolExecutor(THREADS) as pool:  # encoding FLAC releases the lock of the interpreter
        return list(pool.map(finish, range(len(units))))


def _rank(clip: ClipContent) -> tuple[int, str]:
    return SPLITS.index(clip.split), clip.clip_id


def _duplicate(clip: ClipContent, kept: ClipContent) -> Rejection:
    reason = f"clip {clip.clip_id} was dropped: the same audio as {kept.clip_id} of {kept.source} in {kept.split}"
    return Rejection(printable(clip.source), printable(reason))
