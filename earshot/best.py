"""The configuration of a run that was selected on validation clips."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from datasets.utils.errors import EarshotError
from datasets.utils.text import plural
from earshot.model import Model, load_model
from earshot.process import settings_restored

if TYPE_CHECKING:
    from orchestrator.results.choice import Choice
    from orchestrator.results.run_folder import RunFolder
    from trainables.records import TrialRecord


class Best:
    """The selected configuration of a run or of one of its methods; from `Run.best`.

    Attributes:
        method: name of the method.
        backbone: name of the backbone; empty where the run has one, or the method uses none.
        configuration: name of the configuration.
        settings: of the method, defaults included.
        validation_aa: mean over seeds of the validation AA of the default head, a fraction of one; NaN without
            validation clips.
        seeds: number of seeds in that mean.
        provisional: whether no configuration of the method was complete, so that unfinished ones were compared.
        trials: names of its trials, one per seed.
    """

    def __init__(self, folder: "RunFolder", choice: "Choice", records: "tuple[TrialRecord, ...]") -> None:
        self._folder = folder
        self.method = choice.method
        self.backbone = choice.backbone
        self.configuration = choice.configuration
        self.settings: dict[str, Any] = dict(records[0].settings)
        self.validation_aa = choice.validation_aa
        self.seeds = choice.n
        self.provisional = choice.provisional
        self.trials = tuple(record.trial for record in records)

    def export(
        self,
        out: str | Path,
        *,
        seed: int | str | None = None,
        session: int | None = None,
        train_on_all: bool = False,
        known: float | None = None,
        device: Literal["cpu", "cuda"] = "cpu",
        force: bool = False,
        benchmark: str | Path | None = None,
        backbone: str | None = None,
        trust_remote_code: str | None = None,
        method: str = "",
        store: str | Path | None = None,
        hub_dataset: str | None = None,
    ) -> Model:
        """Writes one of its chains to a self-contained folder, as `earshot export` does, and loads the folder.

        Args:
            out: new folder, written atomically.
            seed: which chain: a seed, or 'best-by-validation' (default: the first).
            session: state after this session (default: the last finished).
            train_on_all: train the chain again on all train clips of its classes, in the same order of sessions: for a
                classifier that is used.
            known: a sound whose score is below that of this fraction of the validation clips is of 'none of these'
                classes (default: 0.95).
            device: where networks run.
            force: replace an existing export.
            benchmark, backbone, store: where these are, if they have moved since the sweep.
            trust_remote_code: the revision whose code may run, of a backbone that comes with its own.
            method: FILE.py:CLASS or MODULE:CLASS of a method that is not one of Earshot.
            hub_dataset: OWNER/NAME of the benchmark on the Hugging Face hub, for the model card.

        Raises:
            EarshotError: no session is finished, an argument is not valid, an input is missing, or `out` contains
                other files.
        """
        if known is not None and not 0 < known <= 1:
            raise EarshotError(f"known: expected a fraction above 0 and at most 1, found {known}")
        import torch  # noqa: F401 - before the settings are saved, of which the number of its threads is one

        from datasets.utils.own_code import is_code
        from orchestrator.exporting.export import Overrides, export
        from orchestrator.exporting.output_folder import KEEP

        given = None if benchmark is None else str(getattr(benchmark, "path", benchmark))
        with settings_restored():
            export(
                self._folder,
                self.configuration,
                Path(out),
                seed=None if seed is None else str(seed),
                session=session,
                train_on_all=train_on_all,
                keep=KEEP if known is None else known,
                overrides=Overrides(given, backbone, store, trust_remote_code, method),
                device=device,
                force=force,
                hub_dataset=hub_dataset,
            )
        has_code = backbone is not None and (is_code(backbone) or trust_remote_code is not None)
        code = backbone if backbone is not None and has_code else ""
        return load_model(out, device=device, backbone=code, trust_remote_code=trust_remote_code, method=method)

    def __repr__(self) -> str:
        where = f" on {self.backbone}" if self.backbone else ""
        so_far = ", provisional" if self.provisional else ""
        value = f"validation AA {100 * self.validation_aa:.1f} % over {plural(self.seeds, 'seed')}"
        return f"Best({self.method}{where}: {self.configuration}, {value}{so_far})"
