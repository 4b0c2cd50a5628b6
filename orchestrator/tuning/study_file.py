"""The search of a sweep as an Optuna storage, `RUN/optuna.log`, that `optuna-dashboard` and `optuna.load_study` read.

The searches themselves are in memory (orchestrator/tuning/search.py) and propose the same configurations again when a
sweep is resumed. So every launch begins the file anew, and appends each configuration when its last chain has ended: no
configuration is in it twice. A line that a sweep did not finish writing is ignored by Optuna.
"""

import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from orchestrator.tuning.plan import Plan
from orchestrator.tuning.search import Answer, MethodSearch, Pruned, state_of

FILE_NAME = "optuna.log"
"""In the run folder."""
LOCK = ".lock"  # what Optuna adds to the name of a journal for its lock


class StudyFile:
    """Writes the file of a launch: one study per method and backbone.

    Args:
        plan: of the sweep.
        searches: of the sweep; their configurations so far are those of earlier runs (`--warm-start`).

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, plan: Plan, searches: Sequence[MethodSearch]) -> None:
        self._plan = plan
        path = plan.folder.path / FILE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{FILE_NAME}.new")
        for left in (new, *(file.with_name(f"{file.name}{LOCK}") for file in (new, path))):
            left.unlink(missing_ok=True)  # by a sweep that was killed; this one has the lease of the run
        storage = _storage(new)
        for search in searches:
            study = optuna.create_study(
                storage=storage,
                study_name=study_name(plan, search),
                directions=[objective.direction for objective in search.objectives],
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # names of values are experimental in Optuna
                study.set_metric_names([objective.name for objective in search.objectives])
            for key, value in self._facts().items():
                study.set_user_attr(key, value)
            for known in search.known:
                parameters = _parameters(search, known.chosen)
                study.add_trial(create_trial(**parameters, values=known.values, user_attrs={"earlier run": True}))
        os.replace(new, path)
        self._storage = _storage(path)

    def add(self, search: MethodSearch, proposed: Sequence[dict[str, Any]], answers: Sequence[Answer]) -> None:
        """Appends the configurations of a round.

        Args:
            search: that has proposed them.
            proposed: all settings of each configuration.
            answers: what the search was given for each.
        """
        study = optuna.load_study(study_name=study_name(self._plan, search), storage=self._storage)
        for settings, answer in zip(proposed, answers, strict=True):
            study.add_trial(self._trial(search, settings, answer))

    def _trial(self, search: MethodSearch, settings: dict[str, Any], answer: Answer) -> FrozenTrial:
        varied = tuple(search.space.varied)
        chains = [
            self._plan.chain(search.space.method, settings, varied, seeds, search.backbone)
            for seeds in self._plan.config.seeds
        ]
        state = state_of(answer, len(search.objectives))
        return create_trial(
            **_parameters(search, settings),
            state=state,
            values=list(answer) if state == TrialState.COMPLETE and isinstance(answer, tuple) else None,
            intermediate_values=answer.curve if isinstance(answer, Pruned) else {},
            user_attrs={
                "configuration": chains[0].configuration,
                "trials": [chain.trial for chain in chains],
                "fixed": search.space.fixed,
            },
        )

    def _facts(self) -> dict[str, Any]:
        config = self._plan.config
        return {
            "run": self._plan.folder.path.name,
            "benchmark": self._plan.benchmark.name,
            "protocol": config.protocol.name,
            "protocol hash": self._plan.protocol_hash,
            "seeds": [str(seeds) for seeds in config.seeds],
            "search": config.search,
        }


def study_name(plan: Plan, search: MethodSearch) -> str:
    """'ede', or 'ede+wavlm-base-plus@layer=6' where the sweep has several backbones."""
    several = len(plan.config.backbones) > 1 and search.backbone and search.space.learner.backbone
    name = str(search.backbone.short(plan.config.backbone_parts)) if several and search.backbone else ""
    return "+".join(filter(None, (search.space.method, name)))


def _storage(path: Path) -> JournalStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))


def _parameters(search: MethodSearch, settings: dict[str, Any]) -> dict[str, Any]:
    """The varied settings and their distributions; a choice that is a list becomes a text, as storages need."""
    distributions: dict[str, BaseDistribution] = {}
    params = {key: settings[key] for key in search.space.varied}
    for key, distribution in search.space.varied.items():
        if isinstance(distribution, CategoricalDistribution) and any(
            isinstance(c, tuple) for c in distribution.choices
        ):
            params[key] = json.dumps(params[key])
            distribution = CategoricalDistribution([json.dumps(choice) for choice in distribution.choices])
        distributions[key] = distribution
    return {"params": params, "distributions": distributions}
