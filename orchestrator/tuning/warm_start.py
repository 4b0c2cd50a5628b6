"""Warm start: results of earlier runs that a search learns from without running their configurations again.

A configuration of an earlier run is used if it lies inside the search space (the same method and backbone, the same
fixed settings, the varied ones within their ranges) and has a finished chain for every triple of seeds of this sweep.
Its values are the means over exactly these chains, from stored validation predictions, so they are comparable with
those of the sweep.
Methods with nothing to vary are not searched and use no earlier results.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.benchmark.manifest import Manifest
from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from orchestrator.results.objectives import Objective
from orchestrator.results.run import Run, has_finished
from orchestrator.results.run_folder import RunFolder
from search_spaces.loader import MethodSpace
from trainables.methods.outside import digest_of
from trainables.records import SeedTriple, TrialRecord

COMPARED_KEYS = ("benchmark", "protocol", "frontend", "precision")
"""Keys of `what` in sweep.json that must be equal in both sweeps: else their values are not comparable."""

Pair = tuple[str, str]
"""A method, and the backbone that it runs on with its options; empty where it uses none."""


@dataclass(frozen=True)
class EarlierConfiguration:
    """A configuration with results in an earlier run.

    Attributes:
        chosen: its varied settings.
        values: of each objective, the mean over the seeds of this sweep.
    """

    chosen: dict[str, Any]
    values: tuple[float, ...]


@dataclass(frozen=True)
class WarmStart:
    """The known configurations that a search starts from, by method and backbone."""

    known: dict[Pair, tuple[EarlierConfiguration, ...]] = field(default_factory=dict)

    def of(self, method: str, backbone: str) -> tuple[EarlierConfiguration, ...]:
        """The known configurations of a method on a backbone, in the order in which they are given to the search."""
        return self.known.get((method, backbone), ())

    def described(self) -> list[dict[str, Any]]:
        """The same in JSON types, for `what` in sweep.json: the configurations that are tried depend on it."""
        several = len({backbone for _, backbone in self.known if backbone}) > 1
        return [
            {"method": method, "settings": one.chosen, "values": list(one.values)}
            | ({"backbone": backbone} if several else {})
            for (method, backbone), configurations in sorted(self.known.items())
            for one in configurations
        ]


def warm_start(
    runs: Sequence[Path],
    pairs: Sequence[tuple[MethodSpace, str]],
    objectives: Sequence[Objective],
    seeds: Sequence[SeedTriple],
    what: dict[str, Any],
    benchmark: Manifest | None = None,
) -> WarmStart:
    """Reads earlier runs. If several have the same configuration, the first is used.

    Args:
        runs: their folders.
        pairs: search spaces of this sweep, each with a backbone as `Run.backbones` names it.
        objectives: of this sweep.
        seeds: of this sweep.
        what: what the results of this sweep depend on, as in sweep.json; `COMPARED_KEYS` are compared.
        benchmark: of this sweep. A run on a benchmark with the same clips is accepted, wherever it was prepared.

    Raises:
        EarshotError: a folder is not a run, has another benchmark or protocol, or has no suitable configuration.
    """
    known: dict[Pair, list[EarlierConfiguration]] = {(space.method, backbone): [] for space, backbone in pairs}
    for path in runs:
        run = Run.load(path)
        _check_comparable(run, what, {backbone for _, backbone in pairs}, benchmark)
        suitable = False
        for space, backbone in pairs:
            pair = space.method, backbone
            for chosen, records in _configurations_inside(run, space, backbone):
                values = _values(run, records, objectives, seeds)
                if values is None:
                    continue
                suitable = True
                if all(chosen != earlier.chosen for earlier in known[pair]):
                    known[pair].append(EarlierConfiguration(chosen, values))
        if not suitable:
            methods = ", ".join(dict.fromkeys(space.method for space, _ in pairs if space.varied)) or "any method"
            raise EarshotError(
                f"--warm-start {path}: expected a configuration inside the search space of {methods} with finished "
                f"chains for the seeds {', '.join(map(str, seeds))}, found none among {len(run.configurations())}; "
                "leave it out, or give the space or the seeds of that run"
            )
    return WarmStart({pair: tuple(configurations) for pair, configurations in known.items() if configurations})


def find_earlier_run(name: str, runs: Path) -> Path:
    """The folder of a run that `--warm-start` names: a path, or a name in `runs`.

    Raises:
        EarshotError: there is no such run.
    """
    try:
        return RunFolder.find(name, runs, exact=True).path
    except EarshotError as error:
        raise EarshotError(f"--warm-start {error}") from None


def _check_comparable(run: Run, what: dict[str, Any], backbones: Collection[str], benchmark: Manifest | None) -> None:
    earlier = run.sweep.get("what")
    if not isinstance(earlier, dict):
        raise EarshotError(f"--warm-start {run.path}: expected the record of a sweep in sweep.json, found none there")
    for key in COMPARED_KEYS:
        found, expected = earlier.get(key, ""), what.get(key, "")
        if found != expected and not (key == "benchmark" and benchmark and _has_clips(run, benchmark)):
            raise EarshotError(
                f"--warm-start {run.path}: {key}: expected that of this sweep, found another "
                f"({printable(str(found))[:120]}), so its values are not comparable; leave it out"
            )
    of_run = set(run.backbones.values())
    if not of_run & set(backbones):
        raise EarshotError(
            f"--warm-start {run.path}: backbone: expected that of this sweep, found another "
            f"({printable(', '.join(sorted(of_run)))[:120]}), so its values are not comparable; leave it out"
        )


def _has_clips(run: Run, benchmark: Manifest) -> bool:
    """Whether the one benchmark of a run has the clips of another; records of earlier versions cannot say."""
    return any(record.has_benchmark(benchmark) for record in run.trials.values())


def _configurations_inside(
    run: Run, space: MethodSpace, backbone: str
) -> list[tuple[dict[str, Any], tuple[TrialRecord, ...]]]:
    """The configurations of a run on a backbone that lie inside a space, as varied settings and trials, by name."""
    inside = []
    model = space.learner.Settings
    code = digest_of(space.code) if space.code else ""
    records_of_code = [r for r in run.trials.values() if (r.method_code.sha256 if r.method_code else "") == code]
    names = {record.configuration for record in records_of_code if record.method == space.method}
    for name in sorted(names) if space.varied else ():
        records = run.of(name)
        if run.backbones[records[0].trial] != backbone:
            continue
        settings = records[0].settings
        if settings.keys() == model.model_fields.keys() and (chosen := space.within(settings)) is not None:
            expected = model.model_validate({**space.fixed, **chosen}).model_dump(mode="json")
            if expected == settings:
                inside.append((chosen, records))
    return inside


def _values(
    run: Run, records: Sequence[TrialRecord], objectives: Sequence[Objective], seeds: Sequence[SeedTriple]
) -> tuple[float, ...] | None:
    """The mean of each objective over the seeds; None if a seed or a value is missing."""
    by_seeds = {record.seeds: record.trial for record in records if has_finished(record)}
    if not by_seeds.keys() >= set(seeds):
        return None
    chains = run.chains[(run.chains["split"] == "val") & (run.chains["head"] == records[0].default_head)]
    rows = chains.set_index("trial").reindex([by_seeds[triple] for triple in seeds])
    values = tuple(math.fsum(rows[objective.column]) / len(seeds) for objective in objectives)
    return None if any(map(math.isnan, values)) else values
