"""The plan of a sweep, checked before anything runs: search spaces, benchmark, sessions, and where results go."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.benchmark.protocol import Session, make_sessions
from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from orchestrator.results.objectives import OBJECTIVES
from orchestrator.results.run_folder import RunFolder
from orchestrator.tuning.config import SweepConfig
from orchestrator.tuning.inputs import find_benchmark as find_benchmark
from orchestrator.tuning.search import MethodSearch
from orchestrator.tuning.warm_start import WarmStart, find_earlier_run, warm_start
from search_spaces.files import shipped, space_file
from search_spaces.loader import MethodSpace, load_space
from trainables.chain_config import ChainConfig
from trainables.methods.registry import check_backbone, check_protocol, find_method
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.specs import ClipFormat
from trainables.records import SeedTriple
from trainables.store.layout import address_of

DEFAULT_TRIALS = 8  # configurations of a method


@dataclass(frozen=True)
class Plan:
    """A sweep over a benchmark that exists.

    Attributes:
        config: with absolute paths.
        spaces: one per method.
        benchmark: its location.
        chains: the sessions of a chain, by seeds.
        known: results of earlier runs that the search starts from.
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
        """Number of sessions of a chain."""
        return len(next(iter(self.chains.values())))

    @property
    def store(self) -> Location:
        """Where stages and embeddings are stored."""
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
            layer=config.layer,
            pool=config.pool,
            padding=config.padding,
            device=config.chosen_device,
            precision=config.precision,
            threads=config.cpus_per_trial,
            store=self.store.address,
        )
        if config.share:
            return chain
        private = self.folder.output(chain.trial) / "store"
        return chain.model_copy(update={"store": private.address})

    def searches(self) -> list[MethodSearch]:
        """A search per method. Searches of the same plan propose the same configurations."""
        config = self.config
        trials = config.trials or (None if config.search == "grid" else DEFAULT_TRIALS)
        objectives = [OBJECTIVES[name] for name in config.objective]
        return [
            MethodSearch(space, config.search, trials, config.search_seed, objectives, self.known.of(space.method))
            for space in self.spaces
        ]

    @property
    def space(self) -> Path | None:
        """The file of the search space; None for those that are shipped with the package."""
        space = self.config.space
        return space if space is not None and space.is_file() else None


def find_spaces(config: SweepConfig) -> tuple[MethodSpace, ...]:
    """The search spaces of the sweep: the given one, those of the given methods, or the demo.

    Raises:
        EarshotError: a method or a space does not exist or is invalid.
    """
    for method in config.method:
        find_method(method)
    if config.space is not None:
        path = space_file(config.space)
        spaces = load_space(path)
        missing = [method for method in config.method if method not in {space.method for space in spaces}]
        if missing:
            raise EarshotError(f"{path}: methods: has no '{missing[0]}', which --method asks for")
        return tuple(space for space in spaces if not config.method or space.method in config.method)
    files = shipped()
    if config.method:
        return tuple(
            space
            for method in config.method
            for space in (load_space(files[method]) if method in files else (MethodSpace(method),))
        )
    return load_space(files["demo"])


def make_plan(config: SweepConfig, spaces: tuple[MethodSpace, ...], benchmark: Location) -> Plan:
    """The plan of a sweep over a benchmark that exists.

    Raises:
        EarshotError: the shards, the protocol, the backbone or the storage are invalid.
    """
    what = _what(config, spaces, benchmark)
    objectives = tuple(OBJECTIVES[name] for name in config.objective)
    earlier = [find_earlier_run(name, config.runs).resolve() for name in config.warm_start]
    known = warm_start(earlier, spaces, objectives, config.seeds, what)
    if earlier:
        what = {**what, "warm_start": known.described()}
    config = _absolute(config, benchmark, earlier)
    path = config.runs / (config.name or _name(config, spaces, benchmark, what))
    storage = Location.of(config.storage) if config.storage else None
    shared = storage / path.name if storage is not None and storage.local != config.runs else None
    chains = _chains(config, spaces, Shards(benchmark))
    config.check_stopping(len(chains[config.seeds[0]]))
    return Plan(config, spaces, benchmark, chains, known, what, RunFolder(path, shared))


def _absolute(config: SweepConfig, benchmark: Location, earlier: list[Path]) -> SweepConfig:
    """The configuration with absolute paths: workers run in other folders."""
    path, colon, function = config.backbone.partition(".py:")  # FILE.py:FUNCTION
    file = Path(f"{path}.py" if colon else path)
    space = config.space
    return config.model_copy(
        update={
            "benchmark": benchmark.address,
            "backbone": f"{file.resolve()}{colon[3:]}{function}" if file.exists() else config.backbone,
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
        {
            "method": space.method,
            "fixed": space.fixed,
            "varied": {key: str(distribution) for key, distribution in sorted(space.varied.items())},
        }
        for space in spaces
    ]
    return {**config.what(), "benchmark": Shards(benchmark).manifest.fingerprint, "spaces": described}


def _name(config: SweepConfig, spaces: tuple[MethodSpace, ...], benchmark: Location, what: dict[str, Any]) -> str:
    """The name of the run, derived from what its results depend on: the same sweep has the same name."""
    methods = "+".join(space.method for space in spaces[:3]) + ("+" if len(spaces) > 3 else "")
    return f"{benchmark.name}-{methods}-{config.protocol.name}-{address_of(what)[:8]}"


def _chains(
    config: SweepConfig, spaces: tuple[MethodSpace, ...], shards: Shards
) -> dict[SeedTriple, tuple[Session, ...]]:
    """The sessions of a chain, by seeds; checks shards, protocol and backbone."""
    shards.verify_without_page_checksums()
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
    using = [space for space in spaces if find_method(space.method).backbone]
    if using:
        clips = ClipFormat(shards.manifest.sample_rate, shards.manifest.num_samples)
        backbone = load_backbone(config.backbone_spec, clips)
        for space in using:
            method = find_method(space.method)
            for settings in space.corners():
                check_backbone(method, method.Settings.model_validate(settings), backbone, config.backbone)
    return chains
