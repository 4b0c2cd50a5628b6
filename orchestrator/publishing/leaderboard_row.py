"""A row of a leaderboard: one configuration on one benchmark under one protocol, with the values of its chains."""

import json
import math
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from datasets.benchmark.chain_digests import PATTERN as DIGEST
from datasets.benchmark.protocol_hash import PATTERN as HASH
from datasets.benchmark.protocol_hash import protocol_hash
from datasets.utils.text import printable
from orchestrator.publishing.results_file import (
    COMMIT,
    DECIMALS,
    BackboneFacts,
    Chain,
    Configuration,
    Interval,
    Part,
    ProtocolFacts,
    Results,
)
from orchestrator.results.measures import MEASURES
from trainables.records import SeedTriple, Track

SCHEMA_VERSION: Literal[1] = 1
METRICS = ("validation_aa", "aa", "pd", "forgetting")
"""Metrics of a chain in a row: AA on validation clips, and AA, PD and forgetting on test clips."""
_TOLERANCE = 1.5 * 10**-DECIMALS  # of a rounded mean that another machine has computed

Accuracy = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Difference = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class RowChain(Part):
    """One chain of a row, default head."""

    seeds: SeedTriple
    class_order: str | None = Field(None, pattern=DIGEST)
    draw: str | None = Field(None, pattern=DIGEST)
    validation_aa: Accuracy
    aa: Accuracy
    pd: Difference | None = None
    forgetting: Difference | None = None


class Row(Part):
    """One line of the file.

    Attributes:
        by: who has added it.
        measured: the day on which the run began.
        base: classes of the base session.
        candidates: configurations that were compared on validation clips before this one was chosen.
        seconds: mean over chains.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = SCHEMA_VERSION
    benchmark: Name
    protocol: str = Field(pattern=HASH)
    track: Track
    method: Name
    version: int | None = None
    backbone: BackboneFacts | None = None
    settings: dict[str, Any]
    head: Name
    by: Name
    measured: date | None = None
    earshot: str | None = Field(None, max_length=50)
    commit: str | None = Field(None, pattern=COMMIT)
    candidates: int | None = Field(None, ge=1)
    validation_aa: Interval
    aa: Interval
    pd: Interval
    forgetting: Interval
    seconds: float | None = Field(None, ge=0)
    parameters_used: int | None = Field(None, ge=0)
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$")
    base: int = Field(ge=1)
    sessions: int = Field(ge=1)
    rules: dict[str, Any]
    chains: tuple[RowChain, ...] = Field(min_length=1)

    @field_validator("by")
    @classmethod
    def _printable(cls, value: str) -> str:
        if printable(value) != value:
            raise ValueError("expected printable characters")
        return value

    def line(self) -> str:
        """The row as the file has it: JSON in ASCII, keys in the order of the fields."""
        return json.dumps(self.model_dump(mode="json"), allow_nan=False)

    @property
    def table(self) -> tuple[str, Track]:
        """Rows with the same one are ranked with each other."""
        return self.protocol, self.track

    @property
    def experiment(self) -> tuple[str, ...]:
        """Rows with the same one are the same chains, computed once or by several people."""
        backbone = self.backbone and self.backbone.model_dump(exclude={"family", "dim", "sample_rate"})
        seeds = [str(chain.seeds) for chain in self.chains]
        content = [backbone, self.settings, self.head, seeds]
        return self.protocol, self.method, str(self.version), json.dumps(content, sort_keys=True)


def row_of(results: Results, configuration: Configuration, by: str) -> Row | str:
    """The row of a configuration of a run, or the reason why it has none.

    Args:
        results: the run.
        configuration: of the run.
        by: who adds it.
    """
    facts, selected = results.protocol(configuration), configuration.selected
    if facts.hash == "unknown" or facts.base is None:
        return "its records do not hold enough to compute the protocol hash"
    if selected is None or selected.provisional:
        return "no configuration of it has finished all chains"
    head = configuration.default_head
    found = [_row_chain(chain, head) for chain in configuration.chains if chain.status == "finished"]
    chains = tuple(chain for chain in found if chain is not None)
    if len(chains) < len(found) or not chains:
        return "its chains have no accuracy on validation clips, which rows are ranked by"
    used = [chain.parameters_used for chain in configuration.chains if chain.parameters_used is not None]
    seconds = [chain.seconds for chain in configuration.chains if chain.seconds is not None]
    return with_intervals(
        facts,
        chains,
        track=configuration.track,
        method=configuration.method,
        version=configuration.version,
        backbone=configuration.backbone,
        settings=configuration.settings,
        head=head,
        by=by,
        measured=_day(results.began),
        earshot=results.software.earshot,
        commit=results.commit,
        candidates=selected.candidates,
        seconds=round(sum(seconds) / len(seconds), 1) if seconds else None,
        parameters_used=max(used, default=None),
    )


def _day(began: str | None) -> date | None:
    try:
        return date.fromisoformat(began[:10]) if began else None
    except ValueError:
        return None


def _row_chain(chain: Chain, head: str) -> RowChain | None:
    scores = chain.scores.get(head, {})
    validation, test = (scores[split].chain if split in scores else {} for split in ("val", "test"))
    if validation.get("aa") is None or test.get("aa") is None:
        return None
    return RowChain.model_validate(
        {
            "seeds": chain.seeds,
            "class_order": chain.class_order,
            "draw": chain.draw,
            "validation_aa": validation["aa"],
            **{name: test[name] for name in METRICS[1:]},
        }
    )


def with_intervals(facts: ProtocolFacts, chains: tuple[RowChain, ...], **fields: Any) -> Row:
    """A row with the means and intervals of its chains, which are sorted by their seeds.

    Args:
        facts: the benchmark and the protocol.
        chains: at least one.
        fields: the other fields.
    """
    ordered = tuple(sorted(chains, key=lambda chain: (chain.seeds.order, chain.seeds.support, str(chain.seeds))))
    return Row.model_validate(
        {
            **fields,
            **{name: recomputed(ordered, name) for name in METRICS},
            "chains": ordered,
            "benchmark": facts.benchmark,
            "protocol": facts.hash,
            "fingerprint": facts.fingerprint,
            "base": facts.base,
            "sessions": facts.sessions,
            "rules": facts.rules,
        }
    )


def recomputed(chains: tuple[RowChain, ...], metric: str) -> Interval:
    """The mean over chains and its interval, as the tables of a report have them."""
    from orchestrator.publishing.run_results import interval
    from orchestrator.statistics.estimates import estimate

    known = MEASURES["aa" if metric == "validation_aa" else metric]
    values = (getattr(chain, metric) for chain in chains)
    return interval(estimate((math.nan if value is None else value for value in values), within=known.range))


def problems(row: Row) -> Iterator[str]:
    """What is wrong with the numbers of a row: 'aa.mean: expected 0.8, the mean of its chains, found 0.9'."""
    try:
        computed = protocol_hash(row.fingerprint, row.rules, base=row.base, sessions=row.sessions)
    except ValueError:
        yield "rules: expected the fields of a protocol of this version, found others"
    else:
        if computed != row.protocol:
            yield f"protocol: expected {computed}, the hash of its fingerprint and rules, found {row.protocol}"
    if len({str(chain.seeds) for chain in row.chains}) < len(row.chains):
        yield "chains: expected different seeds, found the same ones twice"
    for metric in METRICS:
        expected, found = recomputed(row.chains, metric), getattr(row, metric)
        for part in ("mean", "std", "n", "low", "high"):
            one, other = getattr(expected, part), getattr(found, part)
            if (one is None) != (other is None) or (one is not None and abs(one - other) > _TOLERANCE):
                yield f"{metric}.{part}: expected {one}, computed from its chains, found {other}"
                break
