"""The configuration of a sweep: one model, filled from YAML and the command line."""

import argparse
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.fields import FieldInfo

from datasets.errors import EarshotError
from datasets.protocol import NAMED, AnyProtocol
from trainables.frontend import FrontEndSpec
from trainables.records import SeedTriple
from trainables.settings import read_yaml, validated

Strategy = Literal["tpe", "random", "grid"]


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
    backbone: str = Field("random-tiny", description="random-tiny, a checkpoint, a folder or a hub name")
    frontend: FrontEndSpec = Field(FrontEndSpec(), description="reference or kaldi")
    precision: Literal["float32", "bf16"] = Field("float32", description="float32 or bf16 (autocast)")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="cpu, cuda, or auto: cuda where trials have a share of a GPU"
    )
    cpus_per_trial: int = Field(1, ge=1, description="also the threads of a trial")
    gpus_per_trial: float = Field(0.0, ge=0, description="may be a fraction")
    workers: int | None = Field(None, ge=1, description="trials at a time, at most (default: as many as fit)")
    address: str = Field("local", description="Ray cluster; 'local' starts one on this machine")
    data: Path = Field(Path("data"), description="where named benchmarks lie")
    runs: Path = Field(Path("runs"), description="where runs, and the store that they share, lie")
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

    @field_validator("seeds", "method")
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

    @field_validator("method", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @property
    def chosen_device(self) -> str:
        """Where networks run."""
        if self.device == "auto":
            return "cuda" if self.gpus_per_trial > 0 else "cpu"
        return self.device

    def what(self) -> dict[str, Any]:
        """What the results depend on, in JSON types: without where and how fast."""
        where = {"address", "workers", "runs", "data", "name", "device", "gpus_per_trial", "space"}
        return {**self.model_dump(mode="json", exclude=where), "device": self.chosen_device}


def parse(arguments: list[str] | None = None, description: str | None = None) -> SweepConfig:
    """The configuration from the command line, over the one from `--config`, over the defaults.

    Raises:
        EarshotError: a key or value is not what it should be.
    """
    fields = SweepConfig.model_fields
    protocol = type(NAMED["free"]).model_fields
    parser = argparse.ArgumentParser(
        prog="python -m orchestrator.sweep",
        usage="%(prog)s [--config FILE] [options]",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML with any of these settings")

    def add(group: Any, name: str, field: FieldInfo, **keywords: Any) -> None:
        text = field.description or ""
        if "default" not in text and field.default not in (None, ()):
            text += f" (default: {field.default})"
        keywords.setdefault("metavar", name.split("_")[-1].upper())
        group.add_argument(f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, help=text, **keywords)

    what = parser.add_argument_group("what")
    for name in ("benchmark", "method", "space", "seeds", "search", "trials", "search_seed", "backbone"):
        add(what, name, fields[name], **({"action": "append"} if name == "method" else {}))
    what.add_argument(
        "--frontend", default=argparse.SUPPRESS, metavar="KIND", help="kaldi or reference (default: kaldi)"
    )
    add(what, "precision", fields["precision"])
    rules = parser.add_argument_group("protocol")
    rules.add_argument(
        "--protocol",
        default=argparse.SUPPRESS,
        metavar="NAME",
        help=f"{', '.join(NAMED)} (default: ffcac-25); the rest changes it",
    )
    for name in ("base", "way", "shot", "base_shot", "sessions", "class_order", "validation", "exemplars"):
        text = (protocol[name].description or "").split(" (default")[0]
        rules.add_argument(
            f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, metavar=name.split("_")[-1].upper(), help=text
        )
    where = parser.add_argument_group("where")
    for name in ("device", "cpus_per_trial", "gpus_per_trial", "workers", "address", "data", "runs", "name"):
        add(where, name, fields[name], metavar=name.split("_")[0].upper())

    given = {key: value for key, value in vars(parser.parse_args(arguments)).items() if key != "config"}
    path = parser.parse_args(arguments).config
    values = read_yaml(path) if path else {}
    if not isinstance(values, dict):
        raise EarshotError(f"{path}: expected settings with values, found {type(values).__name__}")
    if isinstance(given.get("seeds"), str) and given["seeds"].isdecimal():
        given["seeds"] = int(given["seeds"])
    rules_given = {key: given.pop(key) for key in list(given) if key in protocol and key != "name"}
    if isinstance(rules_given.get("class_order"), str) and rules_given["class_order"][:1].isdigit():
        rules_given["class_order"] = rules_given["class_order"].split(",")
    if rules_given:
        named = given.get("protocol", values.get("protocol", "ffcac-25"))
        given["protocol"] = {**(named if isinstance(named, dict) else {"name": named}), **rules_given}
    return validated(SweepConfig, {**values, **given}, str(path) if path else "command line")
