"""What earlier runs found: configurations that a search learns from without running them again.

A configuration of an earlier run is taken if it lies inside the search space (the same method, the same fixed settings,
the varied ones within their ranges) and if it has a finished chain for every triple of seeds of this sweep: its values
are the means over exactly those, from stored validation predictions, so they compare with the sweep's own. Methods of
which nothing varies are not searched, so nothing is taken for them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from orchestrator.results.objectives import Objective
from orchestrator.results.run import Run, has_finished
from search_spaces.loader import MethodSpace
from trainables.methods.registry import find_method
from trainables.records import SeedTriple, TrialRecord

ALIKE = ("benchmark", "protocol", "backbone", "frontend", "precision")
"""Keys of `what` in sweep.json that both sweeps must share for their values to compare."""


@dataclass(frozen=True)
class Known:
    """A configuration of an earlier run.

    Attributes:
        chosen: its varied settings.
        values: of each objective, the mean over the seeds of this sweep.
    """

    chosen: dict[str, Any]
    values: tuple[float, ...]


@dataclass(frozen=True)
class WarmStart:
    """What a search knows before its first question, by method."""

    known: dict[str, tuple[Known, ...]] = field(default_factory=dict)

    def of(self, method: str) -> tuple[Known, ...]:
        """The known configurations of a method, in the order in which the search hears of them."""
        return self.known.get(method, ())

    def described(self) -> list[dict[str, Any]]:
        """The same in JSON types: what is tried depends on it, so it belongs to what a run is."""
        return [
            {"method": method, "settings": one.chosen, "values": list(one.values)}
            for method, configurations in sorted(self.known.items())
            for one in configurations
        ]


def warm_start(
    runs: Sequence[Path],
    spaces: Sequence[MethodSpace],
    objectives: Sequence[Objective],
    seeds: Sequence[SeedTriple],
    what: dict[str, Any],
) -> WarmStart:
    """Reads earlier runs; of a configuration that several of them have, the first counts.

    Args:
        runs: their folders.
        spaces: of this sweep.
        objectives: of this sweep.
        seeds: of this sweep.
        what: what its results depend on, as it will be stored in sweep.json; `ALIKE` are compared.

    Raises:
        EarshotError: a folder is no run, is of another benchmark or protocol, or has no configuration that fits.
    """
    found: dict[str, list[Known]] = {space.method: [] for space in spaces}
    for path in runs:
        run = Run.load(path)
        _refuse_other(run, what)
        fits = False
        for space in spaces:
            for chosen, records in _inside(run, space):
                values = _values(run, records, objectives, seeds)
                if values is None:
                    continue
                fits = True
                if all(chosen != one.chosen for one in found[space.method]):
                    found[space.method].append(Known(chosen, values))
        if not fits:
            methods = ", ".join(space.method for space in spaces if space.varied) or "any method"
            raise EarshotError(
                f"--warm-start {path}: expected a configuration inside the search space of {methods} with finished "
                f"chains for the seeds {', '.join(map(str, seeds))}, found none among {len(run.configurations())}; "
                "leave it out, or give the space or the seeds of that run"
            )
    return WarmStart({method: tuple(known) for method, known in found.items() if known})


def find_run(name: str, runs: Path) -> Path:
    """The run folder that is called `name`: a path, or the name of one in `runs`.

    Raises:
        EarshotError: there is none.
    """
    for path in (Path(name), runs / name):
        if (path / "trials").is_dir():
            return path
    raise EarshotError(
        f"--warm-start {printable(name)}: expected the run folder of a sweep, or the name of one in {runs}, found no "
        "trials there; check the name"
    )


def _refuse_other(run: Run, what: dict[str, Any]) -> None:
    theirs = run.sweep.get("what")
    if not isinstance(theirs, dict):
        raise EarshotError(f"--warm-start {run.path}: expected the record of a sweep in sweep.json, found none there")
    for key in ALIKE:
        found, ours = (Path(str(one)).name if key == "backbone" else one for one in (theirs.get(key, ""), what[key]))
        if found != ours:
            raise EarshotError(
                f"--warm-start {run.path}: {key}: expected that of this sweep, found another "
                f"({printable(str(found))[:120]}), so its values would not compare; leave it out"
            )


def _inside(run: Run, space: MethodSpace) -> list[tuple[dict[str, Any], tuple[TrialRecord, ...]]]:
    """The run's configurations that lie inside a space, with their trials, by name."""
    found = []
    model = find_method(space.method).Settings
    for name in run.configurations(space.method) if space.varied else ():
        records = run.of(name)
        settings = records[0].settings
        if settings.keys() == model.model_fields.keys() and (chosen := space.within(settings)) is not None:
            ours = model.model_validate({**space.fixed, **chosen}).model_dump(mode="json")
            if ours == settings:
                found.append((chosen, records))
    return found


def _values(
    run: Run, records: Sequence[TrialRecord], objectives: Sequence[Objective], seeds: Sequence[SeedTriple]
) -> tuple[float, ...] | None:
    """The mean of each objective over the seeds; None where a seed, or a value, is missing."""
    by_seeds = {record.seeds: record.trial for record in records if has_finished(record)}
    if not by_seeds.keys() >= set(seeds):
        return None
    chains = run.chains[(run.chains["split"] == "val") & (run.chains["head"] == records[0].default_head)]
    rows = chains.set_index("trial").reindex([by_seeds[triple] for triple in seeds])
    values = tuple(math.fsum(rows[objective.column]) / len(seeds) for objective in objectives)
    return None if any(map(math.isnan, values)) else values
