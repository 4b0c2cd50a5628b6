"""The command line of a sweep: arguments -> SweepConfig."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from datasets.benchmark.protocol import NAMED
from datasets.utils.cli import CommandLine
from datasets.utils.errors import EarshotError
from datasets.utils.validation import read_yaml, validated
from orchestrator.results.run_folder import RunFolder
from orchestrator.tuning.config import SweepConfig


def parser(description: str | None = None) -> CommandLine:
    """The command line of a sweep.

    Args:
        description: what --help begins with.
    """
    fields = SweepConfig.model_fields
    protocol = type(NAMED["free"]).model_fields
    made = CommandLine(
        "orchestrator.sweep",
        usage="%(prog)s [--config FILE] [options]",
        description=description,
    )
    made.add_argument("--config", type=Path, metavar="FILE", help="YAML with any of these settings")
    made.add_argument("--resume", metavar="RUN", help="go on with a run: its folder, or its name in runs/")

    def add(group: Any, name: str, field: FieldInfo, **keywords: Any) -> None:
        text = field.description or ""
        if "default" not in text and field.default not in (None, ()):
            text += f" (default: {field.default})"
        keywords.setdefault("metavar", name.split("_")[-1].upper())
        group.add_argument(f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, help=text, **keywords)

    what = made.add_argument_group("what")
    for name in ("benchmark", "method", "space", "seeds", "search", "trials", "search_seed", "backbone"):
        add(what, name, fields[name], **({"action": "append"} if name == "method" else {}))
    for name in ("objective", "stopping", "grace", "reduction", "warm_start"):
        repeated = name in ("objective", "warm_start")
        add(what, name, fields[name], **({"action": "append"} if repeated else {}))
    what.add_argument(
        "--frontend", default=argparse.SUPPRESS, metavar="KIND", help="kaldi or reference (default: kaldi)"
    )
    add(what, "precision", fields["precision"])
    rules = made.add_argument_group("protocol")
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
    where = made.add_argument_group("where")
    for name in ("device", "cpus_per_trial", "gpus_per_trial", "memory_per_trial", "workers", "budget"):
        add(where, name, fields[name], metavar=name.split("_")[0].upper())
    for name in ("address", "data", "runs", "storage", "store_size", "name"):
        add(where, name, fields[name], metavar=name.split("_")[0].upper())
    where.add_argument(
        "--no-share", dest="share", action="store_false", default=argparse.SUPPRESS, help="trials share nothing"
    )
    shown = made.add_argument_group("what is seen")
    for flag, text in (("json", "events as JSON, a line each"), ("verbose", "with Ray's own messages")):
        shown.add_argument(
            f"--{flag}", dest="show", action="store_const", const=flag, default=argparse.SUPPRESS, help=text
        )
    add(shown, "log", fields["log"], action="append", metavar="WHERE")
    shown.add_argument("--dry-run", action="store_true", default=argparse.SUPPRESS, help=fields["dry_run"].description)
    shown.add_argument(
        "--dashboard", action="store_true", default=argparse.SUPPRESS, help=fields["dashboard"].description
    )
    return made


def parse(arguments: Sequence[str] | None = None, description: str | None = None) -> SweepConfig:
    """The configuration from the command line, over the one from `--config`, over the defaults.

    Raises:
        EarshotError: a key or value is not what it should be.
    """
    protocol = type(NAMED["free"]).model_fields
    given = vars(parser(description).parse_args(arguments))
    path, resumed = given.pop("config", None), given.pop("resume", None)
    if path and resumed:
        raise EarshotError("--resume: goes on with the configuration of the run, so it takes no --config")
    values = _stored(resumed) if resumed else read_yaml(path) if path else {}
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


def _stored(run: str) -> dict[str, Any]:
    """The configuration that a run was started with."""
    folder = RunFolder.find(run)
    stored = folder.where()
    if not stored:
        raise EarshotError(
            f"{folder.path / 'sweep.json'}: does not tell how the run was started; start it with its own command again"
        )
    mine = {
        key: value for key, value in stored.items() if key not in ("budget", "show", "dry_run")
    }  # those of one launch
    return {**mine, "runs": str(folder.path.parent), "name": folder.path.name}
