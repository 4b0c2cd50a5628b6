"""The configuration of a sweep: one model, filled from YAML and the command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_serializer,
    field_validator,
    model_validator,
)

from datasets.benchmark.protocol import NAMED, AnyProtocol
from datasets.utils.errors import EarshotError
from datasets.utils.humanize import parse_duration, parse_size
from datasets.utils.options import Option, option_of
from orchestrator.results.objectives import ObjectiveName
from trainables.networks.specs import (
    DEFAULT,
    OPTIONS,
    BackboneSpec,
    FrontEndSpec,
    Layer,
    Padding,
    Pool,
    Revision,
    distinguishing_parts,
    split_options,
)
from trainables.records import SeedTriple

Strategy = Literal["tpe", "random", "grid"]
Seconds = Annotated[float, BeforeValidator(parse_duration)]
Bytes = Annotated[int, BeforeValidator(parse_size)]

Methods = dict[str, dict[str, Any] | None]
"""A search space in a configuration: method -> its settings, as below `methods:` in a file of one."""

ATTEMPTS = 4
"""How many times a trial is started whose worker process dies."""


@dataclass(frozen=True)
class Setting(Option):
    """An option of a sweep.

    Attributes:
        affects_results: whether results depend on it; a resumed run may change the others.
    """

    affects_results: bool = True


EXPERIMENT = Setting("experiment")
SEARCH = Setting("search")
EXECUTION = Setting("execution", affects_results=False)
OUTPUT = Setting("output", affects_results=False)


class SweepConfig(BaseModel):
    """All settings of a sweep; stored as `sweep.json` in the run folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmark: Annotated[str, EXPERIMENT] = Field(
        "demo", description="folder made by earshot prepare, or the name of one in --data"
    )
    method: Annotated[tuple[str, ...], EXPERIMENT] = Field(
        (), description="a method, with its own search space (may be repeated)"
    )
    space: Annotated[Path | Methods | None, Setting("experiment", metavar="SPACE", affects_results=False)] = Field(
        None,
        description="search space: a YAML file or a name; in a file also the methods with their settings (default: "
        "those of the methods, else the demo)",
    )
    protocol: Annotated[AnyProtocol, Setting("protocol", metavar="NAME")] = Field(
        NAMED["ffcac-25"],
        description=f"{', '.join(NAMED)} (default: ffcac-25); in a file also its fields. "
        "The options below change single fields",
    )
    seeds: Annotated[tuple[SeedTriple, ...], Setting("experiment", metavar="N", repeatable=False)] = Field(
        tuple(SeedTriple(order=n, support=n, initialisation=n) for n in range(3)),
        description="number of seeds; in a file also triples of order, support and initialisation (default: 3)",
    )
    search: Annotated[Strategy, SEARCH] = Field("tpe", description="tpe (Optuna), random or grid")
    trials: Annotated[int | None, SEARCH] = Field(
        None,
        ge=1,
        description="configurations per method, each run with every seed (default: 8; a grid: all)",
    )
    search_seed: Annotated[int, SEARCH] = Field(0, ge=0, description="seed of tpe and random")
    objective: Annotated[tuple[ObjectiveName, ...], SEARCH] = Field(
        ("aa",),
        min_length=1,
        description="what the search optimises, on validation clips: aa, final, pd, forgetting, parameters "
        "(may be repeated; default: aa)",
    )
    stopping: Annotated[Literal["none", "asha"], SEARCH] = Field(
        "none", description="none, or asha: stop chains early that are worse than others"
    )
    grace: Annotated[int, SEARCH] = Field(2, ge=1, description="asha: sessions that every chain gets")
    reduction: Annotated[float, SEARCH] = Field(
        3.0, gt=1, description="asha: reduction factor; the best 1/X of the chains continue at each rung"
    )
    warm_start: Annotated[tuple[str, ...], Setting("search", metavar="RUN", affects_results=False)] = Field(
        (), description="run, or name of one in --runs, whose configurations the search starts from (may be repeated)"
    )
    backbone: Annotated[tuple[str, ...], Setting("experiment", metavar="BACKBONE")] = Field(
        (DEFAULT,),
        min_length=1,
        description="a name, a checkpoint file, a folder or the name of a model on Hugging Face; NAME@layer=6 gives it "
        f"options of its own (may be repeated, to compare; default: {DEFAULT})",
    )
    frontend: Annotated[FrontEndSpec, Setting("experiment", metavar="KIND")] = Field(
        FrontEndSpec(), description="kaldi or reference"
    )
    layer: Annotated[Layer, Setting("experiment", metavar="LAYER")] = Field(
        "last",
        exclude_if=lambda layer: layer == "last",
        description="layer of the backbone that embeds: its number, last, or mean of all (docs/backbone.md)",
    )
    pool: Annotated[Pool | None, Setting("experiment", metavar="POOL")] = Field(
        None,
        exclude_if=lambda pool: pool is None,
        description="how the backbone's tokens become an embedding: mean, cls, pooler or projection, where it has a "
        "choice (default: the first that docs/backbone.md lists)",
    )
    padding: Annotated[Padding, EXPERIMENT] = Field(
        "model",
        exclude_if=lambda padding: padding == "model",
        description="of clips, for Whisper: model (to the 30 s that it was trained with) or none (faster)",
    )
    trust_remote_code: Annotated[Revision | None, Setting("experiment", metavar="REVISION")] = Field(
        None,
        exclude_if=lambda revision: revision is None,
        description="run the code that comes with a backbone, as you: a commit of a model on the hub, or local for a "
        "folder (default: never; docs/security.md)",
    )
    precision: Annotated[Literal["float32", "bf16"], EXPERIMENT] = Field(
        "float32", description="float32 or bf16 (autocast)"
    )
    device: Annotated[Literal["auto", "cpu", "cuda"], EXECUTION] = Field(
        "auto", description="cpu, cuda, or auto: cuda if --gpus-per-trial is given"
    )
    cpus_per_trial: Annotated[int, Setting("execution")] = Field(  # the number of threads decides the last bits
        1, ge=1, description="CPUs of a trial, and threads that it computes with"
    )
    gpus_per_trial: Annotated[float, EXECUTION] = Field(0.0, ge=0, description="GPUs of a trial; may be a fraction")
    memory_per_trial: Annotated[Bytes | None, Setting("execution", metavar="SIZE", affects_results=False)] = Field(
        None, description="memory that a trial requests from Ray and may use at most, such as 4GB (default: no limit)"
    )
    workers: Annotated[int | None, EXECUTION] = Field(
        None, ge=1, description="trials at a time, at most (default: as many as fit)"
    )
    budget: Annotated[Seconds | None, Setting("execution", metavar="TIME", affects_results=False)] = Field(
        None, description="no new session starts after this time, such as 2h, 90m or 1h30m (default: unlimited)"
    )
    address: Annotated[str, EXECUTION] = Field("local", description="Ray cluster; local starts one on this machine")
    data: Annotated[Path, Setting("execution", metavar="DIR", affects_results=False)] = Field(
        Path("data"), description="folder of the benchmarks that are given by name"
    )
    runs: Annotated[Path, Setting("execution", metavar="DIR", affects_results=False)] = Field(
        Path("runs"), description="folder of the runs, on this machine"
    )
    storage: Annotated[str | None, Setting("execution", metavar="PLACE", affects_results=False)] = Field(
        None,
        description="folder or URI that all nodes can access, for stages, embeddings and records (default: --runs)",
    )
    store_size: Annotated[Bytes | None, Setting("execution", metavar="SIZE", affects_results=False)] = Field(
        None,
        description="limit of stages and embeddings together, such as 50GB; the least recently used are evicted "
        "(default: unlimited)",
    )
    share: Annotated[bool, EXECUTION] = Field(
        True, description="trials share stages and embeddings; turn it off only to measure what that saves"
    )
    show: Annotated[
        Literal["progress", "json", "verbose"],
        Setting(
            "output",
            switches=(("json", "print events as JSON, one per line"), ("verbose", "also show the messages of Ray")),
            affects_results=False,
        ),
    ] = Field("progress", description="progress, json (events, one per line) or verbose (with the messages of Ray)")
    log: Annotated[tuple[Literal["mlflow", "wandb"], ...], OUTPUT] = Field(
        (), description="also log to mlflow or wandb (may be repeated)"
    )
    dashboard: Annotated[bool, OUTPUT] = Field(False, description="start Ray's dashboard with a local cluster")
    dry_run: Annotated[bool, OUTPUT] = Field(
        False, description="print what would run, how much is shared and how long it takes; run nothing"
    )
    name: Annotated[str | None, OUTPUT] = Field(
        None, pattern=r"^[\w][\w.+-]*$", description="name of the run (default: made from its configuration)"
    )

    @field_validator("seeds", mode="before")
    @classmethod
    def _expand_count(cls, value: Any) -> Any:
        count = int(value) if isinstance(value, str) and value.isdecimal() else value
        if isinstance(count, int):
            if count < 1:
                raise ValueError("must be at least 1")
            return [{"order": n, "support": n, "initialisation": n} for n in range(count)]
        return value

    @model_validator(mode="before")
    @classmethod
    def _options_of_one_backbone(cls, values: Any) -> Any:
        """`NAME@layer=6` alone is the same sweep as `NAME` with `--layer 6`."""
        backbone = values.get("backbone") if isinstance(values, dict) else None
        if isinstance(backbone, list | tuple) and len(backbone) == 1:
            backbone = backbone[0]
        if not isinstance(backbone, str):
            return values
        name, options = split_options(backbone)
        if unknown := [key for key in options if key not in OPTIONS]:
            raise ValueError(f"backbone '{name}': has no option '{unknown[0]}'; expected {', '.join(OPTIONS)}")
        return {**values, "backbone": name, **options}

    @field_validator("seeds", "method", "log", "objective", "warm_start", "backbone")
    @classmethod
    def _check_distinct(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(value)) != len(value):
            raise ValueError("names one twice")
        return value

    @field_validator("seeds")
    @classmethod
    def _check_not_empty(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value:
            raise ValueError("must be at least 1")
        return value

    @field_validator("frontend", mode="before")
    @classmethod
    def _from_kind(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @field_validator("method", "log", "objective", "warm_start", "backbone", mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_serializer("backbone")
    def _one_as_text(self, backbones: tuple[str, ...]) -> str | list[str]:
        return backbones[0] if len(backbones) == 1 else list(backbones)

    @model_validator(mode="after")
    def _check_backbones(self) -> "SweepConfig":
        if len(set(self.backbones)) != len(self.backbone):
            raise ValueError("backbone: names one twice")
        if self.trust_remote_code is not None and len(self.backbone) > 1:
            raise ValueError("trust_remote_code: of several backbones, give it to one: NAME@trust_remote_code=REVISION")
        return self

    @property
    def backbones(self) -> tuple[BackboneSpec, ...]:
        """The backbones with their options: those of the sweep, unless a backbone has its own."""
        common = BackboneSpec("", self.frontend, self.layer, self.pool, self.padding, self.trust_remote_code)
        return tuple(common.parse(text) for text in self.backbone)

    @property
    def backbone_parts(self) -> int:
        """How many of the last parts of their names distinguish the backbones."""
        return distinguishing_parts(spec.name for spec in self.backbones)

    @property
    def chosen_device(self) -> str:
        """The device of the networks: cpu or cuda."""
        if self.device == "auto":
            return "cuda" if self.gpus_per_trial > 0 else "cpu"
        return self.device

    def check_stopping(self, sessions: int) -> None:
        """Checks that early stopping can stop a chain.

        Args:
            sessions: of a chain.

        Raises:
            EarshotError: chains end before the grace period does.
        """
        if self.stopping == "asha" and self.grace >= sessions:
            raise EarshotError(
                f"grace: expected fewer than the {sessions} sessions of a chain, found {self.grace}; "
                "lower --grace or leave out --stopping"
            )

    def what(self) -> dict[str, Any]:
        """The settings that results depend on, in JSON types.

        Objectives and early stopping are left out where they have their defaults: runs from before these settings
        existed can still be resumed.
        """
        omitted = {name for name, field in type(self).model_fields.items() if not _affects_results(option_of(field))}
        if self.objective == ("aa",):
            omitted.add("objective")
        if self.stopping == "none":
            omitted |= {"stopping", "grace", "reduction"}
        values = self.model_dump(mode="json", exclude=omitted)
        # the name of a backbone, not its folder: it may lie elsewhere on another machine
        names = [str(spec.short(self.backbone_parts)) for spec in self.backbones]
        one = self.backbones[0].short().name if len(names) == 1 else names
        return {**values, "device": self.chosen_device, "backbone": one}


def _affects_results(option: Option) -> bool:
    return not isinstance(option, Setting) or option.affects_results
