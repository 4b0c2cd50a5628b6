"""Test a method against the rules that resuming, sharing and comparing rely on, without a benchmark.

    earshot check-method mymethod.py:MyLearner
    earshot check-method mypackage.methods:MyLearner --backbone random-small
    earshot check-method simplecil --json

The method learns a few sessions of synthetic clips, with its default settings but few epochs. Exit status: 0 all checks
passed, 1 one failed, 2 there is no such method or it cannot be imported.
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.installed import check_names
from datasets.utils.options import JSON, add_options
from datasets.utils.validation import validated
from trainables.methods.registry import method_code, method_names
from trainables.networks.specs import BackboneSpec, ClipFormat

if TYPE_CHECKING:
    from trainables.learners.learner import Learner
    from trainables.method_checks.rules import Result

SCHEMA_VERSION = 1


class CheckOptions(BaseModel):
    """Options of the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str = Field("random-tiny", description="that the method runs on (default: random-tiny)")
    as_json: Annotated[bool, JSON] = Field(False, description="print one JSON document instead of a table")


def parser() -> CommandLine:
    """The command line."""
    command = CommandLine("orchestrator.check_method", description=__doc__)
    command.add_argument(
        "method", metavar="METHOD", help="FILE.py:CLASS, MODULE:CLASS, or the name of a method, installed or of Earshot"
    )
    add_options(command, CheckOptions)
    return command


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`earshot check-method`."""
    given = vars(parser().parse_args(arguments))
    name = given.pop("method")
    options = validated(CheckOptions, given, "command line", as_flags=True)
    code = method_code(name)  # before the imports: a wrong path fails at once
    check_names("method", [name], method_names())
    from trainables.methods.registry import find_method

    method = find_method(name, code)
    results = _results(method, options.backbone)
    if options.as_json:
        from datasets.utils.json_values import json_text

        checks = [asdict(result) for result in results]
        print(json_text({"schema_version": SCHEMA_VERSION, "method": method.name, "checks": checks}, indent=1))
    else:
        _print(method, results)
    return 1 if any(result.status == "failed" for result in results) else 0


def _results(method: "type[Learner]", backbone: str) -> "list[Result]":
    import torch

    from trainables.method_checks.clips import NUM_SAMPLES, SAMPLE_RATE
    from trainables.method_checks.rules import run_checks
    from trainables.method_checks.subject import Subject, quick_settings
    from trainables.methods.registry import check_backbone
    from trainables.networks.backbones.registry import load_backbone
    from trainables.networks.frontend import FrontEnd
    from trainables.networks.specs import FrontEndSpec
    from trainables.store.arrays import ArrayStore

    torch.set_num_threads(1)
    settings, clips = quick_settings(method), ClipFormat(SAMPLE_RATE, NUM_SAMPLES)
    network = load_backbone(BackboneSpec(backbone), clips) if method.backbone else None
    if network is not None:
        check_backbone(method, settings, network, backbone)
    frontend = network.frontend if network is not None else FrontEnd(FrontEndSpec(), SAMPLE_RATE, NUM_SAMPLES)
    with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
        return run_checks(Subject(method, settings, network, frontend, ArrayStore(Path(folder))))


def _print(method: "type[Learner]", results: "Sequence[Result]") -> None:
    from rich.table import Table
    from rich.text import Text

    from datasets.utils.console import output_console
    from datasets.utils.text import printable

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("check", "result", "expected", "found"):
        table.add_column(heading, overflow="fold")
    for result in results:
        table.add_row(*map(Text, (result.check, result.status, result.expected, printable(result.found))))
    console = output_console()
    console.print(table)
    count = sum(result.status == "failed" for result in results)
    console.print(Text(f"\n{method.name}: {len(results) - count} of {len(results)} checks passed or do not apply"))


if __name__ == "__main__":
    sys.exit(main())
