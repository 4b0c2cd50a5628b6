"""Removes classes from an exported model exactly, as if its chain had never learned them, up to rounding.

    earshot forget DIR --class dog [--class cat] --out NEW
    earshot forget DIR --class dog --in-place

Only methods that can undo what they have learned can forget: those that store means, scatters or embeddings of clips.
`earshot export` says whether a model can. The history of the model keeps the name of the class, when it was forgotten,
and the SHA-256 of recordings that it was taught from. One class must stay.

Exit status: 0 the model was written, 2 bad arguments or model (nothing was written), 130 interrupted.
"""

import sys
from collections.abc import Sequence

from datasets.utils.cli import CommandLine, as_program, local_path
from datasets.utils.options import add_options
from datasets.utils.text import printable
from datasets.utils.validation import validated
from orchestrator.exporting.changed_model import ChangeOptions, locked_model, print_changed
from trainables.inference.description import Description


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`earshot forget`."""
    given = vars(parser().parse_args(arguments))
    folder, names = given.pop("model"), given.pop("classes")
    options = validated(ChangeOptions, given, "command line", as_flags=True)
    Description.load(folder)  # before the imports: a wrong path fails at once
    out = options.target(folder)
    with locked_model(folder, options) as model:
        from trainables.inference.teaching import forget, write_changed

        before = model.description
        forget(model, names)
        write_changed(model, folder, out, replace=options.replaces)
    rows = [(printable(name), "forgotten") for name in dict.fromkeys(names)]
    print_changed(before, model.description, rows, out)
    return 0


def parser() -> CommandLine:
    """The command line."""
    command = CommandLine("orchestrator.forget", description=__doc__)
    command.add_argument("model", type=local_path, metavar="DIR", help="folder written by earshot export")
    command.add_argument(
        "--class",
        dest="classes",
        action="append",
        required=True,
        metavar="NAME",
        help="class to be removed; can be given several times",
    )
    add_options(command, ChangeOptions)
    return command


if __name__ == "__main__":
    sys.exit(main())
