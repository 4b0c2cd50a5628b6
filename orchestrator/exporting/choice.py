"""Chooses the trial of a run that is exported."""

import math
from collections.abc import Sequence

from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.text import first_few, printable
from orchestrator.results.choice import rank
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder
from trainables import metrics
from trainables.records import TrialRecord

BEST = "best"
BEST_SEED = "best-by-validation"


def choose_trial(folder: RunFolder, name: str, seed: str | None = None) -> str:
    """The name of a trial.

    Args:
        folder: of the run.
        name: 'best', or a method, alone or with a backbone, a configuration, a trial, or the beginning of a trial's
            name; see the command.
        seed: which trial of a configuration: a seed, such as 3 or 0.1.2 (order, support, initialisation);
            'best-by-validation', the one with the highest validation AA; or None, the first. A trial's name has a
            seed already.

    Raises:
        EarshotError: no trial matches, or several do.
    """
    if name in folder.trials:
        if seed is not None:
            raise EarshotError(f"--seed {printable(seed)}: {name} is one trial with its own seed; leave out --seed")
        return name
    run = Run.load(folder.path)
    configuration = name
    if labels := tuple(run.entries) if name == BEST else run.labels(name):
        configuration = _best_configuration(run, labels)
    records = run.of(configuration) if configuration in run.configurations() else ()
    finished = sorted((record for record in records if record.sessions), key=_seed_order)
    if seed is not None:
        return _of_seed(run, finished, name, seed)
    return finished[0].trial if finished else _by_prefix(folder.trials, name)


def _best_configuration(run: Run, labels: Sequence[str]) -> str:
    """The configuration with the best validation AA among those of some entries; empty if no session is finished.

    A transductive method is chosen only where there is no other, and one with fewer sessions likewise.
    """
    choices = [choice for choice in map(run.best, labels) if choice.sessions]
    return min(choices, key=rank).configuration if choices else ""


def _seed_order(record: TrialRecord) -> tuple[int, int, int]:
    """Sorts trials by their seeds, as numbers."""
    return record.seeds.order, record.seeds.support, record.seeds.initialisation


def _of_seed(run: Run, records: Sequence[TrialRecord], name: str, seed: str) -> str:
    """The trial among those of one configuration that has a seed, or the best validation AA.

    Chains are compared over the sessions that the longest has; those with fewer do not count. Ties, and chains without
    validation clips: the first seed.

    Raises:
        EarshotError: no trial has this seed.
    """
    if not records:
        raise EarshotError(
            f"--seed {printable(seed)}: expected a method or a configuration with a finished session before it, "
            f"found {printable(name)}"
        )
    if seed == BEST_SEED:
        depth = max(len(record.sessions) for record in records)
        longest = [record for record in records if len(record.sessions) == depth]
        return min(longest, key=lambda record: _negative_aa(run, record, depth)).trial
    for record in records:
        if str(record.seeds) == f"s{seed}":
            return record.trial
    shown = ", ".join(str(record.seeds).removeprefix("s") for record in records)
    raise EarshotError(
        f"--seed {printable(seed)}: {records[0].configuration} has {shown}; expected one of them or {BEST_SEED}"
    )


def _negative_aa(run: Run, record: TrialRecord, depth: int) -> float:
    """Minus the validation AA of the default head, rounded so that sums in another order tie; 0 without clips."""
    chain = run.scores.get((record.trial, record.default_head, "val"))
    value = metrics.average_accuracy(chain.micro[:depth]) if chain is not None else math.nan
    return 0.0 if math.isnan(value) else -round(value, 12)


def _by_prefix(names: Sequence[str], prefix: str) -> str:
    """The only trial whose name begins with `prefix`.

    Raises:
        EarshotError: there is none, or more than one.
    """
    matches = [name for name in names if name.startswith(prefix)]
    if len(matches) == 1:
        return matches[0]
    shown = f"trial '{printable(prefix)}': expected one with a finished session, found"
    if matches:
        listed = first_few([printable(name) for name in matches])
        raise EarshotError(f"{shown} {len(matches)} matches; trials: {listed}")
    methods = dict.fromkeys(name.rsplit("-", 2)[0] for name in names)
    similar = suggestion(prefix, (*methods, *names))
    listed = first_few([printable(name) for name in names])
    raise EarshotError(f"{shown} no match; {printable(similar) if similar.startswith('did') else f'trials: {listed}'}")
