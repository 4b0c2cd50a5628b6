"""The chains of the table of methods: tuning on validation clips, then the chosen configuration over the seeds.

A chain that is finished is not run again: its record and predictions lie in OUT/runs/ENCODER-CORPUS/METHOD-VERSION.
"""

import functools
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.candidates import candidates, table_settings
from benchmarks.method_results import FLOOR
from benchmarks.methods import CORPORA
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
    """

    out: Path
    encoder: str
    corpus: str
    method: str
    protocol: Protocol = PROTOCOL
    backbone: str | None = None

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
        return self._best(candidates(self.method), TUNING_SEEDS[:1])[:FINALISTS]

    def chosen(self) -> dict[str, Any] | None:
        """The finalist with the highest validation AA over both tuning seeds; None where some have not ended."""
        proposed = candidates(self.method)
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


def units(out: Path, encoders: list[str], corpora: list[str], methods: list[str]) -> list[Unit]:
    """The units, cheap methods first; with encoders other than the first only methods that train nothing."""
    kept = [method for method in measured_methods() if method in methods]
    return [
        Unit(out, encoder, corpus, method)
        for method in kept
        for encoder in encoders
        for corpus in corpora
        if encoder == FIRST or (cost(method) == 0 and method != FLOOR)
    ]


def run_all(work: list[Unit], seeds: int, few: int, workers: int) -> None:
    """Runs all chains, cheap methods first: trained methods with `few` seeds before any gets all of them.

    Args:
        work: the units.
        seeds: of the table.
        few: seeds of the first pass over the trained methods.
        workers: processes.
    """
    first = [(unit, few if cost(unit.method) >= TRAINED_ONCE else seeds) for unit in work]
    second = [(unit, seeds) for unit, count in first if count < seeds]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run_unit, unit, count) for unit, count in [*first, *second]]
        for future in futures:
            future.result()  # raises what the unit raised


def run_unit(unit: Unit, seeds: int) -> None:
    """Chooses a configuration on the tuning seeds, and runs it over the others.

    Args:
        unit: what to run.
        seeds: 0 to this number - 1.
    """
    proposed = candidates(unit.method)
    if len(proposed) > 1:
        for settings in proposed:
            _run_chain(unit, settings, TUNING_SEEDS[0])
        for settings in unit.finalists():
            for seed in TUNING_SEEDS[1:]:
                _run_chain(unit, settings, seed)
    chosen = unit.chosen()
    assert chosen is not None
    for seed in range(seeds):
        _run_chain(unit, chosen, seed)
    print(f"{unit.encoder} {unit.corpus} {unit.method}: {seeds} seeds", flush=True)


def _run_chain(unit: Unit, settings: dict[str, Any], seed: int) -> None:
    """Runs a chain that has not ended; one whose training diverges is recorded as failed."""
    if unit.record(settings, seed) is not None:
        return
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
    """Prepares the benchmarks that OUT lacks."""
    for name in corpora:
        corpus, settings = CORPORA.get(name, (DEMO, {}))
        prepare(corpus, None if name == DEMO else shared / "corpora" / name, out / name, settings)


def default_shared() -> Path:
    """The folder of corpora, from the environment."""
    return Path(os.environ.get("EARSHOT_SHARED", "../shared"))
