"""The configurations that the table of methods compares on validation clips: as many for every method.

The first is that of `search_spaces/table.yaml`: the method's defaults, with at most 20 epochs per stage of training.
The others are drawn at random from the method's own search space (`search_spaces/NAME.yaml`), with the same limit on
epochs, and with the learning rate of the base session (1e-4 to 0.1) where the method trains one and its space does not
vary it.
"""

import json
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.loader import MethodSpace, load_space, shipped
from trainables.methods.registry import find_method

CONFIGURATIONS = 6
EPOCHS = 20  # per stage of training, at most
BASE_RATE = FloatDistribution(1e-4, 0.1, log=True)
ATTEMPTS = 20  # draws for one configuration that is new


def table_settings() -> dict[str, dict[str, Any]]:
    """The settings of each method in `table.yaml`."""
    return {space.method: space.fixed for space in load_space(shipped()["table"])}


def candidates(method: str, count: int = CONFIGURATIONS, epochs: int = EPOCHS) -> list[dict[str, Any]]:
    """Different configurations of a method, that of `table.yaml` first.

    Args:
        method: its name.
        count: configurations; fewer where the search space has fewer.
        epochs: most of a stage of training, where the search space varies them.
    """
    first = table_settings()[method]
    (space,) = load_space(shipped()[method])
    distributions = limited(space, epochs)
    fixed = {**first, **{key: value for key, value in space.fixed.items() if not _is_length(key)}}
    chosen = {_complete(method, first): first}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(ATTEMPTS * count if distributions else 0):
        if len(chosen) == count:
            break
        settings = {**fixed, **study.ask(distributions).params}
        chosen.setdefault(_complete(method, settings), settings)
    return list(chosen.values())


def limited(space: MethodSpace, epochs: int) -> dict[str, BaseDistribution]:
    """What a search space varies, without longer training than `epochs`, with the learning rate of the base session."""
    distributions = {}
    for key, distribution in sorted(space.varied.items()):
        if _is_length(key):
            distribution = _limited_length(distribution, epochs)
        distributions[key] = distribution
    if "base_lr" in find_method(space.method).Settings.model_fields:
        distributions.setdefault("base_lr", BASE_RATE)
    return distributions


def _limited_length(distribution: BaseDistribution, epochs: int) -> BaseDistribution:
    """The same choices or range up to `epochs`; `epochs` where all are longer."""
    if isinstance(distribution, CategoricalDistribution):
        return CategoricalDistribution([n for n in distribution.choices if int(str(n)) <= epochs] or [epochs])
    assert isinstance(distribution, IntDistribution)
    return IntDistribution(min(distribution.low, epochs), min(distribution.high, epochs))


def _is_length(key: str) -> bool:
    return key.endswith("epochs")


def _complete(method: str, settings: dict[str, Any]) -> str:
    """All settings as text, the same for configurations that are equal."""
    return json.dumps(find_method(method).Settings.model_validate(settings).model_dump(mode="json"), sort_keys=True)
