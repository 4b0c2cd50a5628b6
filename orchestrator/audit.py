"""Audits a benchmark: duplicates, leaks, bad levels, imbalance, and the accuracy that duplicates allow.

    python -m orchestrator.audit data/ls100                                    a prepared benchmark, with its audio
    python -m orchestrator.audit ls100-published --meta lists --out audit      published lists, without audio

Exit codes: 0 done, 1 a defect named by --fail-on was found, 2 an error, 130 interrupted.
"""

import argparse
import io
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from datasets.benchmark.audit import Audit
from datasets.benchmark.shards import Shards
from datasets.corpora.corpus import Corpus, corpora
from datasets.utils.cli import CommandLine, as_program, positive
from datasets.utils.console import error_console, output_console, progress_bar
from datasets.utils.errors import EarshotError
from datasets.utils.location import is_uri
from datasets.utils.options import add_options
from datasets.utils.text import plural, printable
from orchestrator.auditing.audit import audit, audit_listing
from orchestrator.auditing.files import write_files
from orchestrator.auditing.findings import KINDS, NOTHING, Finding, findings, merged_ceilings, percent
from orchestrator.preparation.pipeline import resolve_options

_COLOURS = {"ok": "green", "note": "cyan", "warning": "bold red"}
_SESSIONS = 8  # shown in a row of ceilings
_COMMON = ("benchmark", "protocol", "order_seed", "out", "fail_on", "workers")


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names of classes and "±", where the terminal has no UTF-8
    listed = _with_lists()
    corpus = listed.get(words[0]) if words else None
    given = vars(parser(corpus).parse_args(words))
    common = {key: given.pop(key) for key in _COMMON}
    result = _audited(common, corpus, given, listed)
    found = findings(result)
    failed = _failures(found, common["fail_on"])
    files = write_files(result, found, common["out"]) if common["out"] else ()
    with suppress(SystemExit):  # how Rich ends where the reader left early, such as `head`
        _show(result, found, files, output_console())
    if failed:
        error_console().print(f"failed: findings matched --fail-on: {', '.join(failed)}")
    return 1 if failed else 0


def _with_lists() -> dict[str, Corpus[Any]]:
    """The corpora that have published lists, by name."""
    return {name: corpus for name, corpus in corpora().items() if type(corpus).listing is not Corpus.listing}


def parser(corpus: Corpus[Any] | None = None) -> CommandLine:
    """The command line.

    Args:
        corpus: whose published lists are audited; its options are added.
    """
    listed = _with_lists()
    made = CommandLine(
        "orchestrator.audit",
        usage="python -m orchestrator.audit BENCHMARK [options]",
        description=__doc__,
        epilog=f"Published lists: {', '.join(listed)}; `BENCHMARK --help` shows the options of one of them.",
    )
    made.add_argument(
        "benchmark",
        metavar="BENCHMARK",
        help="folder or URI of a prepared benchmark, or a corpus with published lists "
        "(its name comes first; a folder of that name is ./NAME)",
    )
    made.add_argument(
        "--protocol",
        action="append",
        metavar="NAME",
        help="ceilings under this protocol, such as ffcac-25; may be repeated (default: all that fit)",
    )
    made.add_argument(
        "--order-seed", type=_seed, metavar="N", help="draw the order of the classes (default: the published order)"
    )
    made.add_argument(
        "--out",
        type=_folder,
        metavar="DIR",
        help="write audit.md, audit.json, clips.csv, audit.png and audit.svg (default: only print)",
    )
    made.add_argument(
        "--fail-on",
        type=_kinds,
        default=(),
        metavar="KIND[,KIND]",
        help=f"exit with status 1 if there is such a finding: any, {', '.join(KINDS)} (default: exit with 0)",
    )
    made.add_argument(
        "--workers", type=positive, metavar="N", help="processes that measure audio (default: one per core)"
    )
    if corpus is not None:
        add_options(made.add_argument_group(f"options of {corpus.name}"), corpus.options_type)
    return made


def _kinds(text: str) -> tuple[str, ...]:
    chosen = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [kind for kind in chosen if kind not in (*KINDS, "any")]
    if unknown or not chosen:
        found = printable(unknown[0] if unknown else text)
        raise argparse.ArgumentTypeError(f"expected any or some of {', '.join(KINDS)}, found {found!r}")
    return chosen


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to {2**63 - 1}, found {printable(text)!r}")
    return int(text)


def _folder(text: str) -> Path:
    if not text or is_uri(text):
        found = "a URI; copy the files there afterwards" if text else "nothing"
        raise argparse.ArgumentTypeError(f"expected a folder of this machine, found {found}")
    return Path(text)


def _audited(
    common: dict[str, Any],
    corpus: Corpus[Any] | None,
    options: dict[str, Any],
    listed: Iterable[str],
) -> Audit:
    name, protocols, order_seed = common["benchmark"], common["protocol"], common["order_seed"]
    if corpus is not None:
        clips = corpus.listing(resolve_options(corpus, options))
        if clips is None:
            raise EarshotError(f"{name}: these options name no published lists; prepare it and audit its folder")
        return audit_listing(name, clips, protocols, order_seed)
    if not is_uri(name) and not Path(name).exists():
        raise EarshotError(
            f"{printable(name)}: expected a prepared benchmark or one of {', '.join(listed)}, found neither"
        )
    shards = Shards(name)
    description = f"measuring clips of {shards.manifest.name}"
    with progress_bar(description, len(shards.table), unit="clips") as listener:
        return audit(shards, protocols, order_seed, common["workers"], listener)


def _failures(found: Sequence[Finding], wanted: Sequence[str]) -> list[str]:
    """The kinds among `wanted` that were found."""
    for finding in found:
        if finding.kind in wanted and finding.verdict == "unknown":
            raise EarshotError(
                f"--fail-on {finding.kind}: expected audio, found lists alone; audit the prepared benchmark"
            )
    return [finding.kind for finding in found if finding.exists and ({"any", finding.kind} & set(wanted))]


def _show(result: Audit, found: Sequence[Finding], files: Sequence[Path], console: Console) -> None:
    table = result.clips.table
    train, val, test = result.counts.sum(axis=0)
    console.print(
        Text.assemble(
            (printable(result.name), "bold"),
            f": {len(table.class_names)} classes, {len(table)} clips of {result.clips.clip_seconds:g} s "
            f"(train {train}, val {val}, test {test}){'' if result.measures is not None else ', from lists alone'}",
        )
    )
    console.print()
    rows = _plain_table("check", "found", "example", "verdict")
    for finding in found:
        if finding.verdict != "unknown":
            cells = [Text(cell) for cell in (finding.title, finding.found, finding.example)]
            rows.add_row(*cells, Text(finding.verdict, style=_COLOURS[finding.verdict]))
    console.print(rows)
    if result.measures is None:
        console.print(Text("silence, clipping and levels need audio: audit the prepared benchmark", style="dim"))
    console.print()
    console.print(Text("Highest accuracy that identical test clips allow (%)", style="bold"))
    ceilings = _plain_table("protocol", "classes", "A_0 .. A_T", "AA")
    ceilings.add_row("all classes at once", str(len(table.class_names)), percent(result.ceiling), NOTHING)
    for names, one in merged_ceilings(result):
        classes = str(one.classes[0]) + (f" to {one.classes[-1]}" if len(one.classes) > 1 else "")
        if min(one.accuracy) == 1:
            steps = f"100 after each of {plural(len(one.accuracy), 'session')}"
        else:
            steps = " ".join(_middle_left_out([percent(value) for value in one.accuracy]))
        ceilings.add_row(names, classes, steps, percent(float(np.mean(one.accuracy))))
    console.print(ceilings)
    for path in files:
        console.print(Text(f"written: {path}"), soft_wrap=True)


def _plain_table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _middle_left_out(cells: list[str]) -> list[str]:
    if len(cells) <= _SESSIONS:
        return cells
    half = _SESSIONS // 2
    return [*cells[:half], "..", *cells[-half:]]


if __name__ == "__main__":
    sys.exit(main())
