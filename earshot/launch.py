"""Runs a sweep from Python."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.benchmark.protocol import Protocol
from datasets.utils.console import output_console
from datasets.utils.errors import EarshotError, Interrupted
from datasets.utils.suggestion import suggestion
from datasets.utils.text import plural
from datasets.utils.validation import validated
from earshot.benchmark import Benchmark
from earshot.process import settings_restored
from earshot.run import Run
from trainables.records import SeedTriple

if TYPE_CHECKING:
    from orchestrator.tuning.config import SweepConfig

Seeds = int | Sequence[int | Mapping[str, int] | SeedTriple]

WHERE = "earshot.sweep"
_OF_COMMANDS = {"method": "give methods=", "show": "give progress=", "dry_run": "use earshot sweep --dry-run"}


def sweep(
    benchmark: Benchmark | str | Path,
    *,
    methods: str | Sequence[str] | None = None,
    space: str | Path | None = None,
    protocol: str | Mapping[str, Any] | Protocol | None = None,
    seeds: Seeds | None = None,
    backbone: str | Sequence[str] | None = None,
    trials: int | None = None,
    runs: str | Path | None = None,
    name: str | None = None,
    progress: bool = True,
    **options: Any,
) -> Run:
    """Runs methods on a benchmark: search space x seeds, one chain per trial, as `earshot sweep` does.

    The same call again, also after an interruption or an error, takes completed sessions from the store. Closed-form
    methods run in this process. Others run on the Ray that the process uses, which stays up; or else on one that is
    started for the call, or on the cluster at `address`. Trials that fail are reported as a `UserWarning`.

    Args:
        benchmark: from `prepare` or `open_benchmark`, its folder, or its name in `data`.
        methods: names of methods, each with its own search space.
        space: search space: a YAML file, or the name of one (default: those of the methods, else the demo).
        protocol: name of a protocol, its fields, or a `Protocol` (default: ffcac-25).
        seeds: number of seeds, or the seeds: numbers, or triples of order, support and initialisation (default: 3).
        backbone: name, file or folder of a pretrained network, or several to compare (default: earshot-tiny).
        trials: configurations per method (default: 8; a grid: all).
        runs: folder of the runs (default: runs).
        name: of the run (default: made from its configuration).
        progress: whether to show the progress.
        options: other settings of a sweep, as `earshot sweep --help` lists them, with `_` for `-`: `budget="2h"`,
            `search="random"`, `objective=("aa", "parameters")`, `workers=2`, `address="auto"`, ...

    Returns:
        The run, also if some of its trials failed, or a budget was used up before all of them ended.

    Raises:
        EarshotError: the configuration is invalid, which is found before the first trial; all trials failed; or Ray or
            the file system ended the sweep.
        KeyboardInterrupt: interrupted; says how to resume.
    """
    given = {
        "benchmark": str(benchmark.path if isinstance(benchmark, Benchmark) else benchmark),
        "method": methods,
        "space": space,
        "protocol": dict(protocol) if isinstance(protocol, Mapping) else protocol,
        "seeds": _seeds(seeds),
        "backbone": backbone,
        "trials": trials,
        "runs": runs,
        "name": name,
    }
    config = _configuration({key: value for key, value in given.items() if value is not None}, options)
    from orchestrator.tuning.inputs import check_inputs

    check_inputs(config)
    import torch  # noqa: F401 - before the settings are saved, of which the number of its threads is one

    from orchestrator.reporting.options import SUMMARY_WIDTH
    from orchestrator.tuning import sweep as engine

    with settings_restored():
        try:
            outcome = engine.sweep(config, output_console(SUMMARY_WIDTH, quiet=not progress))
            run = engine.report_sweep(outcome, config)
        except Interrupted as interrupt:
            raise Interrupted(f"{interrupt}, or with the same call") from None
    if run is None:
        raise EarshotError(
            f"{outcome.folder}: the budget was used up before the first session was completed; give a larger budget"
        )
    if outcome.failed:
        trial, reason = next(iter(outcome.failed.items()))
        failed = f"{len(outcome.failed)} of {plural(outcome.trials, 'trial')} failed (Run.chains), the first: "
        warnings.warn(f"{failed}{trial}: {reason}", stacklevel=2)
    return Run(outcome.folder, run)


def _configuration(given: dict[str, Any], options: dict[str, Any]) -> "SweepConfig":
    from orchestrator.tuning.config import SweepConfig

    known = [*SweepConfig.model_fields.keys() - _OF_COMMANDS.keys(), "methods"]
    for key in options:
        if key not in known:
            raise EarshotError(f"{WHERE}: no argument '{key}'; {_OF_COMMANDS.get(key) or suggestion(key, known)}")
    return validated(SweepConfig, {**given, **options}, WHERE)


def _seeds(seeds: Seeds | None) -> Any:
    """In the form of `SweepConfig`: a number alone in a sequence is the seed of all three sources of randomness."""
    if seeds is None or isinstance(seeds, int):
        return seeds
    names = SeedTriple.model_fields
    return [dict.fromkeys(names, seed) if isinstance(seed, int) else seed for seed in seeds]
