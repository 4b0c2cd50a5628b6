"""The configuration of a sweep: one model, filled from YAML and the command line."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from datasets.benchmark.protocol import NAMED, AnyProtocol
from datasets.utils import humanize
from datasets.utils.errors import EarshotError
from orchestrator.results.objectives import ObjectiveName
from trainables.networks.specs import DEFAULT, FrontEndSpec
from trainables.records import SeedTriple

Strategy = Literal["tpe", "random", "grid"]
Seconds = Annotated[float, BeforeValidator(humanize.seconds)]
Bytes = Annotated[int, BeforeValidator(humanize.size)]

WHERE = (
    "device",
    "gpus_per_trial",
    "memory_per_trial",
    "workers",
    "budget",
    "address",
    "data",
    "runs",
    "storage",
    "store_size",
    "share",
    "name",
    "space",
    "warm_start",
    "show",
    "log",
    "dashboard",
    "dry_run",
)
"""Settings that say where and how fast, not what: a run that is resumed may change them."""


class SweepConfig(BaseModel):
    """Everything that a sweep is; stored as `sweep.json` beside its results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmark: str = Field("demo", description="folder made by orchestrator.prepare, or the name of one in --data")
    method: tuple[str, ...] = Field((), description="a method, with its own search space (may be repeated)")
    space: Path | None = Field(None, description="search space, YAML (default: the methods' own; else the demo's)")
    protocol: AnyProtocol = Field(NAMED["ffcac-25"], description="name of a protocol, or its fields")
    seeds: tuple[SeedTriple, ...] = Field(
        tuple(SeedTriple(order=n, support=n, initialisation=n) for n in range(3)),
        description="number of seeds; in a file also triples of order, support and initialisation (default: 3)",
    )
    search: Strategy = Field("tpe", description="tpe (Optuna), random or grid")
    trials: int | None = Field(
        None,
        ge=1,
        description="configurations per method, each run with every seed (default: 8; a grid: all)",
    )
    search_seed: int = Field(0, ge=0, description="seed of tpe and random")
    objective: tuple[ObjectiveName, ...] = Field(
        ("aa",),
        min_length=1,
        description="what the search improves, on validation clips: aa, final, pd, forgetting, parameters "
        "(may be repeated; default: aa)",
    )
    stopping: Literal["none", "asha"] = Field("none", description="none, or asha: chains that fall behind end early")
    grace: int = Field(2, ge=1, description="asha: sessions that every chain gets")
    reduction: float = Field(3.0, gt=1, description="asha: one in so many chains goes on after grace, and so on")
    warm_start: tuple[str, ...] = Field(
        (), description="run, or name of one in --runs, whose configurations the search knows (may be repeated)"
    )
    backbone: str = Field(DEFAULT, description="a name, a checkpoint, a folder or a hub name")
    frontend: FrontEndSpec = Field(FrontEndSpec(), description="reference or kaldi")
    precision: Literal["float32", "bf16"] = Field("float32", description="float32 or bf16 (autocast)")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="cpu, cuda, or auto: cuda where trials have a share of a GPU"
    )
    cpus_per_trial: int = Field(1, ge=1, description="also the threads of a trial")
    gpus_per_trial: float = Field(0.0, ge=0, description="may be a fraction")
    memory_per_trial: Bytes | None = Field(
        None, description="such as 4GB: what a trial asks Ray for, and may use before it is ended (default: no limit)"
    )
    workers: int | None = Field(None, ge=1, description="trials at a time, at most (default: as many as fit)")
    budget: Seconds | None = Field(None, description="such as 2h, 90m, 1h30m: then no session begins (default: no end)")
    address: str = Field("local", description="Ray cluster; 'local' starts one on this machine")
    data: Path = Field(Path("data"), description="where named benchmarks lie")
    runs: Path = Field(Path("runs"), description="where runs lie on this machine")
    storage: str | None = Field(
        None, description="folder or URI that all nodes reach, for stages, embeddings and records (default: --runs)"
    )
    store_size: Bytes | None = Field(
        None, description="such as 50GB: what stages and embeddings may take; the least recently used go first"
    )
    share: bool = Field(True, description="trials share stages and embeddings; off only to measure what it saves")
    show: Literal["progress", "json", "verbose"] = Field(
        "progress", description="progress, json (events, a line each) or verbose (with Ray's own messages)"
    )
    log: tuple[Literal["mlflow", "wandb"], ...] = Field((), description="also log to mlflow or wandb (may be repeated)")
    dashboard: bool = Field(False, description="start Ray's dashboard with a local cluster")
    dry_run: bool = Field(
        False, description="tell what would run, how much is shared and how long it takes; run nothing"
    )
    name: str | None = Field(
        None, pattern=r"^[\w][\w.+-]*$", description="of the run (default: made from its configuration)"
    )

    @field_validator("seeds", mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        if isinstance(value, int):
            if value < 1:
                raise ValueError("must be at least 1")
            return [{"order": n, "support": n, "initialisation": n} for n in range(value)]
        return value

    @field_validator("seeds", "method", "log", "objective", "warm_start")
    @classmethod
    def _distinct(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(value)) != len(value):
            raise ValueError("names one twice")
        return value

    @field_validator("seeds")
    @classmethod
    def _at_least_one(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("must be at least 1")
        return value

    @field_validator("frontend", mode="before")
    @classmethod
    def _kind(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @field_validator("method", "log", "objective", "warm_start", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @property
    def chosen_device(self) -> str:
        """Where networks run."""
        if self.device == "auto":
            return "cuda" if self.gpus_per_trial > 0 else "cpu"
        return self.device

    def refuse_chains_of(self, sessions: int) -> None:
        """Refuses to stop chains early that are too short for it.

        Raises:
            EarshotError: no chain of so many sessions could ever be stopped.
        """
        if self.stopping == "asha" and self.grace >= sessions:
            raise EarshotError(
                f"grace: expected fewer than the {sessions} sessions of a chain, found {self.grace}; "
                "lower --grace or leave out --stopping"
            )

    def what(self) -> dict[str, Any]:
        """What the results depend on, in JSON types: without where and how fast.

        Objectives and stopping are named only where they are not as they were before there was a choice, so that
        older runs go on.
        """
        chosen = {"device": self.chosen_device, "backbone": Path(self.backbone).name}  # the same wherever it lies
        unsaid = {"objective"} if self.objective == ("aa",) else set()
        if self.stopping == "none":
            unsaid |= {"stopping", "grace", "reduction"}
        return {**self.model_dump(mode="json", exclude={*WHERE, *unsaid}), **chosen}
