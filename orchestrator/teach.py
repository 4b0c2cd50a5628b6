"""Teaches an exported model new classes, from a few recordings of each.

    earshot teach DIR --class cat cats/*.wav [--class dog dogs/] --out NEW
    earshot teach DIR --class cat cats/*.wav --in-place

The model learns all classes of a command together, as one more session of its chain; what it has learned before stays,
as far as its method keeps it. A folder stands for the recordings in it and its subfolders. They are resampled,
normalised in loudness and cut as the clips of the benchmark were that the model was trained on: with `earshot prepare
folder`, into as many complete clips as fit. Methods that train again on clips of earlier classes cannot be taught:
`earshot export` says so.

The model keeps a history: which class when, and the SHA-256 of each recording. Probabilities keep the temperature of
the export. 'None of these' is answered as before if the scores of the other classes have not changed, otherwise no
longer.

Exit status: 0 the model was written, 2 bad arguments, recordings or model (nothing was written), 130 interrupted.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.utils.cli import CommandLine, as_program, local_path
from datasets.utils.errors import EarshotError
from datasets.utils.options import add_options
from datasets.utils.text import plural, printable
from datasets.utils.validation import validated
from orchestrator.exporting.changed_model import ChangeOptions, locked_model, print_changed
from trainables.inference.description import Description

if TYPE_CHECKING:
    from trainables.inference.recording_clips import ClassRecordings


@as_program
def main(arguments: Sequence[str] | None = None) -> int:
    """`earshot teach`."""
    given = vars(parser().parse_args(arguments))
    folder, groups = given.pop("model"), given.pop("classes")
    options = validated(ChangeOptions, given, "command line", as_flags=True)
    Description.load(folder)  # before the imports: a wrong path fails at once
    out = options.target(folder)
    _check_paths(groups)
    with locked_model(folder, options) as model:
        from trainables.inference.recording_clips import clip_options, cut_classes
        from trainables.inference.teaching import teach, write_changed
        from trainables.inference.teaching_checks import check_can_teach, check_new_names

        before = model.description
        check_can_teach(before, type(model.learner))
        check_new_names([name for name, *_ in groups], [entry.name for entry in before.classes])
        classes = cut_classes(clip_options(before), [(name, paths) for name, *paths in groups])
        teach(model, classes)
        write_changed(model, folder, out, replace=options.replaces)
    rows = [(printable(one.name), _learned_text(one, before.sample_rate)) for one in classes]
    print_changed(before, model.description, rows, out)
    return 0


def parser() -> CommandLine:
    """The command line."""
    command = CommandLine("orchestrator.teach", description=__doc__)
    command.add_argument("model", type=local_path, metavar="DIR", help="folder written by earshot export")
    command.add_argument(
        "--class",
        dest="classes",
        nargs="+",
        action="append",
        required=True,
        metavar="PATH",
        help="name of a new class, then its recordings or folders of them; can be given several times",
    )
    add_options(command, ChangeOptions)
    return command


def _check_paths(groups: Sequence[Sequence[str]]) -> None:
    """Checks that classes have recordings, and that these exist.

    Raises:
        EarshotError: names the class, or all missing recordings.
    """
    for name, *paths in groups:
        if not paths:
            raise EarshotError(
                f"--class {printable(name)}: expected recordings after the name of the class, found none"
            )
    missing = [path for _, *paths in groups for path in paths if not Path(path).exists()]
    if missing:
        raise EarshotError(f"{plural(len(missing), 'recording')} not found: {printable(', '.join(missing))}")


def _learned_text(one: "ClassRecordings", rate: int) -> str:
    """'5 clips of 5 recordings, resampled from 44100 Hz to 16000 Hz'."""
    text = f"{plural(len(one.clips), 'clip')} of {plural(len(one.files), 'recording')}"
    if not one.rates:
        return text
    return f"{text}, resampled from {' and '.join(map(str, one.rates))} Hz to {rate} Hz"


if __name__ == "__main__":
    sys.exit(main())
