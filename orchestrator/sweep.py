"""Run a sweep: search space x seeds, one chain per trial.

    python -m orchestrator.sweep                                        the demo
    python -m orchestrator.sweep --benchmark data/ls100 --method ede --protocol ffcac-25 --seeds 5 --trials 16
    python -m orchestrator.sweep --config sweep.yaml

The same command again finishes an interrupted sweep: finished sessions are found, not computed.
"""

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from datasets.errors import EarshotError, told
from datasets.location import Location
from datasets.manifest import FILE_NAME
from datasets.protocol import make_sessions
from datasets.shards import Shards
from orchestrator import cluster
from orchestrator.prepare import prepare
from orchestrator.run_folder import RunFolder
from orchestrator.settings import SweepConfig, parse
from search_spaces.loader import MethodSpace, load_space, shipped
from trainables.backbone import RANDOM, load_backbone
from trainables.chain import ChainConfig
from trainables.frontend import FrontEnd
from trainables.learner import find_method, refuse_misfit
from trainables.stages import address_of

RETRIES = 3  # of a trial whose worker process dies
DEFAULT_TRIALS = 8
NARROWEST = 110  # columns of the table at the end, where the output is no terminal


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended.

    Attributes:
        folder: of the run.
        trials: number of trials.
        failed: reasons by trial.
        computed: sessions that this run computed.
        found: sessions that were there already.
    """

    folder: Path
    trials: int
    failed: dict[str, str]
    computed: int
    found: int


def sweep(config: SweepConfig, console: Console) -> Outcome:
    """Runs a sweep to its end; the report is another's (`orchestrator.report`).

    Raises:
        EarshotError: anything that is wrong with the configuration, before any trial starts.
    """
    spaces = _spaces(config)
    benchmark = _benchmark(config)
    to_be_made = (benchmark / FILE_NAME).size() is None
    if not to_be_made:  # what is wrong is told before Ray starts
        sessions = _sessions(config, benchmark, spaces)
    config.runs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with console.status("starting Ray"):
            stack.enter_context(cluster.start_ray(config.address))
        if to_be_made:
            with console.status("preparing the demo benchmark (once)"):
                manifest = prepare("demo", None, benchmark)
            console.print(f"prepared the demo benchmark: {manifest.clips.total} clips in {benchmark}")
            sessions = _sessions(config, benchmark, spaces)
        return _run(config, spaces, benchmark, sessions, console)


def _run(
    config: SweepConfig, spaces: tuple[MethodSpace, ...], benchmark: Location, sessions: int, console: Console
) -> Outcome:
    from ray import tune

    from orchestrator.progress import SweepProgress
    from orchestrator.search import Job, MethodSearch, SeededSearch
    from trainables.trial import OBJECTIVE, ChainTrial

    at_once = _trials_at_once(config)
    # With a searcher, Tune starts one worker at a time, and importing torch takes each of them seconds.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(at_once)
    trials = config.trials or (None if config.search == "grid" else DEFAULT_TRIALS)
    searches = [MethodSearch(space, config.search, trials, config.search_seed) for space in spaces]
    what = _what(config, spaces, benchmark)
    folder = RunFolder((config.runs / (config.name or _name(config, spaces, benchmark, what))).resolve())
    names: list[str] = []

    def chain(job: Job) -> dict[str, Any]:
        described = ChainConfig(
            benchmark=benchmark.address,
            method=job.method,
            settings=job.settings,
            varied=job.varied,
            protocol=config.protocol,
            seeds=job.seeds,
            backbone=str(Path(config.backbone).resolve()) if Path(config.backbone).exists() else config.backbone,
            frontend=config.frontend,
            device=config.chosen_device,
            precision=config.precision,
            threads=config.cpus_per_trial,
            store=(config.runs / "store").resolve(),
        )
        names.append(described.trial)
        return {
            "name": described.trial,
            "chain": described.model_dump(mode="json"),
            "folder": str(folder.trial(described.trial)),
        }

    with folder.held(what, config.model_dump(mode="json")):
        search = SeededSearch(searches, list(config.seeds), chain, OBJECTIVE)
        with SweepProgress(console, search.total, sessions) as progress:
            tuner = tune.Tuner(
                tune.with_resources(ChainTrial, {"cpu": config.cpus_per_trial, "gpu": config.gpus_per_trial}),
                tune_config=tune.TuneConfig(
                    search_alg=search,
                    num_samples=search.total,
                    max_concurrent_trials=at_once,
                    reuse_actors=True,
                    trial_dirname_creator=lambda trial: str(trial.config["name"]),
                ),
                run_config=tune.RunConfig(
                    name="tune",
                    storage_path=str(folder.path),
                    verbose=0,
                    callbacks=[progress],
                    failure_config=tune.FailureConfig(max_failures=RETRIES),
                ),
            )
            try:
                results = tuner.fit()
            except Exception as error:  # Ray raises where its memory monitor ends a worker, whatever the retries
                raise EarshotError(
                    f"Ray ended the sweep ({' '.join(str(error).split())[:300]}); the same command again goes on from "
                    "the finished sessions"
                ) from error
        if not search.ended:  # Tune swallows Ctrl-C and returns what there is
            raise KeyboardInterrupt
        failed = {}
        for result in (results[index] for index in range(len(results))):
            name, reported = (result.config or {})["name"], result.metrics or {}
            if result.error is not None:
                failed[name] = f"its worker process died {RETRIES + 1} times"
            elif reported.get("failed"):
                failed[name] = reported["failed"]
        computed, found = folder.close(names, failed)
        return Outcome(folder.path, len(names), failed, computed, found)


def _what(config: SweepConfig, spaces: tuple[MethodSpace, ...], benchmark: Location) -> dict[str, Any]:
    """What the results of the sweep depend on, in JSON types."""
    described = [
        {"method": s.method, "fixed": s.fixed, "varied": {k: str(d) for k, d in sorted(s.varied.items())}}
        for s in spaces
    ]
    return {**config.what(), "benchmark": Shards(benchmark).manifest.fingerprint, "spaces": described}


def _name(config: SweepConfig, spaces: tuple[MethodSpace, ...], benchmark: Location, what: dict[str, Any]) -> str:
    """The run's name, made from what its results depend on: the same sweep again is the same run."""
    methods = "+".join(space.method for space in spaces[:3]) + ("+" if len(spaces) > 3 else "")
    return f"{benchmark.name}-{methods}-{config.protocol.name}-{address_of(what)[:8]}"


def _spaces(config: SweepConfig) -> tuple[MethodSpace, ...]:
    """The search spaces of the sweep: the one given, the methods' own, or the demo's."""
    for method in config.method:
        find_method(method)
    if config.space is not None:
        path = config.space
        if not path.exists() and str(path) in shipped():
            path = shipped()[str(path)]
        spaces = load_space(path)
        if config.method:
            named = {space.method for space in spaces}
            missing = [method for method in config.method if method not in named]
            if missing:
                raise EarshotError(f"{path}: methods: has no '{missing[0]}', which --method asks for")
            spaces = tuple(space for space in spaces if space.method in config.method)
        return spaces
    if config.method:
        return tuple(
            space
            for method in config.method
            for space in (load_space(shipped()[method]) if method in shipped() else (MethodSpace(method),))
        )
    return load_space(shipped()["demo"])


def _benchmark(config: SweepConfig) -> Location:
    """The folder of the benchmark; the demo's may have to be filled yet."""
    place = Location.of(config.benchmark)
    if (place / FILE_NAME).size() is not None:
        return place
    if place.local is None:
        raise EarshotError(f"benchmark {place}: no {FILE_NAME} there; make it with orchestrator.prepare --out {place}")
    named = config.data / config.benchmark
    if named.resolve().is_relative_to(config.data.resolve()) and (
        (named / FILE_NAME).exists() or config.benchmark == "demo"
    ):
        return Location.of(named)
    raise EarshotError(
        f"benchmark '{config.benchmark}': no {FILE_NAME} in {place} nor in {named}; "
        f"make it with: python -m orchestrator.prepare CORPUS --source DIR --out {named}"
    )


def _sessions(config: SweepConfig, benchmark: Location, spaces: tuple[MethodSpace, ...]) -> int:
    """The number of sessions of a chain; finds what is wrong with the shards, the protocol or the backbone."""
    shards = Shards(benchmark)
    shards.verify()
    sessions = [
        make_sessions(
            config.protocol,
            shards.table,
            order_seed=seeds.order,
            support_seed=seeds.support,
            base_classes=shards.manifest.base_classes,
        )
        for seeds in config.seeds
    ]
    for space in spaces:
        method = find_method(space.method)
        for settings in space.corners():
            refuse_misfit(method, method.Settings.model_validate(settings), config.protocol, sessions[0])
    if any(find_method(space.method).backbone for space in spaces):
        frontend = FrontEnd(config.frontend, shards.manifest.sample_rate, shards.manifest.num_samples)
        load_backbone(config.backbone, frontend.frames)
    return len(sessions[0])


def _trials_at_once(config: SweepConfig) -> int:
    """How many trials the cluster has room for; Ray would wait for ever for what no node has."""
    import ray

    there = ray.cluster_resources()
    room = []
    for kind, wanted in (("CPU", config.cpus_per_trial), ("GPU", config.gpus_per_trial)):
        if wanted > there.get(kind, 0):
            raise EarshotError(
                f"a trial asks for {wanted:g} {kind}, the cluster has {there.get(kind, 0):g} in all; "
                f"lower --{kind.lower()}s-per-trial or join a larger cluster with --address"
            )
        if wanted:
            room.append(int(there[kind] / wanted))
    return min([*room, config.workers or min(room)])


def main(arguments: list[str] | None = None) -> int:
    """`python -m orchestrator.sweep`: 0 all trials finished, 1 some failed, 2 bad input, 130 interrupted."""
    from orchestrator.report import summary_table, write_report
    from orchestrator.results import Run

    console = Console()
    if not console.is_terminal:
        console = Console(width=NARROWEST)
    try:
        config = parse(arguments, __doc__)
        outcome = sweep(config, console)
        if len(outcome.failed) == outcome.trials and not list(outcome.folder.glob("trials/*/trial.json")):
            raise EarshotError(f"all {outcome.trials} trials failed: {next(iter(outcome.failed.values()))}")
        paths = write_report(outcome.folder)
        console.print(summary_table(Run.load(outcome.folder), console.width))
    except (EarshotError, OSError) as error:
        print(told(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command again goes on from the finished sessions", file=sys.stderr)
        return 130
    console.print(
        f"{outcome.trials} trials, {outcome.computed} sessions computed, {outcome.found} found"
        + (f", {len(outcome.failed)} trials failed" if outcome.failed else "")
    )
    if config.backbone in RANDOM and any(find_method(space.method).backbone for space in _spaces(config)):
        console.print(
            f"backbone {config.backbone} has random weights: good for trying things out, not for results; "
            "give a pretrained one with --backbone",
            soft_wrap=True,
        )
    report = Path(str(paths))
    inside = report.is_relative_to(Path.cwd())
    shown = report.relative_to(Path.cwd()) if inside else report
    console.print(f"report: {escape(str(shown))}", soft_wrap=True)
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
