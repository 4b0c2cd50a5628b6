"""The contents of results.json, from a run: the numbers of the report's tables, none of them computed again."""

import math
import re
from collections.abc import Mapping
from typing import Any

from datasets.benchmark.chain_digests import class_order_digest
from orchestrator.publishing.portable import portable, portable_name
from orchestrator.publishing.results_file import (
    COMMIT,
    DECIMALS,
    BackboneFacts,
    Chain,
    Configuration,
    HeadEstimates,
    Interval,
    Number,
    ProtocolFacts,
    Results,
    Scores,
    Selection,
    Software,
    Split,
)
from orchestrator.results.backbones import NONE
from orchestrator.results.chain_metrics import has_finished
from orchestrator.results.measures import CHAIN_METRICS, SESSION_METRICS
from orchestrator.results.run import Run
from orchestrator.statistics.estimates import Estimate, Estimates
from trainables.records import TrialRecord

SPLITS: tuple[Split, ...] = ("val", "test")


def results_of(run: Run, estimates: Estimates) -> Results:
    """The results of a run.

    Args:
        run: the run, finished or not.
        estimates: of the run.
    """
    made = run.sweep.get("made")
    made = made if isinstance(made, dict) else {}
    commit = made.get("commit")
    chosen = {choice.configuration: choice for choice in map(run.best, run.entries)}
    selections = {
        name: Selection(
            validation_aa=number(choice.validation_aa),
            chains=choice.n,
            candidates=choice.candidates,
            provisional=choice.provisional,
        )
        for name, choice in chosen.items()
    }
    metrics = {(row["trial"], row["head"], row["split"]): row for row in run.chains.to_dict("records")}
    return Results(
        run=run.name,
        began=_text(made.get("began")),
        seconds=number(made.get("seconds")),
        machine=_text(made.get("machine")),
        commit=commit if isinstance(commit, str) and re.fullmatch(COMMIT, commit) else None,
        software=_software(made),
        protocols=_protocols(run),
        configurations=tuple(
            _configuration(run, name, estimates, metrics, selections.get(name)) for name in run.configurations()
        ),
    )


def number(value: Any) -> Number:
    """A number with `DECIMALS` decimals; None for one that is not finite, and for anything else."""
    known = isinstance(value, int | float) and math.isfinite(value)
    return round(float(value), DECIMALS) + 0.0 if known else None  # + 0.0: no -0.0


def interval(value: Estimate) -> Interval:
    """An estimate in the file."""
    return Interval(
        mean=number(value.mean), std=number(value.std), n=value.n, low=number(value.low), high=number(value.high)
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _software(made: Mapping[str, Any]) -> Software:
    versions = made.get("versions")
    known = {**(versions if isinstance(versions, dict) else {}), "python": made.get("python")}
    fields = {name: _text(known.get(name)) for name in Software.model_fields}
    return Software(**{name: None if version == "unknown" else version for name, version in fields.items()})


def _protocols(run: Run) -> tuple[ProtocolFacts, ...]:
    """One entry per protocol hash; of runs without hashes, the first record stands for all."""
    first: dict[str, TrialRecord] = {}
    base: dict[str, int] = {}
    for name, record in sorted(run.trials.items()):
        first.setdefault(run.protocols[name], record)
        if record.sessions:
            base[run.protocols[name]] = len(record.sessions[0].classes)
    return tuple(
        ProtocolFacts(
            hash=protocol,
            benchmark=record.benchmark,
            fingerprint=record.benchmark_digest,
            corpus=record.corpus,
            classes=len(record.class_names),
            base=base.get(protocol),
            sessions=record.planned_sessions,
            rules=record.protocol,
        )
        for protocol, record in sorted(first.items())
    )


def _configuration(
    run: Run,
    name: str,
    estimates: Estimates,
    metrics: Mapping[tuple[str, str, str], Mapping[Any, Any]],
    selection: Selection | None,
) -> Configuration:
    records = run.of(name)
    first, versions = records[0], {record.method_version for record in records}
    return Configuration(
        name=portable_name(name),
        method=portable_name(first.method),
        version=versions.pop() if len(versions) == 1 else None,
        track=first.track,
        protocol=run.protocols[first.trial],
        settings=portable(first.settings),
        varied=portable(first.varied),
        backbone=backbone_facts(first, run.backbone_facts.get(run.backbones[first.trial], {})),
        default_head=first.default_head,
        selected=selection,
        estimates={
            head: {split: _estimates(run, name, head, split, estimates) for split in SPLITS} for head in first.heads
        },
        chains=tuple(_chain(run, record, metrics) for record in records),
    )


def _estimates(run: Run, name: str, head: str, split: Split, estimates: Estimates) -> HeadEstimates:
    chain = estimates.chain(name, head, split)
    sessions = (estimates.session(name, head, split, t)["micro"] for t in range(run.planned(name)))
    return HeadEstimates(
        sessions=tuple(interval(value) for value in sessions),
        chain={metric: interval(chain[metric]) for metric in CHAIN_METRICS},
    )


def backbone_facts(record: TrialRecord, known: Mapping[str, Any]) -> BackboneFacts | None:
    """The backbone of a trial; None if its method uses none.

    Args:
        record: of the trial.
        known: what the sweep has recorded of the backbone, as far as it has: family, digest, dim, sample_rate.
    """
    if record.backbone == NONE:
        return None
    facts = {name: known.get(name) for name in ("family", "digest", "dim", "sample_rate")}
    return BackboneFacts(
        id=portable_name(record.backbone),
        **facts,
        layer=record.layer,
        pool=record.pool,
        padding=record.padding,
        frontend=record.frontend,
        revision=record.trust_remote_code,
    )


def _chain(run: Run, record: TrialRecord, metrics: Mapping[tuple[str, str, str], Mapping[Any, Any]]) -> Chain:
    last = record.sessions[-1] if record.sessions else None
    peaks = [session.peak_bytes for session in record.sessions if session.peak_bytes is not None]
    scores: dict[str, dict[Split, Scores]] = {}
    for head in record.heads:
        for split in SPLITS:
            if (chain := run.scores.get((record.trial, head, split))) is not None:
                finished = len(record.sessions)
                scores.setdefault(head, {})[split] = Scores(
                    sessions={
                        name: tuple(number(float(value)) for value in getattr(chain, name)[:finished])
                        for name in SESSION_METRICS
                    },
                    chain={name: number(metrics[record.trial, head, split][name]) for name in CHAIN_METRICS},
                )
    return Chain(
        trial=portable_name(record.trial),
        seeds=record.seeds,
        status=record.status,
        finished_sessions=len(record.sessions),
        class_order=class_order_digest((s.classes, s.left) for s in record.sessions) if has_finished(record) else None,
        draw=record.draw,
        seconds=number(sum(session.seconds for session in record.sessions)) if last else None,
        parameters_stored=last.parameters_stored if last else None,
        parameters_used=last.parameters_used if last else None,
        peak_bytes=max(peaks, default=None),
        scores=scores,
    )
