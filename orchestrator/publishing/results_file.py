"""The format of `RUN/report/results.json`: everything that a citation of a run needs, in one versioned file.

docs/results.md explains the fields. Accuracies are fractions of one; null is a value that is undefined, not available
yet, or that a run of an earlier version did not record. Numbers have six decimals.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from datasets.benchmark.chain_digests import PATTERN as DIGEST
from datasets.utils.csv_table import csv_bytes
from datasets.utils.json_values import json_with_short_leaves
from orchestrator.results.measures import CHAIN_METRICS
from trainables.records import SeedTriple, Track

RESULTS = "results.json"
TABLE = "results.csv"
SCHEMA_VERSION: Literal[1] = 1
DECIMALS = 6
PROTOCOL = r"^([0-9a-f]{8}|unknown)$"
COMMIT = r"^[0-9a-f]{7,40}\+?$"

Number = float | None
Split = Literal["val", "test"]


class Part(BaseModel):
    """A part of the file: immutable, without further keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Software(Part):
    """Versions of what ran."""

    earshot: str | None = None
    python: str | None = None
    torch: str | None = None
    torchaudio: str | None = None
    transformers: str | None = None
    ray: str | None = None


class ProtocolFacts(Part):
    """Data and rules that chains have in common."""

    hash: str = Field(pattern=PROTOCOL, description="protocol hash; 'unknown' where a record does not hold enough")
    benchmark: str = Field(description="name of the benchmark")
    fingerprint: str = Field(description="digest of clips, class names and splits; from earlier versions: of files")
    corpus: str | None = Field(None, description="that the benchmark was prepared from")
    classes: int = Field(description="number of classes of the benchmark")
    base: int | None = Field(None, description="classes of the base session; null if no chain has finished it")
    sessions: int = Field(description="sessions of a complete chain")
    rules: dict[str, Any] = Field(description="the fields of the protocol: base, way, shot, ...")


class BackboneFacts(Part):
    """The pretrained network of a configuration."""

    id: str = Field(description="name on the hub, or of the file without its folder")
    family: str | None = None
    digest: str | None = Field(None, description="of the weights and of how they are used")
    dim: int | None = Field(None, description="values of an embedding")
    sample_rate: int | None = Field(None, description="that it was made for, Hz")
    layer: str | int = Field("last", description="whose output is read")
    pool: str | None = Field(None, description="how tokens become one vector; null: as the network defines it")
    padding: str = Field("model", description="how clips are padded")
    frontend: str = Field(description="log-mel front end")
    revision: str | None = Field(None, description="of the code that the network comes with, where that ran")


class Interval(Part):
    """A metric over chains: mean, sample standard deviation (ddof 1), 95 % t interval of the mean."""

    mean: Number
    std: Number
    n: int = Field(ge=0, description="number of chains")
    low: Number
    high: Number


class Scores(Part):
    """One chain, one head, one split."""

    sessions: dict[str, tuple[Number, ...]] = Field(description="accuracies after each finished session, by metric")
    chain: dict[str, Number] = Field(description="metrics of the chain: aa, pd, forgetting, final, ...")


class HeadEstimates(Part):
    """One configuration, one head, one split, over its chains."""

    sessions: tuple[Interval, ...] = Field(description="A_t (micro) after each session")
    chain: dict[str, Interval] = Field(description="metrics of a chain, over the complete ones")


class Chain(Part):
    """One chain: a configuration with one triple of seeds."""

    trial: str
    seeds: SeedTriple
    status: Literal["running", "finished", "failed", "stopped"]
    finished_sessions: int = Field(ge=0)
    class_order: str | None = Field(
        None, pattern=DIGEST, description="digest of the labels of each session; null for an unfinished chain"
    )
    draw: str | None = Field(None, pattern=DIGEST, description="digest of the support and validation clips")
    seconds: Number = Field(description="of learning and scoring, when its sessions were computed")
    parameters_stored: int | None
    parameters_used: int | None
    peak_bytes: int | None = Field(None, description="peak memory of the process, or of the tensors on a GPU")
    scores: dict[str, dict[Split, Scores]] = Field(description="by head and split")


class Selection(Part):
    """Why a configuration stands for its method: it has the highest mean validation AA."""

    validation_aa: Number
    chains: int = Field(description="in that mean")
    candidates: int = Field(description="configurations that were compared")
    provisional: bool = Field(description="whether no configuration was complete when they were compared")


class Configuration(Part):
    """A method with its settings."""

    name: str
    method: str
    version: int | None = Field(None, description="of the method: raised when its results change")
    track: Track
    protocol: str = Field(pattern=PROTOCOL)
    settings: dict[str, Any] = Field(description="all settings of the method, defaults included")
    varied: dict[str, Any] = Field(description="those that the search varied")
    backbone: BackboneFacts | None = Field(description="null for a method without one")
    default_head: str = Field(description="the head that is evaluated unless another one is named")
    selected: Selection | None = Field(description="null for a configuration that another one was preferred to")
    estimates: dict[str, dict[Split, HeadEstimates]] = Field(description="by head and split")
    chains: tuple[Chain, ...]


class Results(Part):
    """A run."""

    schema_version: Literal[1] = SCHEMA_VERSION
    run: str = Field(description="name of the run folder")
    began: str | None = None
    seconds: Number = Field(None, description="wall time of the sweep")
    machine: str | None = Field(None, description="system, architecture and number of cores")
    commit: str | None = Field(
        None, pattern=COMMIT, description="of the Earshot checkout, '+' if it was modified; null for an installed one"
    )
    software: Software
    protocols: tuple[ProtocolFacts, ...]
    configurations: tuple[Configuration, ...]

    def json_bytes(self) -> bytes:
        """The contents of results.json; the same results give the same bytes."""
        return (json_with_short_leaves(self.model_dump(mode="json")) + "\n").encode()

    def protocol(self, configuration: Configuration) -> ProtocolFacts:
        """Data and rules of a configuration."""
        return next(facts for facts in self.protocols if facts.hash == configuration.protocol)


def results_csv(results: Results) -> bytes:
    """One line per chain, its default head: seeds, digests, metrics on validation and test clips, cost."""
    metrics = [f"{split}_{name}" for split in ("val", "test") for name in CHAIN_METRICS]
    header = ["method", "version", "track", "configuration", "selected", "backbone", "backbone_digest"]
    header += ["order_seed", "support_seed", "initialisation_seed", "status", "finished_sessions"]
    header += ["class_order", "draw", "head", *metrics, "seconds", "parameters_stored", "parameters_used"]
    header += ["benchmark", "fingerprint", "protocol"]
    rows = [row for configuration in results.configurations for row in _rows(results, configuration)]
    return csv_bytes(header, [["" if cell is None else cell for cell in row] for row in rows])


def _rows(results: Results, configuration: Configuration) -> list[list[object]]:
    backbone, protocol, head = configuration.backbone, results.protocol(configuration), configuration.default_head
    first: list[object] = [configuration.method, configuration.version, configuration.track, configuration.name]
    first += ["yes" if configuration.selected else "no"]
    first += [backbone.id, backbone.digest] if backbone else [None, None]
    rows: list[list[object]] = []
    for chain in configuration.chains:
        seeds, scores = chain.seeds, chain.scores.get(head, {})
        values = [
            scores[split].chain[name] if split in scores else None
            for split in ("val", "test")
            for name in CHAIN_METRICS
        ]
        row: list[object] = [
            *first,
            seeds.order,
            seeds.support,
            seeds.initialisation,
            chain.status,
            chain.finished_sessions,
        ]
        row += [chain.class_order, chain.draw, head, *values]
        row += [chain.seconds, chain.parameters_stored, chain.parameters_used]
        rows.append([*row, protocol.benchmark, protocol.fingerprint, protocol.hash])
    return rows
