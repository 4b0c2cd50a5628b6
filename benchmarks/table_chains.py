"""The chains of the table of methods: tuning on validation clips, then the chosen configuration over the seeds.

A chain that is finished is not run again: its record and predictions lie in OUT/runs/ENCODER-CORPUS/METHOD-VERSION.
"""

import functools
import itertools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.candidates import EPOCHS, candidates, table_settings
from benchmarks.corpora import CORPORA
from benchmarks.method_results import FLOOR
from datasets.benchmark.manifest import FILE_NAME, Manifest
from datasets.benchmark.protocol import Protocol
from datasets.utils.errors import EarshotError
from orchestrator.preparation.pipeline import prepare
from orchestrator.results.loading import score_trial
from trainables.chain_config import ChainConfig
from trainables.methods.registry import find_method
from trainables.metrics import average_accuracy
from trainables.networks.specs import DEFAULT
from trainables.records import SeedTriple, TrialRecord
from trainables.session_chain import Chain

DEMO = "demo"
NAMES = (*CORPORA, DEMO)
ENCODERS = {"earshot-tiny": DEFAULT, "resemblyzer": "benchmarks/resemblyzer_encoder.py:encoder"}
FIRST = next(iter(ENCODERS))  # the only one that all methods can train
PROTOCOL = Protocol(base=5, way=5, shot=5, class_order="seeded")
TUNING_SEEDS = (100, 101)  # the tables have 0, 1, ..
FINALISTS = 2  # configurations that are run with the second tuning seed
EDE = "ede"
TRAINED_ONCE, TRAINED_ALWAYS = 2, 3  # of `cost`

_last: dict[str, Chain] = {}  # by encoder and corpus: clips and backbone of this process


def cost(name: str) -> int:
    """In which order methods run.

    Returns:
        0 if nothing is trained, 1 for EDE, 2 if the base session is trained, 3 if every session is.
    """
    method = find_method(name)
    if not method.backbone or method.capabilities(method.Settings()) == {"embed"}:
        return 0
    if name == EDE:
        return 1
    trains_later = any(key.endswith("epochs") and not key.startswith("base_") for key in method.Settings.model_fields)
    return TRAINED_ALWAYS if trains_later else TRAINED_ONCE


@functools.cache
def measured_methods() -> tuple[str, ...]:
    """The methods of `table.yaml`, cheap ones first."""
    return tuple(sorted(table_settings(), key=cost))


def methods_with(encoder: str) -> list[str]:
    """The methods that are measured with an encoder: those that train nothing, with the first one all."""
    return [name for name in measured_methods() if encoder == FIRST or (cost(name) == 0 and name != FLOOR)]


@dataclass(frozen=True)
class Unit:
    """A method on one corpus and one encoder.

    Attributes:
        out: folder for everything.
        encoder: of `ENCODERS`.
        corpus: of `NAMES`.
        method: its name.
        protocol: of the chains.
        backbone: other than that of the encoder; None for that.
        epochs: most of a stage of training, see `candidates`.
    """

    out: Path
    encoder: str
    corpus: str
    method: str
    protocol: Protocol = PROTOCOL
    backbone: str | None = None
    epochs: int = EPOCHS

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """The configurations that are compared."""
        return candidates(self.method, epochs=self.epochs)

    @property
    def place(self) -> tuple[str, str, str]:
        """Of its result: see `Result.place`."""
        return self.encoder if find_method(self.method).backbone else "", self.corpus, self.method

    @property
    def trials(self) -> Path:
        """The folder of the chains; another one for every version of the method."""
        run = f"{self.method}-{find_method(self.method).version}"
        return self.out / "runs" / f"{self.encoder}-{self.corpus}" / run / "trials"

    def config(self, settings: dict[str, Any], seed: int) -> ChainConfig:
        """One chain: a seed is a class order, a support draw and an initialisation."""
        return ChainConfig(
            benchmark=str(self.out / self.corpus),
            method=self.method,
            settings=settings,
            protocol=self.protocol,
            seeds=SeedTriple(order=seed, support=seed, initialisation=seed),
            backbone=self.backbone or ENCODERS[self.encoder],
            store=str(self.out / "store"),
        )

    def record(self, settings: dict[str, Any], seed: int) -> TrialRecord | None:
        """The record of a chain; None if it has not ended."""
        folder = self.trials / self.config(settings, seed).trial
        if not (folder / "trial.json").exists():
            return None
        record = TrialRecord.load(folder)
        return None if record.status == "running" else record

    def scores(self, settings: dict[str, Any], seed: int) -> dict[str, Any] | None:
        """Accuracies of the default head by split; None if the chain has not finished."""
        record = self.record(settings, seed)
        if record is None or record.status != "finished":
            return None
        scored = score_trial(record, self.trials / record.trial)
        return {split: scored[record.default_head, split] for split in ("val", "test")}

    def finalists(self) -> list[dict[str, Any]]:
        """The best configurations on the first tuning seed; none where some have not ended."""
        return self._best(self.candidates, TUNING_SEEDS[:1])[:FINALISTS]

    def chosen(self) -> dict[str, Any] | None:
        """The finalist with the highest validation AA over both tuning seeds; None where some have not ended."""
        proposed = self.candidates
        if len(proposed) == 1:
            return proposed[0]
        finalists = self.finalists()
        ranked = self._best(finalists, TUNING_SEEDS)
        return ranked[0] if ranked else None

    def _best(self, proposed: list[dict[str, Any]], seeds: tuple[int, ...]) -> list[dict[str, Any]]:
        """Configurations by their validation AA over some seeds, best first; none where a chain has not ended.

        A configuration whose training diverges comes last.
        """
        if any(self.record(settings, seed) is None for settings in proposed for seed in seeds):
            return []

        def validation(settings: dict[str, Any]) -> float:
            scores = [self.scores(settings, seed) for seed in seeds]
            return sum(-1.0 if score is None else average_accuracy(score["val"].micro) for score in scores)

        return sorted(proposed, key=validation, reverse=True)


Job = tuple[Unit, dict[str, Any], int]
"""A chain: its unit, settings and seed."""


def units(out: Path, encoders: list[str], corpora: list[str], methods: list[str], epochs: int = EPOCHS) -> list[Unit]:
    """The units of some encoders, corpora and methods, cheap methods first."""
    return [
        Unit(out, encoder, corpus, method, epochs=epochs)
        for method in measured_methods()
        for encoder in encoders
        for corpus in corpora
        if method in methods and method in methods_with(encoder)
    ]


def run_all(work: list[Unit], seeds: int, few: int, workers: int) -> None:
    """Runs all chains, one method after the other, cheap ones first.

    Args:
        work: the units.
        seeds: of the table.
        few: seeds of a first pass over the methods that train, before any of them gets all.
        workers: processes.
    """
    names = dict.fromkeys(unit.method for unit in work)
    passes = [(method, few if cost(method) >= TRAINED_ONCE else seeds) for method in names]
    passes += [(method, seeds) for method, count in passes if count < seeds]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for method, count in passes:
            run_units([unit for unit in work if unit.method == method], count, lambda jobs: list(pool.map(_run, jobs)))


def run_units(work: list[Unit], seeds: int, run: Callable[[list[Job]], Any]) -> None:
    """Chooses the configuration of each unit on the tuning seeds, and runs it over the others.

    Args:
        work: the units.
        seeds: 0 to this number - 1.
        run: runs chains, in any order.
    """

    def run_missing(jobs: list[Job]) -> None:
        run([(unit, settings, seed) for unit, settings, seed in jobs if unit.record(settings, seed) is None])

    tuned = [unit for unit in work if len(unit.candidates) > 1]
    run_missing([(unit, settings, TUNING_SEEDS[0]) for unit in tuned for settings in unit.candidates])
    run_missing([(unit, *job) for unit in tuned for job in itertools.product(unit.finalists(), TUNING_SEEDS[1:])])
    chosen = [(unit, settings) for unit in work if (settings := unit.chosen()) is not None]
    run_missing([(*pair, seed) for pair in chosen for seed in range(seeds)])
    for unit in work:
        print(f"{unit.encoder} {unit.corpus} {unit.method}: {seeds} seeds", file=sys.stderr, flush=True)


def _run(job: Job) -> None:
    run_chain(*job)


def run_chain(unit: Unit, settings: dict[str, Any], seed: int) -> None:
    """Runs a chain; one whose training diverges is recorded as failed."""
    config = unit.config(settings, seed)
    place = f"{unit.encoder} {unit.corpus} {find_method(unit.method).backbone}"
    chain = Chain(config, unit.trials / config.trial, _last.get(place))
    _last[place] = chain
    try:
        while not chain.done:
            chain.step()
    except EarshotError as error:
        if "lower the learning rate" not in str(error):
            raise
        chain.fail(str(error))


def prepare_corpora(shared: Path, out: Path, corpora: list[str]) -> None:
    """Prepares the benchmarks that OUT lacks. One of another copy of the recordings, with other times, stays."""
    for name in corpora:
        corpus, settings = CORPORA.get(name, (DEMO, {}))
        if (out / name / FILE_NAME).exists():
            manifest = Manifest.load(out / name)
            if manifest.corpus == corpus and settings.items() <= manifest.settings.items():
                continue
        prepare(corpus, None if name == DEMO else shared / "corpora" / name, out / name, settings)


def default_shared() -> Path:
    """The folder of corpora, from the environment."""
    return Path(os.environ.get("EARSHOT_SHARED", "../shared"))
