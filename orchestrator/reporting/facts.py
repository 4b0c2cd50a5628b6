"""Facts about a run that several outputs state: the Markdown report, the page, the workbook, the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Any

from datasets.utils.humanize import format_duration
from datasets.utils.text import one_line
from orchestrator.reporting.formatting import MISSING, settings
from orchestrator.results.backbones import Entry
from orchestrator.results.ceilings import Ceilings, ceilings
from orchestrator.results.choice import rank
from orchestrator.results.measures import FORMULAE
from orchestrator.results.run import Choice, Run, has_finished
from orchestrator.statistics.estimates import Estimates
from trainables.networks.specs import upsampling
from trainables.records import INDUCTIVE, TrialRecord

MANY = 7
"""Methods of a chart in which each can be followed."""
FEW = 5
"""Methods that a chart of more than `MANY` shows strongly."""
_MOST_LABELS = 30  # of a class order that is shown
_STATES = ("finished", "running", "failed", "stopped")
_REASONS = {
    "running": "unfinished: still running, or interrupted",
    "finished": "sessions are missing",
    "failed": "failed",
    "stopped": "stopped early",
    "asha": "stopped early by ASHA: behind other trials of its method with the same seeds",
    "budget": "stopped early: the budget was used up",
}
_PROVENANCE = {"commit": "code", "machine": "machine", "began": "began", "seconds": "wall time", "python": "python"}


@dataclass(frozen=True)
class IncompleteTrial:
    """A trial without all of its sessions.

    Attributes:
        trial: name of the trial.
        status: of its record.
        sessions: finished of planned sessions: '2 of 5'.
        reason: why it is incomplete, as far as known.
    """

    trial: str
    status: str
    sessions: str
    reason: str


@dataclass(frozen=True)
class Work:
    """Sessions of a run by where they came from; a stage that several trials share was computed at most once.

    Attributes:
        sessions: number of finished sessions.
        computed: number of those that were computed, the others being cached.
        seconds: time of the computed sessions.
        saved: time that the cached sessions took when they were computed.
    """

    sessions: int
    computed: int
    seconds: float
    saved: float


def what_ran(run: Run) -> list[tuple[str, str]]:
    """(name, value) of everything that was run: data, protocol, seeds, trials, sessions, provenance."""
    records = list(run.trials.values())
    seeds = sorted({record.seeds for record in records}, key=lambda s: (s.order, s.support, s.initialisation))
    states: list[str] = [record.status for record in records]
    counts = [f"{states.count(state)} {state}" for state in _STATES if state in states or state != "stopped"]
    done = work(run)
    return [
        ("benchmark", "; ".join(dict.fromkeys(f"{r.benchmark}, {_classes(run, r)}" for r in records))),
        ("fingerprint of the data", "; ".join(dict.fromkeys(record.benchmark_digest for record in records))),
        ("protocol", "; ".join(dict.fromkeys(_rules(record.protocol) for record in records))),
        ("protocol hash", ", ".join(run.protocol_hashes)),
        ("sessions planned", ", ".join(map(str, sorted({record.planned_sessions for record in records})))),
        ("seeds (order.support.initialisation)", f"{len(seeds)}: {', '.join(map(str, seeds))}"),
        *_backbones(run),
        ("front end", _by_method(run, "frontend")),
        *_upsampling(records),
        ("methods", ", ".join(run.methods)),
        ("configurations", str(len(run.configurations()))),
        ("trials", f"{len(records)}: {', '.join(counts)}"),
        (
            "sessions",
            f"{done.sessions}: {done.computed} computed in {format_duration(done.seconds)},"
            f" {done.sessions - done.computed} cached (saved {format_duration(done.saved)})",
        ),
        *_provenance(run),
    ]


def _rules(protocol: Mapping[str, Any]) -> str:
    """The fields of a protocol; a long class order as its length."""
    order = protocol.get("class_order")
    short = {"class_order": f"{len(order)} labels"} if isinstance(order, list) and len(order) > _MOST_LABELS else {}
    return settings({**protocol, **short})


def _classes(run: Run, record: TrialRecord) -> str:
    """'25 classes', or '10 of 25 classes' where the protocol uses some of them."""
    classes, used = len(record.class_names), classes_used(run)
    part = "" if used in (None, classes) else f"{used} of "
    return f"{part}{classes} {'class' if classes == 1 else 'classes'}"


def work(run: Run) -> Work:
    """Number and time of computed and cached sessions."""
    sessions = [session for record in run.trials.values() for session in record.sessions]
    computed = [session for session in sessions if not session.cached]
    saved = sum(session.seconds for session in sessions if session.cached)
    return Work(len(sessions), len(computed), sum(session.seconds for session in computed), saved)


def incomplete_trials(run: Run) -> list[IncompleteTrial]:
    """Trials without all of their sessions, with the reason."""
    return [
        IncompleteTrial(
            record.trial,
            record.status,
            f"{len(record.sessions)} of {record.planned_sessions}",
            incomplete_reason(record),
        )
        for record in run.trials.values()
        if not has_finished(record)
    ]


def incomplete_reason(record: TrialRecord) -> str:
    """Why a trial lacks sessions, as far as known; empty if it has all."""
    return "" if has_finished(record) else record.error or _REASONS[record.stopped_by or record.status]


def choices_of(run: Run) -> list[Choice]:
    """The chosen configuration of each method, on each backbone, in the order of `orchestrator.results.choice.rank`."""
    return sorted(map(run.best, run.entries), key=rank)


def entry_header(run: Run) -> list[str]:
    """Header of the columns that name a row: method; backbone and protocol where there are several; track if needed."""
    return [
        "method",
        *["backbone"] * run.has_several_backbones,
        *["track"] * run.has_transductive,
        *["protocol"] * run.has_several_protocols,
    ]


def entry_cells(run: Run, entry: Entry) -> list[str]:
    """Cells of the columns of `entry_header`."""
    backbone = [entry.backbone or MISSING] if run.has_several_backbones else []
    track = [entry.track] if run.has_transductive else []
    return [entry.method, *backbone, *track, *([entry.protocol] if run.has_several_protocols else [])]


def benchmark_names(run: Run) -> str:
    """The benchmark; of several protocols, all benchmarks."""
    return ", ".join(dict.fromkeys(one_line(record.benchmark) for record in run.trials.values()))


def protocol_line(run: Run) -> str:
    """'protocol 1a2b3c4d', to be written under a table."""
    hashes = run.protocol_hashes
    return f"protocol{'s' if len(hashes) > 1 else ''} {', '.join(hashes)}"


def ranked(run: Run, estimates: Estimates, choices: Sequence[Choice], head: str | None = None) -> list[Choice]:
    """The choices that have a head, ranked by the validation AA of that head.

    Args:
        run: the run.
        estimates: estimates of the run.
        choices: the configuration of each method.
        head: the head; the default head of each method if None.
    """
    if head is None:
        return sorted(choices, key=rank)

    def of_head(choice: Choice) -> Choice:
        value = estimates.chain(choice.configuration, head, "val")["aa"]
        return replace(choice, validation_aa=value.mean, n=value.n)

    having = [choice for choice in choices if head in run.heads(choice.label)]
    return sorted(having, key=lambda choice: rank(of_head(choice)))


def prominent(choices: Sequence[Choice]) -> list[Choice]:
    """The choices that charts show strongly: all, or of more than `MANY` the best by validation.

    These are the first of each protocol and track, then the second of each, and so on until there are `FEW`.
    """
    order = sorted(choices, key=rank)
    if len(order) <= MANY:
        return order
    in_turn = chain.from_iterable(zip_longest(*by_track(order)))
    return [choice for choice in in_turn if choice is not None][:FEW]


def name_with_track(entry: Entry) -> str:
    """'ede', or 'tape-like (transductive)', where all methods share a figure or the columns of a table."""
    return entry.label if entry.track == INDUCTIVE else f"{entry.label} ({entry.track})"


def by_track(choices: Sequence[Choice]) -> list[list[Choice]]:
    """The choices of each protocol and track, the inductive ones first: methods that may be ranked."""
    groups: dict[tuple[str, str], list[Choice]] = {}
    for choice in choices:
        groups.setdefault((choice.entry.protocol, choice.track), []).append(choice)
    return [groups[key] for key in sorted(groups)]


def chain_count(run: Run, configuration: str, n: int) -> str:
    """Number of chains behind a value: '3', or '2/3' if one of three trials lacks it."""
    trials = len(run.of(configuration))
    return str(n) if n == trials else f"{n}/{trials}"


def fewest_chains(run: Run, estimates: Estimates, choices: Sequence[Choice]) -> int:
    """Least number of complete chains of any chosen configuration."""
    names = [choice.configuration for choice in choices]
    return min(estimates.chain(name, run.default_head(name), "test")["aa"].n for name in names)


def limiting_ceilings(run: Run) -> Ceilings | None:
    """Ceilings of the run; None if they are unknown, or allow 100 % after every session."""
    known = ceilings(run)
    return known if known and any(value < 1 for value in known.values) else None


def _backbones(run: Run) -> list[tuple[str, str]]:
    """A row per backbone that methods use, with what the sweep has recorded about it."""
    used = dict.fromkeys(sorted(backbone for backbone in set(run.backbones.values()) if backbone))
    if not (run.has_several_backbones or used.keys() & run.backbone_facts.keys()):
        return [("backbone", _by_method(run, "backbone"))]
    return [("backbone", f"{name}{_description(run.backbone_facts.get(name, {}))}") for name in used]


def _description(facts: Mapping[str, Any]) -> str:
    """': ast, 192 values, made for 16000 Hz, digest 0123456789ab'."""
    rate = facts.get("sample_rate")
    parts = [
        str(facts["family"]) if "family" in facts else "",
        f"{facts['dim']} values" if "dim" in facts else "",
        f"made for {rate} Hz" if rate else "",
        f"digest {str(facts['digest'])[:12]}" if "digest" in facts else "",
    ]
    return ": " * any(parts) + ", ".join(filter(None, parts))


def _by_method(run: Run, field: str) -> str:
    """A field of the records: its value if it is the same for all, otherwise each value with its methods."""
    methods: dict[str, set[str]] = {}
    for record in run.trials.values():
        methods.setdefault(str(getattr(record, field)), set()).add(record.method)
    if len(methods) == 1:
        return next(iter(methods))
    return "; ".join(f"{value} ({', '.join(sorted(names))})" for value, names in sorted(methods.items()))


def _upsampling(records: Sequence[TrialRecord]) -> list[tuple[str, str]]:
    """What backbones of a higher sample rate than the benchmark's miss."""
    rates = sorted({record.upsampled for record in records if record.upsampled})
    return [("sample rate", "; ".join(upsampling(*pair) for pair in rates))] if rates else []


def _provenance(run: Run) -> list[tuple[str, str]]:
    """What sweep.json records about code, machine and time."""
    made = run.sweep.get("made", {})
    if not isinstance(made, dict):
        return []
    return [
        (name, format_duration(float(made[key])) if key == "seconds" else str(made[key]))
        for key, name in _PROVENANCE.items()
        if made.get(key) is not None
    ]


def classes_used(run: Run) -> int | None:
    """Number of classes that a complete chain introduces; None while it is unknown, and of several protocols."""
    if run.has_several_protocols:
        return None
    counts = {_classes_of_chain(record) for record in run.trials.values() if record.sessions}
    return next(iter(counts)) if len(counts) == 1 else None


def _classes_of_chain(record: TrialRecord) -> int | None:
    """Classes that the chain of a trial introduces in all planned sessions."""
    missing = record.planned_sessions - len(record.sessions)
    way = record.protocol.get("way")
    if missing and (record.protocol.get("leave") or not isinstance(way, int)):
        return None
    return len({label for session in record.sessions for label in session.classes}) + missing * (way or 0)


def classes_leave(run: Run) -> bool:
    """Whether classes leave in a session of the run; accuracies are then over the classes still present."""
    return any(session.left for record in run.trials.values() for session in record.sessions)


def classes_counted(run: Run) -> str:
    """Which classes an accuracy is over, behind 'all classes'."""
    return "present" if classes_leave(run) else "seen so far"


def formulae(run: Run) -> list[tuple[str, str]]:
    """`FORMULAE`, of the classes present where classes leave."""
    if not classes_leave(run):
        return list(FORMULAE)
    return [
        (name, text.replace("seen so far", "present").replace("seen by then", "present then"))
        for name, text in FORMULAE
    ]
