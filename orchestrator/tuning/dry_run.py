"""What a sweep would do, without doing it: no Ray, nothing written.

    earshot sweep --dry-run [options]

Stages are counted by their addresses, which the sweep itself uses: what trials share and what is in the store already
is exact. A search that learns from results (tpe) proposes all but its first round later; for these, configurations that
are drawn from the same space are counted instead, and the numbers are marked as approximate.
"""

import os
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datasets.benchmark.shards import Shards
from datasets.utils.errors import EarshotError
from datasets.utils.humanize import format_duration
from datasets.utils.text import plural
from orchestrator.tuning.plan import Plan
from orchestrator.tuning.search import MethodSearch
from trainables.chain_config import ChainConfig
from trainables.methods.registry import find_method
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.specs import ClipFormat, upsampling
from trainables.records import TrialRecord
from trainables.session_chain import Chain
from trainables.store.stages import StageStore

SAME_KEYS = ("method", "benchmark_fingerprint", "protocol", "backbone", "layer", "pool", "padding")
"""Chains for which these are equal take about the same time per session."""
RECENT_RUNS = 20  # earlier runs in which the time per session is looked up


@dataclass(frozen=True)
class Forecast:
    """What a sweep would do for one method on one backbone.

    Attributes:
        method: its name.
        backbone: of several; empty where the sweep has one, or the method uses none.
        configurations: number of configurations to try.
        trials: configurations times seeds.
        sessions: of all trials together.
        stages: distinct ones among them; the other sessions are shared.
        bases: distinct base sessions.
        cached: stages that are in the store already.
        exact: whether all configurations are known in advance.
        seconds: to compute the missing stages one after the other; None if no earlier run has computed such sessions.
        longest: of these, the seconds of the longest chain: its sessions cannot run in parallel.
    """

    method: str
    backbone: str
    configurations: int
    trials: int
    sessions: int
    stages: int
    bases: int
    cached: int
    exact: bool
    seconds: float | None
    longest: float | None

    def document(self) -> dict[str, Any]:
        """The same in JSON types."""
        fields = asdict(self)
        if not self.backbone:
            del fields["backbone"]
        # the key of the events, in the place where readers have always found it
        return {"found" if key == "cached" else key: value for key, value in fields.items()}


@dataclass(frozen=True)
class DryRun:
    """What a sweep would do.

    Attributes:
        facts: benchmark, protocol, backbone, device, run folder and store, as text.
        methods: one forecast per method and backbone.
        at_once: trials that run in parallel on this machine; None for a cluster, or if GPUs or memory decide.
        resumes: whether the run folder exists, so that the sweep would resume it.
    """

    facts: dict[str, str]
    methods: tuple[Forecast, ...]
    at_once: int | None
    resumes: bool

    @property
    def seconds(self) -> float | None:
        """Approximate wall time; None if it is unknown for a method, or how many trials run in parallel."""
        costs = [forecast.seconds for forecast in self.methods]
        if self.at_once is None or any(cost is None for cost in costs):
            return None
        longest = max((forecast.longest or 0.0 for forecast in self.methods), default=0.0)
        return max(sum(cost or 0.0 for cost in costs) / self.at_once, longest)

    def document(self) -> dict[str, Any]:
        """The same in JSON types."""
        return {
            **self.facts,
            "methods": [forecast.document() for forecast in self.methods],
            "at_once": self.at_once,
            "resumes": self.resumes,
            "seconds": self.seconds,
        }


def dry_run(plan: Plan) -> DryRun:
    """Counts what a sweep would do.

    Raises:
        EarshotError: the sweep itself would raise it before its first trial.
    """
    config = plan.config
    local = config.address == "local" and not config.gpus_per_trial and config.memory_per_trial is None
    fit = max(1, (os.cpu_count() or 1) // config.cpus_per_trial)
    return DryRun(
        facts={
            "benchmark": str(plan.benchmark),
            "protocol": _protocol_text(plan),
            "backbone": ", ".join(config.backbone),
            "device": config.chosen_device,
            "run": str(plan.folder.path),
            "store": str(plan.store) if config.share else "none: nothing is shared",
            **_upsampling(plan),
        },
        methods=tuple(_forecast(plan, search) for search in plan.searches()),
        at_once=min(config.workers or fit, fit) if local else None,
        resumes=(plan.folder.path / "trials").is_dir(),
    )


def _upsampling(plan: Plan) -> dict[str, str]:
    """A fact about a backbone of a higher sample rate than the benchmark's; empty for any other."""
    manifest = Shards(plan.benchmark).manifest
    rate = manifest.sample_rate
    if not any(find_method(space.method).backbone for space in plan.spaces):
        return {}
    missed = []
    for spec in plan.config.backbones:
        backbone = load_backbone(spec, ClipFormat(rate, manifest.num_samples))
        if text := upsampling(rate, backbone.sample_rate):
            missed.append(text if len(plan.config.backbones) == 1 else f"{spec.short().name}: {text}")
    return {"sample rate": "; ".join(missed)} if missed else {}


def _forecast(plan: Plan, search: MethodSearch) -> Forecast:
    rounds = list(_rounds(search))
    configurations = [settings for proposed in rounds for settings in proposed]
    chains, record = _stages_of_chains(plan, search, configurations)
    sessions = {stage: index for chain in chains for index, stage in enumerate(chain)}
    store = StageStore(plan.store)
    missing = {stage for stage in sessions if not (plan.config.share and store.has(stage.address))}
    seconds = longest = None
    costs = _session_costs(plan.config.runs, record) if record else {}
    if all(sessions[stage] in costs for stage in missing):
        per_chain = [sum(costs[sessions[stage]] for stage in chain if stage in missing) for chain in chains]
        seconds, longest = sum(costs[sessions[stage]] for stage in missing), max(per_chain, default=0.0)
    uses_one_of_several = len(plan.config.backbones) > 1 and find_method(search.space.method).backbone
    spec = search.backbone.short(plan.config.backbone_parts) if search.backbone and uses_one_of_several else ""
    return Forecast(
        method=search.space.method,
        backbone=str(spec),
        configurations=len(configurations),
        trials=len(chains),
        sessions=len(chains) * plan.sessions,
        stages=len(sessions),
        bases=len({chain[0].address for chain in chains}),
        cached=len(sessions) - len(missing),
        exact=len(rounds) < 2,
        seconds=seconds,
        longest=longest,
    )


@dataclass(frozen=True)
class _Stage:
    """A stage that trials would compute, or find in the store.

    Attributes:
        address: in the store.
        trial: the only trial that uses it, if trials share nothing; else empty.
    """

    address: str
    trial: str


def _stages_of_chains(
    plan: Plan, search: MethodSearch, configurations: list[dict[str, Any]]
) -> tuple[list[list[_Stage]], TrialRecord | None]:
    """The stages of each chain, session by session, and the record of one of the chains, if there is any."""
    stages: list[list[_Stage]] = []
    chain: Chain | None = None
    for chain in chains_of(plan, search, configurations):
        trial = "" if plan.config.share else chain.config.trial
        stages.append([_Stage(address, trial) for address in chain.addresses(plan.config.chosen_device)])
    return stages, chain.record if chain else None


def chains_of(plan: Plan, search: MethodSearch, configurations: list[dict[str, Any]]) -> Iterator[Chain]:
    """The chain of each configuration and seed; a chain writes nothing before it steps."""
    chain: Chain | None = None
    for settings in configurations:
        for seeds in plan.config.seeds:
            config = plan.chain(search.space.method, settings, tuple(search.space.varied), seeds, search.backbone)
            config = on_cpu(config)
            chain = Chain(config, plan.folder.output(config.trial), before=chain)
            yield chain


def on_cpu(config: ChainConfig) -> ChainConfig:
    """A chain to look at: this machine need not have the GPUs that compute it."""
    return config.model_copy(update={"device": "cpu"})


def _rounds(search: MethodSearch) -> Iterator[list[dict[str, Any]]]:
    """All rounds of configurations, as if there were no results."""
    while proposed := search.ask():
        search.tell([None] * len(proposed))
        yield proposed


def _session_costs(runs: Path, like: TrialRecord) -> dict[int, float]:
    """Median seconds per session, by index, from earlier runs with the same `SAME_KEYS`."""
    seconds: dict[int, list[float]] = defaultdict(list)
    folders = sorted(runs.glob("*/trials"), key=lambda path: path.stat().st_mtime, reverse=True)[:RECENT_RUNS]
    for folder in folders:
        for path in folder.glob(f"{like.method}-*/trial.json"):
            try:
                record = TrialRecord.load(path.parent)
            except EarshotError:  # of another version, or damaged
                continue
            if all(getattr(record, key) == getattr(like, key) for key in SAME_KEYS):
                for session in record.sessions:
                    seconds[session.index].append(session.seconds)
    return {index: statistics.median(values) for index, values in seconds.items()}


def _protocol_text(plan: Plan) -> str:
    """'ffcac-25: 5 sessions of 5 + 4 x 5 classes, 5 shots, 3 seeds, hash 1a2b3c4d'."""
    chain = next(iter(plan.chains.values()))
    base, *later = (len(session.labels) for session in chain)
    if any(session.leaving for session in chain):
        signed = (f"- {len(one.leaving)}" if one.leaving else f"+ {len(one.labels)}" for one in chain[1:])
        classes = f"{base} {' '.join(signed)}"
    elif not later:
        classes = str(base)
    elif len(set(later)) == 1:
        classes = f"{base} + {len(later)} x {later[0]}"
    else:
        classes = " + ".join(map(str, (base, *later)))
    protocol, seeds = plan.config.protocol, plural(len(plan.config.seeds), "seed")
    sessions = plural(plan.sessions, "session")
    return (
        f"{protocol.name}: {sessions} of {classes} classes, {protocol.shot} shots, {seeds}, hash {plan.protocol_hash}"
    )


def show(result: DryRun, console: Console) -> None:
    """Prints a dry run."""
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in result.facts.items():
        facts.add_row(Text(name, style="bold"), Text(value))
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    several = any(method.backbone for method in result.methods)
    table.add_column("method")
    if several:
        table.add_column("backbone")
    for name in ("configurations", "trials", "sessions", "to compute", "shared", "in the store", "serial time"):
        table.add_column(name, justify="right")
    for method in result.methods:
        about = "" if method.exact else "about "
        cells: list[object] = [method.method, *([method.backbone or "-"] if several else [])]
        cells += [method.configurations, method.trials, method.sessions]
        cells += [f"{about}{method.stages - method.cached}", f"{about}{method.sessions - method.stages}", method.cached]
        cells += ["unknown" if method.seconds is None else f"about {format_duration(method.seconds)}"]
        table.add_row(*(Text(str(cell)) for cell in cells))
    console.print(facts)
    console.print()
    console.print(table)
    console.print()
    parallel = "as many trials in parallel as fit into the cluster"
    if result.at_once is not None:
        parallel = f"{plural(result.at_once, 'trial')} in parallel"
    console.print(f"{parallel}; {_time_text(result)}", soft_wrap=True)
    if any(not method.exact for method in result.methods):
        console.print("about: tpe proposes all but its first configurations when it has results")
    if result.resumes:
        console.print("the run folder exists: the sweep would resume it")
    console.print("nothing was run and nothing written (--dry-run)")


def _time_text(result: DryRun) -> str:
    if result.seconds is not None:
        return f"about {format_duration(result.seconds)}, from the time of sessions in earlier runs"
    unknown = [
        method.method + (f" on {method.backbone}" if method.backbone else "")
        for method in result.methods
        if method.seconds is None
    ]
    if unknown:
        return f"time unknown: no earlier run here has computed {', '.join(unknown)} on this benchmark"
    return "the time depends on how many trials fit into the cluster"
