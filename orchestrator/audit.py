"""Audit a benchmark: duplicates, leaks, levels, imbalance, and the accuracy that duplicates allow.

    earshot audit data/ls100                                      a prepared benchmark, with its audio
    earshot audit ls100-published --meta lists --out audit        published lists, without audio

Exit status: 0 success, 1 findings matched --fail-on, 2 error, 130 interrupted.
"""

import io
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from rich.console import Console
from rich.table import Table
from rich.text import Text

from datasets.benchmark.audit import Audit
from datasets.corpora.corpus import Corpus, CorpusOptions
from datasets.corpora.registry import corpora
from datasets.utils.cli import CommandLine, as_program
from datasets.utils.console import error_console, output_console, progress_bar
from datasets.utils.errors import EarshotError
from datasets.utils.options import Option, add_options
from datasets.utils.text import is_uri, plural, printable
from datasets.utils.validation import validated
from orchestrator.auditing.findings import KINDS, NOTHING, Finding, findings, merged_ceilings, percent

_COLOURS = {"ok": "green", "note": "cyan", "warning": "bold red", "unknown": "yellow"}
_MAX_SESSIONS = 8  # columns in a row of ceilings


def _kinds(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    kinds = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [kind for kind in kinds if kind not in (*KINDS, "any")]
    if unknown or not kinds:
        raise ValueError(f"expected any or some of {', '.join(KINDS)}")
    return kinds


class AuditOptions(BaseModel):
    """Options of the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: Annotated[tuple[str, ...], Option(metavar="NAME")] = Field(
        (), description="ceilings under this protocol, such as ffcac-25; may be repeated (default: all that fit)"
    )
    order_seed: int | None = Field(
        None, ge=0, lt=2**63, description="draw the order of the classes (default: the published order)"
    )
    out: Annotated[Path | None, Option(metavar="DIR")] = Field(
        None, description="write audit.md, audit.json, clips.csv, audit.png and audit.svg (default: only print)"
    )
    fail_on: Annotated[tuple[str, ...], BeforeValidator(_kinds), Option(metavar="KIND[,KIND]", repeatable=False)] = (
        Field(
            (),
            description=f"exit with status 1 if there is such a finding: any, {', '.join(KINDS)} (default: status 0)",
        )
    )
    workers: int | None = Field(None, ge=1, description="processes that measure audio (default: one per core)")


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names of classes and "±" on a terminal without UTF-8
    listed = listed_corpora()
    corpus = listed.get(words[0]) if words else None
    given = vars(parser(corpus).parse_args(words))
    name = given.pop("benchmark")
    common = {key: given.pop(key) for key in AuditOptions.model_fields if key in given}
    options = validated(AuditOptions, common, "command line", as_flags=True)
    facts = _audit(name, options, corpus, given, listed)
    results = findings(facts)
    failed = _failed_kinds(results, options.fail_on)
    files: Sequence[Path] = ()
    if options.out:
        from orchestrator.auditing.files import write_files  # imports matplotlib: about a second

        files = write_files(facts, results, options.out)
    with suppress(SystemExit):  # raised by Rich if the reader of the pipe exits early, such as `head`
        _print_audit(facts, results, files, output_console())
    if failed:
        error_console().print(f"failed: findings matched --fail-on: {', '.join(failed)}")
    return 1 if failed else 0


def listed_corpora() -> dict[str, Corpus[Any]]:
    """The corpora with published lists, by name."""
    return {name: corpus for name, corpus in corpora().items() if type(corpus).listing is not Corpus.listing}


def parser(corpus: Corpus[Any] | None = None) -> CommandLine:
    """The command line.

    Args:
        corpus: its published lists are audited; its options are added.
    """
    listed = listed_corpora()
    made = CommandLine(
        "orchestrator.audit",
        usage="earshot audit BENCHMARK [options]",
        description=__doc__,
        epilog=f"Published lists: {', '.join(listed)}; `BENCHMARK --help` shows the options of one of them.",
    )
    made.add_argument(
        "benchmark",
        metavar="BENCHMARK",
        help="folder or URI of a prepared benchmark, or a corpus with published lists "
        "(its name comes first; a folder of that name is ./NAME)",
    )
    add_options(made, AuditOptions)
    if corpus is not None:
        of_prepare = tuple(CorpusOptions.model_fields)  # of the audio, which lists do not have
        add_options(made.add_argument_group(f"options of {corpus.name}"), corpus.options_type, exclude=of_prepare)
    return made


def _audit(
    name: str,
    options: AuditOptions,
    corpus: Corpus[Any] | None,
    of_corpus: dict[str, Any],
    listed: Iterable[str],
) -> Audit:
    protocols = options.protocol or None
    if corpus is None and not is_uri(name) and not Path(name).exists():
        raise EarshotError(
            f"{printable(name)}: expected a prepared benchmark or one of {', '.join(listed)}, found neither"
        )
    from datasets.benchmark.shards import Shards  # `--help` and wrong paths are answered sooner
    from orchestrator.auditing.audit import audit, audit_listing
    from orchestrator.preparation.pipeline import resolve_options

    if corpus is not None:
        clips = corpus.listing(resolve_options(corpus, of_corpus))
        if clips is None:
            raise EarshotError(
                f"{name}: there are no published lists for these options; prepare the corpus and audit its folder"
            )
        return audit_listing(name, clips, protocols, options.order_seed)
    shards = Shards(name)
    description = f"measuring clips of {shards.manifest.name}"
    with progress_bar(description, len(shards.table), unit="clips") as listener:
        return audit(shards, protocols, options.order_seed, options.workers, listener)


def _failed_kinds(results: Sequence[Finding], fail_on: Sequence[str]) -> list[str]:
    """The kinds in `fail_on` with a defect.

    Raises:
        EarshotError: such a kind needs audio, and only lists were audited.
    """
    for finding in results:
        if finding.kind in fail_on and finding.needs_audio:
            raise EarshotError(
                f"--fail-on {finding.kind}: expected audio, found only lists; audit the prepared benchmark"
            )
    return [finding.kind for finding in results if finding.is_defect and ({"any", finding.kind} & set(fail_on))]


def _print_audit(facts: Audit, results: Sequence[Finding], files: Sequence[Path], console: Console) -> None:
    _print_findings(facts, results, console)
    console.print()
    _print_ceilings(facts, console)
    for path in files:
        console.print(Text(f"written: {path}"), soft_wrap=True)


def _print_findings(facts: Audit, results: Sequence[Finding], console: Console) -> None:
    table = facts.clips.table
    train, val, test = facts.counts.sum(axis=0)
    console.print(
        Text.assemble(
            (printable(facts.name), "bold"),
            f": {len(table.class_names)} classes, {len(table)} clips of {facts.clips.clip_seconds:g} s "
            f"(train {train}, val {val}, test {test}){'' if facts.measures is not None else ', from lists only'}",
        )
    )
    console.print()
    rows = _plain_table("check", "result", "example", "verdict")
    for finding in results:
        if not finding.needs_audio:
            cells = [Text(cell) for cell in (finding.title, finding.result, finding.example)]
            rows.add_row(*cells, Text(finding.verdict, style=_COLOURS[finding.verdict]))
    console.print(rows)
    if facts.measures is None:
        console.print(
            Text("near-duplicates, silence, clipping and levels need audio: audit the prepared benchmark", style="dim")
        )


def _print_ceilings(facts: Audit, console: Console) -> None:
    console.print(Text("Highest accuracy that identical test clips allow (%)", style="bold"))
    rows = _plain_table("protocol", "classes", "A_0 .. A_T", "AA")
    rows.add_row("all classes at once", str(len(facts.clips.table.class_names)), percent(facts.ceiling), NOTHING)
    for names, ceiling in merged_ceilings(facts):
        classes = str(ceiling.classes[0]) + (f" to {ceiling.classes[-1]}" if len(ceiling.classes) > 1 else "")
        if min(ceiling.accuracy) == 1:
            steps = f"100 after each of {plural(len(ceiling.accuracy), 'session')}"
        else:
            steps = " ".join(_abbreviate([percent(value) for value in ceiling.accuracy]))
        rows.add_row(names, classes, steps, percent(float(np.mean(ceiling.accuracy))))
    console.print(rows)


def _plain_table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _abbreviate(cells: list[str]) -> list[str]:
    """The first and last cells, if there are many."""
    if len(cells) <= _MAX_SESSIONS:
        return cells
    half = _MAX_SESSIONS // 2
    return [*cells[:half], "..", *cells[-half:]]


if __name__ == "__main__":
    sys.exit(main())
