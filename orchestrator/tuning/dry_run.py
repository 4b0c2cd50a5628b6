"""What a sweep would do, told without doing it: no Ray, nothing written.

    python -m orchestrator.sweep --dry-run [options]

Stages are counted by their addresses, which are those that the sweep itself would use: so what trials share, and what
is in the store already, is known and not guessed. A search that learns from results (tpe) proposes all but its first
round later; in place of those, configurations drawn from the same space are counted, and the numbers said to be about.
"""

import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datasets.utils.errors import EarshotError
from datasets.utils.humanize import format_duration
from datasets.utils.text import plural
from orchestrator.tuning.plan import Plan
from orchestrator.tuning.search import MethodSearch
from trainables.records import TrialRecord
from trainables.session_chain import Chain
from trainables.store.stages import StageStore

SAME = ("method", "benchmark_fingerprint", "protocol", "backbone")  # of chains whose sessions cost about the same
RECENT = 20  # earlier runs that are asked what a session costs
PARTS = ("benchmark", "protocol", "backbone", "device", "run", "store")


@dataclass(frozen=True)
class Forecast:
    """What a method would take.

    Attributes:
        method: its name.
        configurations: to be tried.
        trials: configurations times seeds.
        sessions: of all trials together.
        stages: different ones among them; what is left of `sessions` is shared.
        bases: different base sessions.
        found: stages that are in the store already.
        exact: whether all configurations are known beforehand.
        seconds: of computing the stages that are missing, on one slot; None where no earlier run tells.
        longest: of these, those of one chain: its sessions follow each other, however many slots there are.
    """

    method: str
    configurations: int
    trials: int
    sessions: int
    stages: int
    bases: int
    found: int
    exact: bool
    seconds: float | None
    longest: float | None


@dataclass(frozen=True)
class DryRun:
    """What a sweep would do.

    Attributes:
        facts: benchmark, protocol, backbone, device, run folder and store, in words.
        methods: one forecast each.
        at_once: trials at a time on this machine; None on a cluster, which is not asked, and where it depends
            on GPUs or memory.
        resumes: whether the run folder is there, so that the sweep would go on with it.
    """

    facts: dict[str, str]
    methods: tuple[Forecast, ...]
    at_once: int | None
    resumes: bool

    @property
    def seconds(self) -> float | None:
        """Wall time, about; None where it is not known of every method, or how many trials run at a time."""
        costs = [one.seconds for one in self.methods]
        if self.at_once is None or any(cost is None for cost in costs):
            return None
        longest = max((one.longest or 0.0 for one in self.methods), default=0.0)
        return max(sum(cost or 0.0 for cost in costs) / self.at_once, longest)

    def document(self) -> dict[str, Any]:
        """The same in JSON types."""
        return {
            **self.facts,
            "methods": [asdict(one) for one in self.methods],
            "at_once": self.at_once,
            "resumes": self.resumes,
            "seconds": self.seconds,
        }


def dry_run(plan: Plan) -> DryRun:
    """Counts what a sweep would do.

    Raises:
        EarshotError: what the sweep itself would raise before its first trial.
    """
    config = plan.config
    cores = os.cpu_count() or 1
    local = config.address == "local" and not config.gpus_per_trial and config.memory_per_trial is None
    fit = max(1, cores // config.cpus_per_trial)
    classes = [len(session.labels) for session in next(iter(plan.chains.values()))]
    protocol = f"{config.protocol.name}: {plural(plan.sessions, 'session')} of {_told(classes)} classes"
    seeds = plural(len(config.seeds), "seed")
    return DryRun(
        facts=dict(
            zip(
                PARTS,
                (
                    str(plan.benchmark),
                    f"{protocol}, {config.protocol.shot} shots, {seeds}",
                    config.backbone,
                    config.chosen_device,
                    str(plan.folder.path),
                    str(plan.store) if config.share else "none: nothing is shared",
                ),
                strict=True,
            )
        ),
        methods=tuple(_forecast(plan, search) for search in plan.searches()),
        at_once=min(config.workers or fit, fit) if local else None,
        resumes=(plan.folder.path / "trials").is_dir(),
    )


def _forecast(plan: Plan, search: MethodSearch) -> Forecast:
    method, seeds = search.space.method, plan.config.seeds
    rounds = list(_rounds(search))
    configurations = [settings for one in rounds for settings in one]
    stages: dict[str, int] = {}  # address -> session
    bases: set[str] = set()
    chains: list[list[str]] = []
    chain: Chain | None = None
    with tempfile.TemporaryDirectory() as nowhere:  # a chain that is not stepped through writes nothing
        for settings in configurations:
            for triple in seeds:
                described = plan.chain(method, settings, tuple(search.space.varied), triple)
                # on this machine's processor: a GPU that only the cluster has need not be here
                chain = Chain(described.model_copy(update={"device": "cpu"}), Path(nowhere), before=chain)
                addresses = chain.addresses(plan.config.chosen_device)
                bases.add(addresses[0])
                # without sharing, a stage is that of its trial alone
                own = "" if plan.config.share else described.trial
                chains.append([own + address for address in addresses])
                stages |= {address: index for index, address in enumerate(chains[-1])}
    store = StageStore(plan.store)
    missing = {address for address in stages if not (plan.config.share and store.has(address))}
    costs = _costs(plan.config.runs, chain.record) if chain else {}
    known = all(stages[address] in costs for address in missing)
    left = [sum(costs.get(stages[one], 0.0) for one in addresses if one in missing) for addresses in chains]
    trials = len(configurations) * len(seeds)
    return Forecast(
        method=method,
        configurations=len(configurations),
        trials=trials,
        sessions=trials * plan.sessions,
        stages=len(stages),
        bases=len(bases),
        found=len(stages) - len(missing),
        exact=len(rounds) < 2,
        seconds=sum(costs[stages[address]] for address in missing) if known else None,
        longest=max(left, default=0.0) if known else None,
    )


def _rounds(search: MethodSearch) -> Iterator[list[dict[str, Any]]]:
    """All rounds of configurations, as if no result were heard of."""
    while asked := search.ask():
        search.tell([None] * len(asked))
        yield asked


def _costs(runs: Path, like: TrialRecord) -> dict[int, float]:
    """Median seconds of each session that earlier runs computed: same method, benchmark, protocol and backbone."""
    found: dict[int, list[float]] = defaultdict(list)
    folders = sorted(runs.glob("*/trials"), key=lambda path: path.stat().st_mtime, reverse=True)[:RECENT]
    for folder in folders:
        for path in folder.glob(f"{like.method}-*/trial.json"):
            try:
                record = TrialRecord.load(path.parent)
            except EarshotError:  # of another version, or damaged: it tells nothing
                continue
            if all(getattr(record, key) == getattr(like, key) for key in SAME):
                for session in record.sessions:
                    found[session.index].append(session.seconds)
    return {index: statistics.median(seconds) for index, seconds in found.items()}


def _told(classes: list[int]) -> str:
    """'5 + 4 x 5' of the classes that sessions bring."""
    base, later = classes[0], classes[1:]
    if not later:
        return str(base)
    if len(set(later)) == 1:
        return f"{base} + {len(later)} x {later[0]}"
    return " + ".join(map(str, classes))


def show(found: DryRun, console: Console) -> None:
    """Prints it for a person."""
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in found.facts.items():
        facts.add_row(Text(name, style="bold"), Text(value))
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("method")
    for name in ("configurations", "trials", "sessions", "to compute", "shared", "in the store", "on one slot"):
        table.add_column(name, justify="right")
    for one in found.methods:
        about = "" if one.exact else "about "
        cells = [one.method, one.configurations, one.trials, one.sessions, f"{about}{one.stages - one.found}"]
        cells += [f"{about}{one.sessions - one.stages}", one.found]
        cells += ["not known" if one.seconds is None else f"about {format_duration(one.seconds)}"]
        table.add_row(*(Text(str(cell)) for cell in cells))
    console.print(facts)
    console.print()
    console.print(table)
    console.print()
    at_once = "as many trials at a time as the cluster has room for"
    if found.at_once is not None:
        at_once = f"{plural(found.at_once, 'trial')} at a time"
    console.print(f"{at_once}; {_time(found)}", soft_wrap=True)
    if any(not one.exact for one in found.methods):
        console.print("about: tpe proposes all but its first configurations when it has heard of results")
    if found.resumes:
        console.print("the run is there already: the sweep would go on with it")
    console.print("nothing was run and nothing written (--dry-run)")


def _time(found: DryRun) -> str:
    if found.seconds is not None:
        return f"about {format_duration(found.seconds)} of computing, by what sessions took in earlier runs"
    unknown = [one.method for one in found.methods if one.seconds is None]
    if unknown:
        return f"how long is not known: no earlier run here has computed {', '.join(unknown)} on this benchmark"
    return "how long depends on what the cluster has room for"
