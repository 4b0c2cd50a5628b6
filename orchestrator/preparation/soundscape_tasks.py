"""Renders soundscapes from annotations, in parallel on Ray: for `earshot prepare fsd-mix-sed`.

There is one task per soundscape, as each takes at least 0.15 s: progress is exact, and a file that crashes its worker
(libsox and libsndfile are native code) is identified. Complete soundscapes are kept, so the same call resumes a run
that was interrupted or killed. They are not compared with annotations and sources: use another folder for different
ones.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from datasets.audio.recordings import RejectedError
from datasets.corpora.inventory import Inventory, Rejection
from datasets.corpora.soundscapes import SUFFIX, find_annotations, is_complete, render_soundscape, soundscape_path
from datasets.utils.errors import EarshotError
from datasets.utils.files import TEMPORARY_SUFFIX
from datasets.utils.location import Location
from datasets.utils.text import printable
from orchestrator.cluster.map_tasks import map_tasks
from orchestrator.cluster.session import start_ray
from orchestrator.preparation.output_folder import check_contents, check_rejected, lock_folder, write_rejected

LOCK = ".render.lock"
RETRIES = 3  # of a soundscape whose worker crashed
AHEAD = 4  # submitted tasks per core: enough to keep Ray busy, few enough to bound its memory

Listener = Callable[[int, int], None]
"""Called with the number of finished annotations and their total number."""


@dataclass(frozen=True)
class RenderOutcome:
    """Result of `render`.

    Attributes:
        rendered: number of soundscapes that were rendered.
        cached: number of soundscapes that already existed.
        rejected: annotations that cannot be rendered, by path; also in OUT/rejected.csv.
        ignored: number of other files in the folder of annotations.
        seconds: duration of the run.
    """

    rendered: int
    cached: int
    rejected: tuple[Rejection, ...]
    ignored: int
    seconds: float


@dataclass(frozen=True)
class _Job:
    """The folders; sent to the workers."""

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
    """Renders all soundscapes that do not exist yet; see `datasets.corpora.soundscapes` for the folders.

    Args:
        annotations: folder of the JAMS files.
        sources: folder of the source material.
        out: folder of the soundscapes, with the subfolders of `annotations`.
        workers: number of parallel processes if Ray is not running yet (default: one per core).
        max_rejected: maximum fraction of the annotations that cannot be rendered.
        listener: called with the progress, in this thread.

    Raises:
        EarshotError: a folder is invalid, `scaper` is not installed, or too many annotations cannot be rendered, in
            which case the run stops immediately. Finished soundscapes are kept.
    """
    started = time.monotonic()
    job = _Job(*(Path(os.path.realpath(folder)) for folder in (annotations, sources, out)))
    inventory = _inventory(job)
    total = len(inventory.files) + len(inventory.rejected)
    rejected = list(inventory.rejected)
    root = Location.of(job.out)
    check_contents(root, {LOCK}, "soundscapes of an earlier run")
    with lock_folder(job.out, LOCK):
        for path in job.out.rglob(f".*{TEMPORARY_SUFFIX}"):  # left by a killed run
            path.unlink(missing_ok=True)
        todo = [file.path for file in inventory.files if not is_complete(soundscape_path(job.out, file.path))]
        done = total - len(todo)
        check_limit = partial(check_rejected, root, rejected, total, max_rejected, "annotations cannot be rendered")
        check_limit()

        def finished(file: str, reason: str) -> None:
            nonlocal done
            done += 1
            if reason:
                rejected.append(Rejection(printable(file), reason))
                check_limit()
            if listener:
                listener(done, total)

        if todo:
            _render_all(job, todo, workers, finished)
        rejected.sort(key=lambda rejection: rejection.file)
        write_rejected(root, rejected)
    failed = len(rejected) - len(inventory.rejected)
    return RenderOutcome(
        rendered=len(todo) - failed,
        cached=len(inventory.files) - len(todo),
        rejected=tuple(rejected),
        ignored=inventory.ignored,
        seconds=time.monotonic() - started,
    )


def _inventory(job: _Job) -> Inventory:
    """The annotations, after a check of the folders."""
    for flag, folder in (("--annotations", job.annotations), ("--sources", job.sources)):
        if not folder.is_dir():
            raise EarshotError(f"{flag} {printable(str(folder))}: expected a folder, found none; check the path")
    inventory = find_annotations(job.annotations)
    if not inventory.files and not inventory.rejected:
        raise EarshotError(
            f"--annotations {printable(str(job.annotations))}: expected *{SUFFIX} in it or in its subfolders, found "
            "none; give the unpacked FSD_MIX_SED.annotations"
        )
    return inventory


def _render_all(job: _Job, todo: Sequence[str], workers: int | None, on_finished: Callable[[str, str], None]) -> None:
    """Renders in parallel; `on_finished` receives each file when it ends, and the reason if it was rejected."""
    advice = "then run the same command to resume"
    with start_ray(cpus=workers):
        logging.getLogger("ray").setLevel(logging.ERROR)
        options = {"num_cpus": 1, "max_retries": RETRIES}
        for task in map_tasks(
            _render_one, todo, job, advice=advice, name=lambda file: f"render {file}", per_cpu=AHEAD, **options
        ):
            if task.worker_died:
                reason, failure = f"rendering it ended its worker {RETRIES + 1} times", ""
            else:
                reason, failure = task.result
            if failure:
                raise EarshotError(f"{failure}; {advice}")
            on_finished(task.item, reason)


def _render_one(job: _Job, file: str) -> tuple[str, str]:
    """Runs in a worker: returns the reason for rejecting the annotation, and for stopping the run; normally both ''."""
    try:
        render_soundscape(job.annotations, file, job.sources, job.out)
    except RejectedError as error:
        return printable(str(error)), ""
    except EarshotError as error:
        return "", str(error)
    except OSError as error:
        return "", printable(f"{error.filename or file}: {error.strerror or error}; fix this")
    return "", ""
