"""What `teach` and `forget` share: their options, where the changed model goes, and the summary; imports no PyTorch."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from datasets.utils.errors import EarshotError
from datasets.utils.options import Option
from datasets.utils.text import printable
from orchestrator.exporting.output_folder import check_output
from trainables.inference.description import Description
from trainables.inference.model_folder import model_lock

if TYPE_CHECKING:
    from trainables.inference.exported_model import ExportedModel

SWITCH = Option(negatable=False)


class ChangeOptions(BaseModel):
    """Options of the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Annotated[Path | None, Option(metavar="NEW")] = Field(None, description="new folder for the changed model")
    in_place: Annotated[bool, SWITCH] = Field(False, description="replace the model by the changed one, in one step")
    force: Annotated[bool, SWITCH] = Field(False, description="replace an existing export at --out")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where networks run")
    backbone: str = Field(
        "",
        description="as of earshot predict; for a method that reads the names of classes, the name of its backbone",
    )
    trust_remote_code: Annotated[str | None, Option(metavar="REVISION")] = Field(
        None, description="run the code that comes with --backbone, as you"
    )
    method: Annotated[str, Option(metavar="CODE")] = Field(
        "", description="FILE.py:CLASS or MODULE:CLASS of the model's method, if it is not one of Earshot"
    )

    def target(self, model: Path) -> Path:
        """The folder that the changed model is written to.

        Raises:
            EarshotError: not one of the two options is given, or the folder may not be written to.
        """
        if (self.out is not None) == self.in_place:
            raise EarshotError("command line: expected either --out NEW or --in-place")
        if self.out is None:
            real = Path(os.path.realpath(model))  # not a link to it
            check_output(real, force=True)  # other files in the folder would be lost
            return real
        check_output(self.out, force=self.force)
        return self.out

    @property
    def replaces(self) -> bool:
        """Whether the target may be a model already."""
        return self.in_place or self.force


@contextmanager
def locked_model(folder: Path, options: ChangeOptions) -> "Iterator[ExportedModel]":
    """The model, which no other command changes during the block."""

    def waits() -> None:
        print(f"waiting: another process changes {printable(str(folder))}", file=sys.stderr, flush=True)

    with model_lock(folder, waits):
        from trainables.inference.exported_model import load_model
        from trainables.networks.device import pick_device

        device = pick_device(options.device)
        yield load_model(folder, device, options.backbone, options.trust_remote_code, options.method)


def print_changed(before: Description, after: Description, rows: Iterable[tuple[str, str]], folder: Path) -> None:
    """Prints what was changed.

    Args:
        before: of the model that was changed.
        after: of the changed model.
        rows: first lines of the table.
        folder: that was written.
    """
    from rich.markup import escape
    from rich.table import Table

    from datasets.utils.console import output_console

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # a path is not cut
    for key, value in (
        ("model", after.trial),
        *rows,
        ("classes", f"{len(after.classes)} (before: {len(before.classes)})"),
        ("session", str(after.session)),
        ("probabilities", _calibration_text(after)),
        ("none of these", _threshold_text(before, after)),
        ("folder", str(folder)),
    ):
        table.add_row(key, escape(printable(value)))
    output_console().print(table)


def _calibration_text(after: Description) -> str:
    if after.calibration is None or not after.calibration.clips:
        return "not calibrated"
    return "temperature of the export, fitted to the classes that it knew"


def _threshold_text(before: Description, after: Description) -> str:
    if after.thresholds is not None:
        return "threshold of the export, chosen for the classes that it knew"
    if before.thresholds is None:
        return "never answered, as before"
    return (
        f"no longer answered: the scores of {after.method} for the other classes have changed, so the threshold of the "
        "export does not hold"
    )
