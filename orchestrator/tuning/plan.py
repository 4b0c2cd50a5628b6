"""What a sweep will do, checked before anything runs: search spaces, benchmark, sessions, and where results go."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.benchmark.manifest import FILE_NAME
from datasets.benchmark.protocol import Session, make_sessions
from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.suggestion import suggestion
from orchestrator.results.objectives import OBJECTIVES
from orchestrator.results.run_folder import RunFolder
from orchestrator.tuning.config import SweepConfig
from orchestrator.tuning.search import MethodSearch
from orchestrator.tuning.warm_start import WarmStart, find_run, warm_start
from search_spaces.loader import MethodSpace, load_space, shipped
from trainables.chain import ChainConfig
from trainables.methods.registry import check_protocol, find_method
from trainables.networks.backbone import load_backbone
from trainables.networks.frontend import FrontEnd
from trainables.records import SeedTriple
from trainables.store.layout import address_of

DEFAULT_TRIALS = 8  # configurations of a method
SPACE = "space.yaml"  # in a run folder: the search space that it was started with


@dataclass(frozen=True)
class Plan:
    """A sweep whose benchmark is there.

    Attributes:
        config: with absolute places.
        spaces: one per method.
        benchmark: its place.
        chains: the sessions of a chain, by seeds.
        known: what earlier runs have found.
        what: what the results depend on, in JSON types.
        folder: of the run.
    """

    config: SweepConfig
    spaces: tuple[MethodSpace, ...]
    benchmark: Location
    chains: dict[SeedTriple, tuple[Session, ...]]
    known: WarmStart
    what: dict[str, Any]
    folder: RunFolder

    @property
    def sessions(self) -> int:
        """Sessions of a chain."""
        return len(next(iter(self.chains.values())))

    @property
    def store(self) -> Location:
        """Where stages and embeddings lie."""
        return Location.of(self.config.storage or self.config.runs) / "store"

    def chain(self, method: str, settings: dict[str, Any], varied: tuple[str, ...], seeds: SeedTriple) -> ChainConfig:
        """The chain of one trial."""
        config = self.config
        chain = ChainConfig(
            benchmark=self.benchmark.address,
            method=method,
            settings=settings,
            varied=varied,
            protocol=config.protocol,
            seeds=seeds,
            backbone=config.backbone,
            frontend=config.frontend,
            device=config.chosen_device,
            precision=config.precision,
            threads=config.cpus_per_trial,
            store=self.store.address,
        )
        if config.share:
            return chain
        alone = self.folder.output(chain.trial) / "store"
        return chain.model_copy(update={"store": alone.address})

    def searches(self) -> list[MethodSearch]:
        """What to try, method by method; made anew, they ask the same questions."""
        config = self.config
        trials = config.trials or (None if config.search == "grid" else DEFAULT_TRIALS)
        objectives = [OBJECTIVES[name] for name in config.objective]
        return [
            MethodSearch(space, config.search, trials, config.search_seed, objectives, self.known.of(space.method))
            for space in self.spaces
        ]

    def keep_space(self) -> None:
        """Copies the file of the search space into the run folder, so that it can be resumed without."""
        if self.config.space is not None and self.config.space.is_file():
            kept = self.folder.path / SPACE
            if not (kept.exists() and kept.samefile(self.config.space)):
                shutil.copyfile(self.config.space, kept)

    def where(self) -> dict[str, Any]:
        """The configuration that a run is resumed with, in JSON types."""
        kept = self.folder.path / SPACE
        return {**self.config.model_dump(mode="json"), **({"space": str(kept)} if kept.exists() else {})}


def find_spaces(config: SweepConfig) -> tuple[MethodSpace, ...]:
    """The search spaces of the sweep: the one given, the methods' own, or the demo's.

    Raises:
        EarshotError: a method or a space is not known, or not what it should be.
    """
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


def find_benchmark(config: SweepConfig) -> Location:
    """The folder of the benchmark; the demo's may have to be filled yet.

    Raises:
        EarshotError: there is none.
    """
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
    there = [path.parent.name for path in config.data.glob(f"*/{FILE_NAME}")]
    meant = suggestion(config.benchmark, there) if there else ""
    raise EarshotError(
        f"benchmark '{config.benchmark}': no {FILE_NAME} in {place} nor in {named}; "
        + (f"{meant} Or " if meant.startswith("did") else "")
        + f"make it with: python -m orchestrator.prepare CORPUS --source DIR --out {named}"
    )


def make_plan(config: SweepConfig, spaces: tuple[MethodSpace, ...], benchmark: Location) -> Plan:
    """The plan of a sweep over a benchmark that is there.

    Raises:
        EarshotError: what is wrong with the shards, the protocol, the backbone or the storage.
    """
    what = _what(config, spaces, benchmark)
    objectives = tuple(OBJECTIVES[name] for name in config.objective)
    earlier = [find_run(name, config.runs).resolve() for name in config.warm_start]
    known = warm_start(earlier, spaces, objectives, config.seeds, what)
    if earlier:
        what = {**what, "warm_start": known.described()}
    config = _absolute(config, benchmark, earlier)
    path = config.runs / (config.name or _name(config, spaces, benchmark, what))
    storage = Location.of(config.storage) if config.storage else None
    shared = storage / path.name if storage is not None and storage.local != config.runs else None
    chains = _chains(config, spaces, Shards(benchmark))
    config.refuse_chains_of(len(chains[config.seeds[0]]))
    return Plan(config, spaces, benchmark, chains, known, what, RunFolder(path, shared))


def _absolute(config: SweepConfig, benchmark: Location, earlier: list[Path]) -> SweepConfig:
    """The configuration with places that hold in any folder, as workers have their own."""
    backbone = Path(config.backbone)
    space = config.space
    return config.model_copy(
        update={
            "benchmark": benchmark.address,
            "backbone": str(backbone.resolve()) if backbone.exists() else config.backbone,
            "space": space.resolve() if space is not None and space.exists() else space,
            "data": config.data.resolve(),
            "runs": config.runs.resolve(),
            "warm_start": tuple(map(str, earlier)),
            "storage": Location.of(config.storage).address if config.storage else None,
        }
    )


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


def _chains(
    config: SweepConfig, spaces: tuple[MethodSpace, ...], shards: Shards
) -> dict[SeedTriple, tuple[Session, ...]]:
    """The sessions of a chain, by seeds; finds what is wrong with the shards, the protocol or the backbone."""
    shards.verify()
    chains = {
        seeds: make_sessions(
            config.protocol,
            shards.table,
            order_seed=seeds.order,
            support_seed=seeds.support,
            base_classes=shards.manifest.base_classes,
        )
        for seeds in config.seeds
    }
    for space in spaces:
        method = find_method(space.method)
        for settings in space.corners():
            check_protocol(method, method.Settings.model_validate(settings), config.protocol, chains[config.seeds[0]])
    if any(find_method(space.method).backbone for space in spaces):
        frontend = FrontEnd(config.frontend, shards.manifest.sample_rate, shards.manifest.num_samples)
        load_backbone(config.backbone, frontend.frames)
    return chains
