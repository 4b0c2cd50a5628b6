"""Checks the folder that an export is written to; imports no PyTorch."""

from pathlib import Path

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from trainables.inference.description import FILE_NAME, Description
from trainables.inference.model_folder import README

EVAL_RESULTS = ".eval_results"
"""Folder of results in the format of the Hugging Face hub."""
KEEP = 0.95  # of the validation clips: the usual operating point, "at a true positive rate of 95 %"


def check_output(out: Path, *, force: bool) -> None:
    """Checks that an export may be written to `out`: a new or empty folder, or with `force` another export.

    Raises:
        EarshotError: it may not.
    """
    shown = printable(str(out))
    if not (out.exists() or out.is_symlink()) or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / FILE_NAME).is_file():
        raise EarshotError(f"{shown}: expected a new folder, an empty one or an export, found other files")
    if not force:
        raise EarshotError(f"{shown}: contains an export already; choose another --out, or replace it with --force")
    known = {FILE_NAME, README, *Description.load(out).files}
    others = [
        path
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.parent.name != EVAL_RESULTS and path.relative_to(out).as_posix() not in known
    ]
    if others:
        raise EarshotError(f"{printable(str(others[0]))}: not part of the export to be replaced; move it elsewhere")
