"""Chooses the trial of a run that is exported."""

from collections.abc import Sequence

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from orchestrator.results.run import Choice, Run
from orchestrator.results.run_folder import RunFolder

BEST = "best"


def choose_trial(folder: RunFolder, name: str) -> str:
    """The name of a trial.

    Args:
        folder: of the run.
        name: 'best', or a method, a configuration, a trial, or the beginning of a trial's name; see the command.

    Raises:
        EarshotError: no trial matches, or several do.
    """
    if name in folder.trials:
        return name
    run = Run.load(folder.path)
    configuration = name
    if name == BEST or name in run.methods:
        configuration = _best_configuration(run, run.methods if name == BEST else (name,))
    return _first_seed(run, configuration) or _by_prefix(folder.trials, name)


def _best_configuration(run: Run, methods: Sequence[str]) -> str:
    """The configuration with the best validation AA among those of some methods; empty if no session is finished."""
    choices = [choice for choice in map(run.best, methods) if choice.sessions]
    return min(choices, key=_rank).configuration if choices else ""


def _rank(choice: Choice) -> tuple[bool, float, str]:
    """Sorts the best first; those without validation clips (NaN) last; ties by name."""
    return choice.n == 0, -round(choice.validation_aa, 12) if choice.n else 0.0, choice.method


def _first_seed(run: Run, configuration: str) -> str:
    """The trial of a configuration with the lowest seeds that has a finished session; empty if there is none."""
    if configuration not in run.configurations():
        return ""
    records = [record for record in run.of(configuration) if record.sessions]
    if not records:
        return ""
    return min(records, key=lambda r: (r.seeds.order, r.seeds.support, r.seeds.initialisation)).trial


def _by_prefix(names: Sequence[str], prefix: str) -> str:
    """The only trial whose name begins with `prefix`.

    Raises:
        EarshotError: there is none, or more than one.
    """
    matches = [name for name in names if name.startswith(prefix)]
    if len(matches) == 1:
        return matches[0]
    count = f"{len(matches)} matches" if matches else "no match"
    shown = printable(", ".join(matches or names)[:300])
    raise EarshotError(
        f"trial '{printable(prefix)}': expected one with a finished session, found {count}; trials: {shown}"
    )
