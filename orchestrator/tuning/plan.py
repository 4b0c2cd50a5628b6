"""The plan of a sweep, checked before anything runs: search spaces, benchmark, sessions, and where results go."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets.benchmark.manifest import Manifest
from datasets.benchmark.protocol import Session, make_sessions
from datasets.benchmark.protocol_hash import protocol_hash
from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.own_code import absolute_code, is_code
from orchestrator.results.find_run import is_run
from orchestrator.results.objectives import OBJECTIVES
from orchestrator.results.run_folder import RunFolder
from orchestrator.tuning.config import SweepConfig
from orchestrator.tuning.inputs import find_benchmark as find_benchmark
from orchestrator.tuning.search import MethodSearch
from orchestrator.tuning.warm_start import WarmStart, find_earlier_run, warm_start
from search_spaces.files import shipped, space_file, space_of
from search_spaces.loader import MethodSpace, default_space, load_space, make_spaces
from trainables.chain_config import ChainConfig
from trainables.methods.outside import digest_of
from trainables.methods.registry import check_backbone, check_protocol
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.specs import OPTIONS, BackboneSpec, ClipFormat, split_options
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
        backbones: what each backbone is, by its name with its options.
        known: results of earlier runs that the search starts from.
        what: what the results depend on, in JSON types.
        folder: of the run.
        protocol_hash: of all trials; see `datasets.benchmark.protocol_hash`.
    """

    config: SweepConfig
    spaces: tuple[MethodSpace, ...]
    benchmark: Location
    chains: dict[SeedTriple, tuple[Session, ...]]
    backbones: dict[str, dict[str, Any]]
    known: WarmStart
    what: dict[str, Any]
    folder: RunFolder
    protocol_hash: str

    @property
    def sessions(self) -> int:
        """Number of sessions of a chain."""
        return len(next(iter(self.chains.values())))

    @property
    def store(self) -> Location:
        """Where stages and embeddings are stored."""
        return Location.of(self.config.storage or self.config.runs) / "store"

    @property
    def pairs(self) -> tuple[tuple[MethodSpace, BackboneSpec], ...]:
        """Every method with every backbone, and once a method that uses none."""
        return tuple(method_backbones(self.config, self.spaces))

    def chain(
        self,
        method: str,
        settings: dict[str, Any],
        varied: tuple[str, ...],
        seeds: SeedTriple,
        backbone: BackboneSpec | None = None,
    ) -> ChainConfig:
        """The chain of one trial.

        Args:
            method: its name.
            settings: of the method.
            varied: the settings that a search space varies.
            seeds: of the chain.
            backbone: one of the sweep (default: the first).
        """
        config = self.config
        chain = ChainConfig(
            benchmark=self.benchmark.address,
            method=method,
            method_code=next(space.code for space in self.spaces if space.method == method),
            settings=settings,
            varied=varied,
            protocol=config.protocol,
            seeds=seeds,
            **(backbone or config.backbones[0]).fields(),
            backbone_parts=config.backbone_parts,
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
        """A search per method and backbone. Searches of the same plan propose the same configurations."""
        config = self.config
        trials = config.trials or (None if config.search == "grid" else DEFAULT_TRIALS)
        objectives = [OBJECTIVES[name] for name in config.objective]
        return [
            MethodSearch(
                space,
                config.search,
                trials,
                config.search_seed,
                objectives,
                self.known.of(space.method, _backbone_name(config, space, backbone)),
                backbone,
            )
            for space, backbone in self.pairs
        ]

    @property
    def space(self) -> Path | None:
        """The file of the search space; None for those that are shipped or in the configuration itself."""
        space = self.config.space
        return space if isinstance(space, Path) and space.is_file() else None


def find_spaces(config: SweepConfig) -> tuple[MethodSpace, ...]:
    """The search spaces of the sweep: the given one, those of the given methods, or the demo.

    Raises:
        EarshotError: a method or a space does not exist or is invalid, or two methods have the same name.
    """
    spaces = _spaces(config)
    codes: dict[str, str] = {}
    for space in spaces:
        if codes.setdefault(space.method, space.code) != space.code:
            raise EarshotError(
                f"methods '{codes[space.method]}' and '{space.code}': both have the name '{space.method}'; give one "
                "another name"
            )
    if len(codes) < len(spaces):
        raise EarshotError(f"methods: {', '.join(space.method for space in spaces)}: names one twice")
    return spaces


def _spaces(config: SweepConfig) -> tuple[MethodSpace, ...]:
    defaults = [default_space(method) for method in config.method]
    if config.space is not None:
        if isinstance(config.space, dict):
            where, spaces = "space", make_spaces(config.space, "space")
        else:
            path = space_file(config.space)
            where, spaces = f"{path}: methods", load_space(path)
        asked = [(default.method, default.code) for default in defaults]
        there = {(space.method, space.code) for space in spaces}
        missing = [method for method, key in zip(config.method, asked, strict=True) if key not in there]
        if missing:
            raise EarshotError(f"{where}: has no '{missing[0]}', which --method asks for")
        return tuple(space for space in spaces if not asked or (space.method, space.code) in asked)
    if not defaults:
        return load_space(shipped()["demo"])
    return tuple(space for default in defaults for space in _space_of(default))


def _space_of(default: MethodSpace) -> tuple[MethodSpace, ...]:
    """The search space with the name of a method; for a method from outside only if it varies the same code."""
    file = space_of(default.method)
    spaces = load_space(file) if file else (default,)
    if not default.code:
        return spaces
    return tuple(space for space in spaces if (space.method, space.code) == (default.method, default.code)) or (
        default,
    )


def make_plan(config: SweepConfig, spaces: tuple[MethodSpace, ...], benchmark: Location) -> Plan:
    """The plan of a sweep over a benchmark that exists.

    Raises:
        EarshotError: the shards, the protocol, the backbone or the storage are invalid.
    """
    config = config.model_copy(
        update={
            "backbone": tuple(map(_absolute_backbone, config.backbone)),
            "method": tuple(absolute_code(method) if is_code(method) else method for method in config.method),
        }
    )
    shards = Shards(benchmark)
    what = _what(config, spaces, shards.manifest)
    objectives = tuple(OBJECTIVES[name] for name in config.objective)
    earlier = [find_earlier_run(name, config.runs).resolve() for name in config.warm_start]
    pairs = [(space, _backbone_name(config, space, backbone)) for space, backbone in method_backbones(config, spaces)]
    known = warm_start(earlier, pairs, objectives, config.seeds, what, shards.manifest)
    if earlier:
        what = {**what, "warm_start": known.described()}
    config = _absolute(config, benchmark, earlier)
    path = config.runs / (config.name or _name(config, spaces, benchmark, what))
    storage = Location.of(config.storage) if config.storage else None
    shared = storage / path.name if storage is not None and storage.local != config.runs else None
    chains = _chains(config, spaces, shards)
    backbones = _checked_backbones(config, spaces, shards)
    chain = chains[config.seeds[0]]
    config.check_stopping(len(chain))
    content, base = shards.manifest.content_digest, len(chain[0].classes)
    hashed = protocol_hash(content, config.protocol, base=base, sessions=len(chain))
    return Plan(config, spaces, benchmark, chains, backbones, known, what, RunFolder(path, shared), hashed)


def _absolute(config: SweepConfig, benchmark: Location, earlier: list[Path]) -> SweepConfig:
    """The configuration with absolute paths: workers run in other folders."""
    space = config.space
    return config.model_copy(
        update={
            "benchmark": benchmark.address,
            "space": space.resolve() if isinstance(space, Path) and space.exists() else _absolute_methods(space),
            "data": config.data.resolve(),
            "runs": config.runs.resolve(),
            "warm_start": tuple(map(str, earlier)),
            "storage": Location.of(config.storage).address if config.storage else None,
        }
    )


def _absolute_methods(space: Any) -> Any:
    """A search space in the configuration itself, with absolute paths of the code of its methods."""
    if not isinstance(space, dict):
        return space
    return {absolute_code(name) if is_code(name) else name: settings for name, settings in space.items()}


def _absolute_backbone(text: str) -> str:
    name, _ = split_options(text)
    if is_code(name):
        return absolute_code(name) + text.removeprefix(name)
    return f"{os.path.normpath(Path.cwd() / name)}{text.removeprefix(name)}" if Path(name).exists() else text


def method_backbones(config: SweepConfig, spaces: Sequence[MethodSpace]) -> Iterator[tuple[MethodSpace, BackboneSpec]]:
    """Every method with every backbone; a method that uses none once, with the first."""
    first = replace(config.backbones[0], frontend=config.frontend)  # of a method without a backbone, such as mfcc-ncm
    for space in spaces:
        for backbone in config.backbones if space.learner.backbone else [first]:
            yield space, backbone


def _backbone_name(config: SweepConfig, space: MethodSpace, backbone: BackboneSpec) -> str:
    """As `orchestrator.results.run.Run.backbones` names it."""
    return str(backbone.short(config.backbone_parts)) if space.learner.backbone else ""


def _what(config: SweepConfig, spaces: tuple[MethodSpace, ...], benchmark: Manifest) -> dict[str, Any]:
    """What the results of the sweep depend on, in JSON types."""
    described = [
        {
            "method": space.method,
            "fixed": space.fixed,
            "varied": {key: str(distribution) for key, distribution in sorted(space.varied.items())},
            **({"code": digest_of(space.code)} if space.code else {}),
        }
        for space in spaces
    ]
    what = {**config.what(), "benchmark": benchmark.fingerprint, "spaces": described}
    # the name of a method in a file, not the place of the file: it may lie elsewhere on another machine
    return {**what, "method": [default_space(method).method for method in config.method]}


def _name(config: SweepConfig, spaces: tuple[MethodSpace, ...], benchmark: Location, what: dict[str, Any]) -> str:
    """The name of the run, derived from what its results depend on: the same sweep has the same name.

    'ls100-ede-3f2a91', or 'ls100-ede+2-3f2a91' with two more methods. A run that has the longer name of earlier
    versions keeps it.
    """
    digest = address_of(what)
    methods = "+".join(space.method for space in spaces[:3]) + ("+" if len(spaces) > 3 else "")
    earlier = f"{benchmark.name}-{methods}-{config.protocol.name}-{digest[:8]}"
    if is_run(config.runs / earlier):
        return earlier
    others = f"+{len(spaces) - 1}" if len(spaces) > 1 else ""
    return f"{benchmark.name}-{spaces[0].method}{others}-{digest[:6]}"


def _chains(
    config: SweepConfig, spaces: tuple[MethodSpace, ...], shards: Shards
) -> dict[SeedTriple, tuple[Session, ...]]:
    """The sessions of a chain, by seeds; checks shards and protocol."""
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
        method = space.learner
        for settings in space.corners():
            check_protocol(method, method.Settings.model_validate(settings), config.protocol, chains[config.seeds[0]])
    return chains


def _checked_backbones(
    config: SweepConfig, spaces: tuple[MethodSpace, ...], shards: Shards
) -> dict[str, dict[str, Any]]:
    """What each backbone is, by name; checks that every method fits every backbone.

    Raises:
        EarshotError: a backbone cannot be loaded, or a method does not fit it; names both.
    """
    using = [space for space in spaces if space.learner.backbone]
    clips = ClipFormat(shards.manifest.sample_rate, shards.manifest.num_samples)
    described = {}
    for spec in config.backbones if using else ():
        backbone = _load(spec, clips, alone=len(config.backbones) == 1)
        for space in using:
            method = space.learner
            for settings in space.corners():
                check_backbone(method, method.Settings.model_validate(settings), backbone, spec.name)
        described[str(spec.short(config.backbone_parts))] = backbone.facts
    return described


def _load(spec: BackboneSpec, clips: ClipFormat, *, alone: bool) -> Backbone:
    try:
        return load_backbone(spec, clips)
    except EarshotError as error:
        option = str(error).partition(" ")[0].removeprefix("--")
        if alone or option not in OPTIONS:
            raise
        value = getattr(spec, option)
        raise EarshotError(f"{error}, or give it to another backbone alone: --backbone NAME@{option}={value}") from None
