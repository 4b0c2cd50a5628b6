"""Annotations -> soundscapes, in parallel on Ray: for `python -m orchestrator.prepare fsd-mix-sed`.

One task per soundscape, as one takes 0.15 s and more: progress is exact, and a file that ends its worker (libsox and
libsndfile are native code) is told apart from its neighbours. Soundscapes that are there and whole are kept, so that a
run that died in any way is resumed by the same call; they are not compared with annotations and sources, so other ones
need another folder.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.audio.recordings import RejectedError
from datasets.corpora.inventory import Rejection
from datasets.corpora.soundscapes import SUFFIX, find_annotations, is_whole, render_soundscape, soundscape_path
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.text import printable
from orchestrator.cluster.map_tasks import map_tasks
from orchestrator.cluster.session import start_ray
from orchestrator.preparation.output_folder import REJECTED, Destination, held

LOCK = ".render.lock"
RETRIES = 3  # of a soundscape whose worker died
AHEAD = 4  # tasks per core that Ray has at a time: enough to keep it busy, few enough for its memory

Listener = Callable[[int, int], None]
"""Hears how many annotations are done, and how many there are."""


@dataclass(frozen=True)
class RenderOutcome:
    """What a run did.

    Attributes:
        rendered: soundscapes that were made.
        reused: soundscapes that were already there.
        rejected: annotations that give none, by path; also in OUT/rejected.csv.
        ignored: files of the folder of annotations that are none.
        seconds: that it took.
    """

    rendered: int
    reused: int
    rejected: tuple[Rejection, ...]
    ignored: int
    seconds: float


@dataclass(frozen=True)
class _Job:
    """The folders; travels to the workers."""

    annotations: Path
    sources: Path
    out: Path


def render(
    annotations: Path,
    sources: Path,
    out: Path,
    workers: int | None = None,
    max_rejected: float = 0.01,
    listener: Listener | None = None,
) -> RenderOutcome:
    """Renders all soundscapes that are not there yet; see `datasets.corpora.soundscapes` for the folders.

    Args:
        annotations: folder of the JAMS files.
        sources: folder of the source material.
        out: folder of the soundscapes, with the subfolders of `annotations`.
        workers: processes at a time, where Ray is not up already (default: one per core).
        max_rejected: fraction of the annotations that may be impossible to render.
        listener: hears the progress, in this thread.

    Raises:
        EarshotError: a folder does not fit, `scaper` is not installed, or too many annotations cannot be rendered: then
            the run stops at once. What is rendered is kept.
    """
    started = time.monotonic()
    job = _Job(*(Path(os.path.realpath(folder)) for folder in (annotations, sources, out)))
    for flag, folder in (("--annotations", job.annotations), ("--sources", job.sources)):
        if not folder.is_dir():
            raise EarshotError(f"{flag} {printable(str(folder))}: expected a folder, found none; check the path")
    inventory = find_annotations(job.annotations)
    total = len(inventory.files) + len(inventory.rejected)
    if not total:
        raise EarshotError(
            f"--annotations {printable(str(job.annotations))}: expected *{SUFFIX} in it or in its subfolders, found "
            "none; give the unpacked FSD_MIX_SED.annotations"
        )
    rejected = list(inventory.rejected)
    _refuse_foreign(job.out)
    with held(job.out, LOCK):
        for path in job.out.rglob(".*.aside"):  # of a run that was killed
            path.unlink(missing_ok=True)
        todo = [file.path for file in inventory.files if not is_whole(soundscape_path(job.out, file.path))]
        done = total - len(todo)

        def hear(file: str, reason: str) -> None:
            nonlocal done
            done += 1
            if reason:
                rejected.append(Rejection(printable(file), reason))
                _check_rejected(job.out, rejected, total, max_rejected)
            if listener:
                listener(done, total)

        _check_rejected(job.out, rejected, total, max_rejected)
        if todo:
            _render_all(job, todo, workers, hear)
        rejected.sort(key=lambda rejection: rejection.file)
        Destination(Location.of(job.out)).write_rejected(rejected)
    refused = len(rejected) - len(inventory.rejected)
    return RenderOutcome(
        rendered=len(todo) - refused,
        reused=len(inventory.files) - len(todo),
        rejected=tuple(rejected),
        ignored=inventory.ignored,
        seconds=time.monotonic() - started,
    )


def _refuse_foreign(out: Path) -> None:
    if out.is_dir() and not (out / LOCK).exists() and any(out.iterdir()):
        raise EarshotError(
            f"{printable(str(out))}: expected an empty folder or soundscapes of an earlier run, found other files; "
            "choose another --out"
        )


def _check_rejected(out: Path, rejected: Sequence[Rejection], total: int, max_rejected: float) -> None:
    if len(rejected) <= max_rejected * total:
        return
    Destination(Location.of(out)).write_rejected(rejected)
    first = rejected[0]
    raise EarshotError(
        f"{len(rejected)} of {total} annotations cannot be rendered, more than --max-rejected {max_rejected:g} allows "
        f"({first.file}: {first.reason}{'; ...' if len(rejected) > 1 else ''}); see {printable(str(out / REJECTED))}, "
        "mend them or raise the limit: what is done is kept"
    )


def _render_all(job: _Job, todo: Sequence[str], workers: int | None, hear: Callable[[str, str], None]) -> None:
    """Renders in parallel; `hear` gets each file, and the reason if it was rejected, as they end."""
    advice = "then run the same command to resume"
    with start_ray(cpus=workers):
        logging.getLogger("ray").setLevel(logging.ERROR)
        for task in map_tasks(_render_one, todo, job, advice=advice, per_cpu=AHEAD, num_cpus=1, max_retries=RETRIES):
            if task.worker_died:
                reason, failure = f"rendering it ended its worker {RETRIES + 1} times", ""
            else:
                reason, failure = task.result
            if failure:
                raise EarshotError(f"{failure}; {advice}")
            hear(task.item, reason)


def _render_one(job: _Job, file: str) -> tuple[str, str]:
    """Runs in a worker: why the annotation is rejected, and why the run cannot go on; empty where all is well."""
    try:
        render_soundscape(job.annotations, file, job.sources, job.out)
    except RejectedError as error:
        return printable(str(error)), ""
    except EarshotError as error:
        return "", str(error)
    except OSError as error:
        return "", printable(f"{error.filename or file}: {error.strerror or error}; mend that")
    return "", ""
