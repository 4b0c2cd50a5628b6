"""Cut a corpus of recordings into a benchmark of clips.

    python -m orchestrator.prepare demo --out data/demo
    python -m orchestrator.prepare ls100 --source LibriSpeech/train-clean-100 --out data/ls100
    python -m orchestrator.prepare folder --source recordings --out data/mine --clip-seconds 2
    python -m orchestrator.prepare CORPUS --help                     the options of a corpus

`fsd-mix-sed` makes no benchmark but recordings: the soundscapes that `fsc89` is cut from. The same command goes on
after any interruption. Exit status: 0 done (or nothing to do), 2 an error that the user can mend, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from datasets.corpora.corpus import corpora
from datasets.corpora.inventory import Rejection
from datasets.utils.cli import CommandLine, as_program, fraction, local_path, positive
from datasets.utils.errors import Interrupted
from datasets.utils.location import Location
from datasets.utils.options import add_options
from orchestrator.preparation.output_folder import REJECTED
from orchestrator.preparation.pipeline import Outcome, Settings, run
from orchestrator.preparation.shard_tasks import Progress
from orchestrator.preparation.soundscape_tasks import RenderOutcome, render

RENDERED = "fsd-mix-sed"
SHOWN = 10  # rejected files that are told on the console


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    given = vars(parser().parse_args(arguments))
    bar = _bar(console)
    try:
        if given["corpus"] == RENDERED:
            del given["corpus"]
            _tell_rendered(_render(given, bar), given["out"], console)
        else:
            settings = Settings(**{key: given.pop(key, None) for key in _SETTINGS}, options=given)
            _summarise(_prepare(settings, bar), settings, console)
    except KeyboardInterrupt:
        known = [task for task in bar.tasks if task.total]
        done = f"{known[0].completed:.0f} of {known[0].total:.0f} units are done" if known else "nothing was begun"
        raise Interrupted(f"interrupted: {done}; run the same command again to resume") from None
    return 0


_SETTINGS = ("corpus", "source", "out", "name", "max_rejected", "workers", "force")


def parser() -> CommandLine:
    """The command line."""
    made = CommandLine(
        "orchestrator.prepare",
        description=__doc__,
    )
    commands = made.add_subparsers(dest="corpus", required=True, metavar="CORPUS")
    for name, corpus in corpora().items():
        command = commands.add_parser(name, help=corpus.summary, description=corpus.summary, allow_abbrev=False)
        if corpus.reads_folder:
            command.add_argument(
                "--source",
                type=local_path,
                required=not corpus.generates,
                metavar="DIR",
                help="folder of the recordings" + (" (default: made in OUT/source)" if corpus.generates else ""),
            )
        command.add_argument(
            "--out", required=True, metavar="DIR", help="folder of the benchmark, or a URI (s3://, gs://, file://)"
        )
        command.add_argument("--name", metavar="NAME", help="of the benchmark (default: of the folder)")
        _add_common(command)
        command.add_argument("--force", action="store_true", help="replace a benchmark that was made otherwise")
        add_options(command.add_argument_group(f"options of {name}"), corpus.options_type)
    text = "render the soundscapes of FSD-MIX-SED, which fsc89 is cut from, with scaper (needs the extra [fsd])"
    command = commands.add_parser(RENDERED, help=text, description=text, allow_abbrev=False)
    for flag, what in (
        ("--annotations", "the unpacked FSD_MIX_SED.annotations"),
        ("--sources", "the unpacked FSD_MIX_SED.source"),
        ("--out", "folder of the soundscapes"),
    ):
        command.add_argument(flag, type=local_path, required=True, metavar="DIR", help=what)
    _add_common(command)
    return made


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--max-rejected",
        type=fraction,
        default=0.01,
        metavar="FRACTION",
        help="how many of the files may be unusable (default: 0.01)",
    )
    command.add_argument("--workers", type=positive, metavar="N", help="processes at a time (default: one per core)")


def _bar(console: Console) -> Bar:
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _prepare(settings: Settings, bar: Bar) -> Outcome:
    with bar:
        name = settings.name or Location.of(settings.out).name
        task = bar.add_task(f"preparing {escape(name)}", total=None, unit="units")

        def listener(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.total, unit=f"units, {progress.clips} clips")

        return run(settings, listener)


def _render(given: dict[str, Any], bar: Bar) -> RenderOutcome:
    with bar:
        task = bar.add_task("rendering", total=None, unit="soundscapes")
        return render(**given, listener=lambda done, total: bar.update(task, completed=done, total=total))


def _summarise(outcome: Outcome, settings: Settings, console: Console) -> None:
    manifest = outcome.manifest
    if not outcome.computed:
        console.print(f"nothing to do: {escape(str(Location.of(settings.out)))} is complete and up to date")
    _tell_rejected(outcome.rejected, settings.out, console)
    for warning in outcome.warnings:
        console.print(f"warning: {escape(warning)}")
    clips = manifest.clips
    hours = clips.total * manifest.num_samples / manifest.sample_rate / 3600
    ignored = "" if outcome.ignored is None else f", {outcome.ignored} others ignored"
    _tell(
        ("benchmark", manifest.name),
        ("classes", f"{len(manifest.classes)}"),
        ("clips", f"{clips.total} (train {clips.train}, val {clips.val}, test {clips.test})"),
        ("clip", f"{manifest.num_samples / manifest.sample_rate:g} s at {manifest.sample_rate} Hz"),
        ("audio", f"{hours:.2f} h, {sum(shard.bytes for shard in manifest.shards) / 1e6:.1f} MB"),
        ("files", f"{manifest.source.files}, {manifest.source.rejected} rejected{ignored}"),
        ("units", f"{outcome.computed} cut, {outcome.reused} already done"),
        ("seconds", f"{outcome.seconds:.1f}"),
        ("folder", str(Location.of(settings.out))),
    )


def _tell_rendered(outcome: RenderOutcome, out: Path, console: Console) -> None:
    _tell_rejected(outcome.rejected, out, console)
    _tell(
        ("soundscapes", f"{outcome.rendered} rendered, {outcome.reused} already there"),
        ("annotations", f"{len(outcome.rejected)} rejected, {outcome.ignored} other files ignored"),
        ("seconds", f"{outcome.seconds:.1f}"),
        ("folder", str(out)),
    )


def _tell(*rows: tuple[str, str]) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    for key, value in rows:
        table.add_row(key, escape(value))
    Console(soft_wrap=True, highlight=False).print(table)


def _tell_rejected(rejected: Sequence[Rejection], out: Path | str | Location, console: Console) -> None:
    for rejection in rejected[:SHOWN]:
        console.print(f"rejected: {escape(rejection.file)}: {escape(rejection.reason)}")
    if len(rejected) > SHOWN:
        console.print(f"... and {len(rejected) - SHOWN} more: see {escape(str(Location.of(out) / REJECTED))}")


if __name__ == "__main__":
    sys.exit(main())
