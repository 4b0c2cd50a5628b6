"""Hyperparameter importance: PED-ANOVA over the complete configurations of a method, on validation clips only.

Optuna's evaluator (Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
Arbitrary Subspaces", IJCAI 2023, arXiv 2304.10255): the importance of a hyperparameter is the Pearson divergence
between the distribution of its values among the best configurations and among all configurations.
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

MIN_CONFIGURATIONS = 5
"""Number of complete configurations below which no importance is computed."""


def importances(run: Run, label: str) -> dict[str, float]:
    """Hyperparameter -> its importance for the validation AA, in descending order; the values sum to one.

    The best configurations are the better quarter; of few configurations, five of them, at most the better half.
    Numbers are replaced by their rank among the values tried, so linear and logarithmic ranges are treated alike.

    Args:
        run: the run.
        label: of an entry of the run.

    Returns:
        Empty if fewer than `MIN_CONFIGURATIONS` configurations are complete, all are equally good, or nothing varies.
    """
    names = [name for name in run.configurations(label) if run.is_complete(name)]
    values = [run.validation_aa(name) for name in names]
    settings = [run.of(name)[0].settings for name in names]
    keys = sorted({key for name in names for key in run.of(name)[0].varied})
    scored = [(value, setting) for value, setting in zip(values, settings, strict=True) if not np.isnan(value)]
    if len(scored) < MIN_CONFIGURATIONS or np.ptp([value for value, _ in scored]) < 1e-12:
        return {}
    columns = {key: _encoded([setting.get(key) for _, setting in scored]) for key in keys}
    columns = {key: column for key, column in columns.items() if not column[0].single()}
    if not columns:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    distributions = {key: distribution for key, (distribution, _) in columns.items()}
    for row, (value, _) in enumerate(scored):
        params = {key: codes[row] for key, (_, codes) in columns.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=round(value, 12)))
    quantile = max(0.25, min(0.5, 5 / len(scored)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # ties may make all configurations the best: equal shares
        shares = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=quantile))
    return dict(sorted(shares.items(), key=lambda item: (-item[1], item[0])))


def _encoded(values: Sequence[Any]) -> tuple[BaseDistribution, list[Any]]:
    """Encodes numbers as ranks and other values as categories; the distribution and the encoded values."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        unique, codes = np.unique(np.asarray(values, dtype=float), return_inverse=True)
        return IntDistribution(0, len(unique) - 1), codes.tolist()
    texts = [json.dumps(value, sort_keys=True) for value in values]
    return CategoricalDistribution(sorted(set(texts))), texts
