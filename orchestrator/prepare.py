"""Cut a corpus of recordings into a benchmark of clips.

    earshot prepare demo --out data/demo
    earshot prepare ls100 --source LibriSpeech/train-clean-100 --out data/ls100
    earshot prepare folder --source recordings --out data/mine --clip-seconds 2
    earshot prepare table --source recordings --csv labels.csv --out data/mine
    earshot prepare esc50 --source ESC-50-master --out data/esc50    a preset: options of table or folder
    earshot prepare CORPUS --help                                    options of a corpus

`fsd-mix-sed` does not create a benchmark: it renders the soundscapes that `fsc89` is cut from. After an interruption,
run the same command again to resume. Exit status: 0 success (or nothing to do), 2 error, 130 interrupted.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from datasets.benchmark.suggested_protocol import suggested_protocol
from datasets.corpora.corpus import Corpus
from datasets.corpora.inventory import Rejection
from datasets.corpora.preset import Preset, find_corpus_or_preset, find_preset, preset_names
from datasets.corpora.registry import corpora
from datasets.utils.cli import CommandLine, as_program
from datasets.utils.console import error_console, output_console
from datasets.utils.installed import check_names, installed
from datasets.utils.location import Location
from datasets.utils.options import Option, add_options
from datasets.utils.own_code import is_code
from datasets.utils.text import plural, printable
from datasets.utils.validation import validated
from orchestrator.preparation.progress import interruptible_progress, prepare_with_progress

if TYPE_CHECKING:  # imported after parsing: `--help` and typos answer sooner
    from orchestrator.preparation.dataset_card import ClassRow
    from orchestrator.preparation.pipeline import Outcome, Settings
    from orchestrator.preparation.soundscape_tasks import RenderOutcome

RENDERED = "fsd-mix-sed"
SHOWN = 10  # rejected files printed on the console
CLASSES_SHOWN = 20


Rejected = Annotated[float, Option(metavar="FRACTION"), Field(ge=0, le=1)]
Folder = Annotated[Path, Option(metavar="DIR")]
REJECTED_HELP, WORKERS_HELP = "how many of the files may be unusable", "processes at a time (default: one per core)"


class RenderOptions(BaseModel):
    """Options of `earshot prepare fsd-mix-sed`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    annotations: Folder = Field(description="the unpacked FSD_MIX_SED.annotations")
    sources: Folder = Field(description="the unpacked FSD_MIX_SED.source")
    out: Folder = Field(description="folder of the soundscapes")
    max_rejected: Rejected = Field(0.01, description=REJECTED_HELP)
    workers: int | None = Field(None, ge=1, description=WORKERS_HELP)


class PrepareOptions(BaseModel):
    """Options of every corpus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Folder = Field(description="folder of the recordings")
    out: Annotated[str, Option(metavar="DIR")] = Field(
        description="folder of the benchmark, or a URI (s3://, gs://, file://)"
    )
    name: str | None = Field(None, description="of the benchmark (default: of the folder)")
    max_rejected: Rejected = Field(0.01, description=REJECTED_HELP)
    workers: int | None = Field(None, ge=1, description=WORKERS_HELP)
    split_files: Annotated[bool, Option(negatable=False)] = Field(
        False,
        description="also write a Parquet file for each split, as the Hugging Face hub shows them: clips are stored "
        "twice",
    )
    yes: Annotated[bool, Option(negatable=False)] = Field(
        False, description="continue although the folder does not look as expected"
    )
    force: Annotated[bool, Option(negatable=False)] = Field(
        False, description="replace a benchmark that was made otherwise"
    )


class PrepareWithoutSourceOptions(PrepareOptions):
    """Options of a corpus that needs no folder."""

    source: Annotated[Path | None, Option(metavar="DIR")] = Field(  # type: ignore[assignment]
        None, description="folder of the recordings (default: made in OUT/source)"
    )


OF_FOLDERS = ("source", "yes")
"""Options that a corpus without a folder does not have."""


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = vars(parser(words[0] if words else "").parse_args(words))
    name = given.pop("corpus")
    if name == RENDERED:
        rendering = validated(RenderOptions, given, "command line", as_flags=True)
        _print_rendered(_render(rendering), rendering.out)
        return 0
    corpus, _ = find_corpus_or_preset(name)
    model = _options_of(corpus)
    common = {key: given.pop(key) for key in model.model_fields if key in given}
    options = dict(validated(model, common, "command line", as_flags=True))
    source = options.pop("source", None)
    if source is not None:
        corpus.check_source(Path(os.path.realpath(source)))
    from orchestrator.preparation.pipeline import Settings  # a wrong folder is answered sooner

    settings = Settings(corpus=name, source=source, options=given, **options)
    _print_prepared(prepare_with_progress(settings), settings)
    return 0


def _options_of(corpus: Corpus[Any]) -> type[PrepareOptions]:
    return PrepareOptions if corpus.reads_folder and not corpus.generates else PrepareWithoutSourceOptions


def parser(asked: str = "") -> CommandLine:
    """The command line.

    Args:
        asked: the corpus that the user asks for: other presets are then not read, and one from outside is imported,
            because it has options.

    Raises:
        EarshotError: it cannot be imported, or is no corpus.
    """
    made = CommandLine(
        "orchestrator.prepare",
        description=__doc__,
    )
    commands = made.add_subparsers(dest="corpus", required=True, metavar="CORPUS")
    known = corpora()
    for name, corpus in known.items():
        command = commands.add_parser(name, help=corpus.summary, description=corpus.summary, allow_abbrev=False)
        _add_corpus(command, corpus)
    for name in preset_names():
        if asked and asked != name and not asked.startswith("-"):
            commands.add_parser(name)  # a misspelt name is compared with it; its file is not read
            continue
        preset = find_preset(name)
        assert preset is not None  # it is a name of one
        command = commands.add_parser(
            name, help=preset.summary, description=_describe(preset), allow_abbrev=False, formatter_class=_Wrapped
        )
        _add_corpus(command, known[preset.corpus], preset)
    if asked and not asked.startswith("-") and asked != RENDERED:
        _add_outside(commands, asked, (*known, *preset_names()))
    text = "render the soundscapes of FSD-MIX-SED, which fsc89 is cut from, with scaper (needs the extra [fsd])"
    command = commands.add_parser(RENDERED, help=text, description=text, allow_abbrev=False)
    add_options(command, RenderOptions)
    return made


def _add_outside(commands: Any, name: str, shipped: Sequence[str]) -> None:
    """Adds the corpus or the preset that the user asks for, if it is not one of Earshot's."""
    check_names("corpus", [name], shipped)
    if name in shipped:
        return
    preset = find_preset(name)
    if preset is None and not is_code(name):
        others = installed("corpus")
        for other in others:
            if other != name:
                commands.add_parser(other)  # a misspelt name is compared with it
        if name not in others:
            return
    corpus, _ = find_corpus_or_preset(name)
    text = preset.summary if preset else corpus.summary
    described = _describe(preset) if preset else text
    command = commands.add_parser(name, help=text, description=described, allow_abbrev=False)
    _add_corpus(command, corpus, preset)


def _add_corpus(command: CommandLine, corpus: Corpus[Any], preset: Preset | None = None) -> None:
    add_options(command, _options_of(corpus), exclude=() if corpus.reads_folder else OF_FOLDERS)
    title = f"options of {corpus.name}" + (", in place of those of the preset" if preset else "")
    add_options(command.add_argument_group(title), corpus.options_type, show_defaults=preset is None)


class _Wrapped(argparse.HelpFormatter):
    """Wraps the description of a preset."""


def _describe(preset: Preset) -> str:
    """What `--help` says about a preset."""
    options = " ".join(_as_flags(name, value) for name, value in preset.options.items())
    return (
        f"{preset.summary}. --source: {preset.source}, from {preset.url}. Licence: {preset.licence}. The same as "
        f"`earshot prepare {preset.corpus} {options}`."
    ).replace("%", "%%")


def _as_flags(name: str, value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    return " ".join(f"--{name.replace('_', '-')} {shlex.quote(str(one))}" for one in values)


def _render(options: RenderOptions) -> "RenderOutcome":
    from orchestrator.preparation.soundscape_tasks import render

    with interruptible_progress("rendering", "soundscapes") as update:
        return render(**dict(options), listener=update)


def _print_prepared(outcome: "Outcome", settings: "Settings") -> None:
    manifest, clips, folder = outcome.manifest, outcome.manifest.clips, str(Location.of(settings.out))
    console = error_console()
    if not outcome.computed:
        console.print(f"nothing to do: {escape(folder)} is complete and up to date")
    rejected = outcome.rejected[: manifest.source.rejected]
    _print_rejected(rejected, settings.out)
    for warning in outcome.warnings:
        console.print(f"warning: {escape(warning)}")
    count = len(outcome.rejected) - len(rejected)
    dropped = [("dropped", f"{plural(count, 'clip')}, listed in rejected.csv")] if count else []
    seconds = manifest.num_samples / manifest.sample_rate
    ignored = "" if outcome.ignored is None else f", {outcome.ignored} other files ignored"
    _print_classes(outcome.classes)
    preset = find_preset(settings.corpus)
    protocol = preset.protocol if preset and preset.classes == len(manifest.classes) else suggested_protocol(manifest)
    sweep = [("try", f"earshot sweep --benchmark {shlex.quote(folder)} {protocol}")] if protocol else []
    _print_summary(
        ("benchmark", manifest.name),
        ("classes", f"{len(manifest.classes)}"),
        ("clips", f"{clips.total} (train {clips.train}, val {clips.val}, test {clips.test})"),
        *dropped,
        ("clip", f"{seconds:g} s at {manifest.sample_rate} Hz"),
        (
            "audio",
            f"{clips.total * seconds / 3600:.2f} h, {sum(shard.bytes for shard in manifest.shards) / 1e6:.1f} MB",
        ),
        ("files", f"{manifest.source.files}, {manifest.source.rejected} rejected{ignored}"),
        *outcome.notes,
        ("units", f"{outcome.computed} computed, {outcome.cached} cached"),
        ("seconds", f"{outcome.seconds:.1f}"),
        ("folder", folder),
        *sweep,
    )


def _print_classes(rows: "Sequence[ClassRow]") -> None:
    """The table of classes of a benchmark that was just prepared."""
    if not rows:
        return
    from orchestrator.preparation.dataset_card import CARD, columns

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for number, name in enumerate(columns(rows)):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows[:CLASSES_SHOWN]:
        table.add_row(*(Text(cell) for cell in row.cells))
    console = output_console()
    console.print(table)
    if len(rows) > CLASSES_SHOWN:
        console.print(f"... and {len(rows) - CLASSES_SHOWN} more classes: see {CARD}")
    console.print()


def _print_rendered(outcome: "RenderOutcome", out: Path) -> None:
    _print_rejected(outcome.rejected, out)
    _print_summary(
        ("soundscapes", f"{outcome.rendered} rendered, {outcome.cached} cached"),
        ("annotations", f"{len(outcome.rejected)} rejected, {outcome.ignored} other files ignored"),
        ("seconds", f"{outcome.seconds:.1f}"),
        ("folder", str(out)),
    )


def _print_summary(*rows: tuple[str, str]) -> None:
    console, width = output_console(), max(len(key) for key, _ in rows)
    for key, value in rows:
        console.print(Text(f"{key:<{width}}  {printable(value)}"), soft_wrap=True)  # paths must not be broken


def _print_rejected(rejected: Sequence[Rejection], out: Path | str | Location) -> None:
    from orchestrator.preparation.output_folder import REJECTED

    console = error_console()
    for rejection in rejected[:SHOWN]:
        console.print(f"rejected: {escape(rejection.file)}: {escape(rejection.reason)}")
    if len(rejected) > SHOWN:
        console.print(f"... and {len(rejected) - SHOWN} more: see {escape(str(Location.of(out) / REJECTED))}")


if __name__ == "__main__":
    sys.exit(main())
