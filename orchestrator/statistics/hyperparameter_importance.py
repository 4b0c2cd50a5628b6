"""Which hyperparameters decide: PED-ANOVA over the complete configurations of a method, on validation clips alone.

Optuna's evaluator (Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
Arbitrary Subspaces", IJCAI 2023, arXiv 2304.10255): a hyperparameter matters as far as its values among the best
configurations are distributed otherwise than among all (Pearson divergence).
"""

import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from orchestrator.results.run import Run

FEWEST = 5
"""Complete configurations below which nothing is said."""


def importances(run: Run, method: str) -> dict[str, float]:
    """Hyperparameter -> its share of what decides over the validation AA, the largest first; they sum to one.

    The best configurations are the better quarter, of few the better half or five of them. Numbers enter by their rank
    among the values tried, so it does not matter whether a range is linear or logarithmic.

    Args:
        run: the run.
        method: its name.

    Returns:
        Empty where fewer than `FEWEST` configurations are complete, or all are equally good, or nothing varies.
    """
    names = [name for name in run.configurations(method) if run.is_complete(name)]
    values = [run.validation_aa(name) for name in names]
    settings = [run.of(name)[0].settings for name in names]
    keys = sorted({key for name in names for key in run.of(name)[0].varied})
    told = [(value, one) for value, one in zip(values, settings, strict=True) if not np.isnan(value)]
    if len(told) < FEWEST or np.ptp([value for value, _ in told]) < 1e-12:
        return {}
    columns = {key: _encoded([one.get(key) for _, one in told]) for key in keys}
    columns = {key: column for key, column in columns.items() if not column[0].single()}
    if not columns:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    distributions = {key: distribution for key, (distribution, _) in columns.items()}
    for row, (value, _) in enumerate(told):
        params = {key: codes[row] for key, (_, codes) in columns.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=round(value, 12)))
    quantile = max(0.25, min(0.5, 5 / len(told)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # ties may make the best as many as all: equal shares
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=quantile))
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _encoded(values: Sequence[Any]) -> tuple[BaseDistribution, list[Any]]:
    """Numbers as ranks, anything else as categories; with the distribution that these are of."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        known, codes = np.unique(np.asarray(values, dtype=float), return_inverse=True)
        return IntDistribution(0, len(known) - 1), codes.tolist()
    texts = [json.dumps(value, sort_keys=True) for value in values]
    return CategoricalDistribution(sorted(set(texts))), texts
