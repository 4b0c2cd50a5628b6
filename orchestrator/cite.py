"""Whom to cite for a run: the papers of its methods, backbones and corpora, and Earshot.

    earshot cite RUN
    earshot cite RUN --bibtex > run.bib
    earshot cite runs/FIRST runs/SECOND --corpus esc50 --bibtex

What has no paper, or none that Earshot knows, is listed with the reason. Where the benchmark was prepared by `folder`
or `table` without a preset, or was moved since the sweep, `--corpus` names the corpus or preset that it is made from.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from datasets.utils.cli import CommandLine, as_program
from datasets.utils.errors import EarshotError
from datasets.utils.options import Option, add_options
from datasets.utils.suggestion import suggestion
from datasets.utils.text import printable
from datasets.utils.validation import validated
from orchestrator.results.find_run import RunsOptions, add_run_arguments, find_run


class CiteOptions(RunsOptions):
    """Options of the command line."""

    bibtex: Annotated[bool, Option(negatable=False)] = Field(False, description="print BibTeX instead of text")
    corpus: Annotated[tuple[str, ...], Option(metavar="NAME")] = Field(
        (), description="corpus or preset that the benchmark is made from; may be repeated"
    )


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`earshot cite`; exit status 0: printed, 2: bad input."""
    given = vars(parser().parse_args(arguments))
    names = given.pop("run")
    options = validated(CiteOptions, given, "command line", as_flags=True)
    folders = [find_run(name, options.runs) for name in names]

    from orchestrator.publishing.citations import as_text, bibtex, citations
    from orchestrator.publishing.used import used_by
    from orchestrator.results.run import Run

    for name in options.corpus:
        if name not in (known := citations().corpora):
            raise EarshotError(f"--corpus {printable(name)}: not known; {suggestion(name, known)}")
    cited = list(dict.fromkeys(one for folder in folders for one in used_by(Run.load(folder), options.corpus)))
    print(bibtex(cited) if options.bibtex else "\n".join(as_text(cited)), end="" if options.bibtex else "\n")
    return 0


def parser() -> CommandLine:
    """The parser of the command line."""
    command = CommandLine("orchestrator.cite", description=__doc__)
    add_run_arguments(command)
    add_options(command, CiteOptions)
    return command


if __name__ == "__main__":
    sys.exit(main())
