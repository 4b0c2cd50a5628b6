"""Search spaces in YAML: the settings that a sweep fixes, and the distributions of those that it varies.

    methods:
      ede:
        base_epochs: 20                              # a value: fixed
        incremental_lr: {loguniform: [1e-4, 1e-1]}   # varied: uniform, loguniform, int, logint or choice
        exemplars_per_class: {choice: [1, 2, 5]}
      simplecil: {}

Settings that are not named have the default of the method.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import BaseModel, ConfigDict

from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion
from datasets.utils.validation import read_yaml, validated
from search_spaces.files import shipped as shipped
from trainables.learners.learner import Settings
from trainables.methods.registry import find_method

RANGES: dict[str, Callable[[Any, Any], BaseDistribution]] = {
    "uniform": lambda low, high: FloatDistribution(float(low), float(high)),
    "loguniform": lambda low, high: FloatDistribution(float(low), float(high), log=True),
    "int": lambda low, high: IntDistribution(int(low), int(high)),
    "logint": lambda low, high: IntDistribution(int(low), int(high), log=True),
}


class _SpaceFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    methods: dict[str, dict[str, Any] | None]


@dataclass(frozen=True)
class MethodSpace:
    """The search space of one method.

    Attributes:
        method: its name.
        fixed: settings with one value.
        varied: settings with a distribution.
    """

    method: str
    fixed: dict[str, Any] = field(default_factory=dict)
    varied: dict[str, BaseDistribution] = field(default_factory=dict)

    def corners(self) -> list[dict[str, Any]]:
        """The fixed settings alone, and with one varied setting at an end of its range, for each end of each range."""
        varied = [{key: value} for key, distribution in self.varied.items() for value in _ends(distribution)]
        return [self.fixed, *({**self.fixed, **corner} for corner in varied)]

    def within(self, settings: dict[str, Any]) -> dict[str, Any] | None:
        """The varied part of complete settings of the method; None if one of its values is outside of this space."""
        chosen = {}
        for key, distribution in self.varied.items():
            value = _hashable(settings[key])
            try:
                internal = distribution.to_internal_repr(value)
            except (ValueError, TypeError):
                return None
            if not distribution._contains(internal):
                return None
            chosen[key] = distribution.to_external_repr(internal)
        return chosen


def load_space(path: Path) -> tuple[MethodSpace, ...]:
    """Reads and validates a search space.

    Raises:
        EarshotError: the file, a method, a setting or a value is invalid; names the key and what is allowed.
    """
    return make_spaces(validated(_SpaceFile, read_yaml(path), str(path)).methods, f"{path}: methods")


def make_spaces(methods: Mapping[str, dict[str, Any] | None], within: str) -> tuple[MethodSpace, ...]:
    """Validates search spaces.

    Args:
        methods: method -> setting -> a value, or a distribution.
        within: where they come from, for errors.

    Raises:
        EarshotError: a method, a setting or a value is invalid; names the key and what is allowed.
    """
    spaces = []
    for method, settings in methods.items():
        where = f"{within}.{method}"
        model = find_method(method).Settings
        fixed: dict[str, Any] = {}
        varied: dict[str, BaseDistribution] = {}
        for key, value in (settings or {}).items():
            if key not in model.model_fields:
                raise EarshotError(f"{where}: no setting '{key}'; {suggestion(key, model.model_fields)}")
            if isinstance(value, dict):
                varied[key] = _distribution(value, f"{where}.{key}")
            else:
                fixed[key] = value
        fixed = {key: value for key, value in _in_json_types(model, fixed, where).items() if key in fixed}
        for key, distribution in varied.items():
            varied[key] = _checked(model, fixed, key, distribution, where)
        spaces.append(MethodSpace(method, fixed, varied))
    if not spaces:
        raise EarshotError(f"{within}: names no method")
    return tuple(spaces)


def _distribution(value: dict[str, Any], where: str) -> BaseDistribution:
    if len(value) != 1 or next(iter(value)) not in (*RANGES, "choice"):
        raise EarshotError(f"{where}: expected one of {', '.join(RANGES)}, choice with its values, found {value!r}")
    kind, arguments = next(iter(value.items()))
    if not isinstance(arguments, list) or not arguments:
        raise EarshotError(f"{where}.{kind}: expected a list, found {arguments!r}")
    if kind == "choice":
        return CategoricalDistribution([_hashable(choice) for choice in arguments])
    try:
        return RANGES[kind](*arguments)
    except (TypeError, ValueError) as error:
        raise EarshotError(
            f"{where}.{kind}: expected [low, high], found {arguments!r} ({' '.join(str(error).split())})"
        ) from None


def _checked(
    model: type[Settings], fixed: dict[str, Any], key: str, distribution: BaseDistribution, where: str
) -> BaseDistribution:
    """Checks that the method accepts both ends of a range, or every choice; equal choices become one."""
    values = [_in_json_types(model, {**fixed, key: value}, where)[key] for value in _ends(distribution)]
    if not isinstance(distribution, CategoricalDistribution):
        return distribution
    return CategoricalDistribution(list(dict.fromkeys(map(_hashable, values))))


def _in_json_types(model: type[Settings], values: dict[str, Any], where: str) -> dict[str, Any]:
    """All settings, each in the type of its field: 13, "13" and 13.0 are one configuration with one name."""
    return validated(model, values, where).model_dump(mode="json")


def _ends(distribution: BaseDistribution) -> list[Any]:
    """Both ends of a range, or every choice."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    return [distribution.low, distribution.high]


def _hashable(value: Any) -> Any:
    return tuple(_hashable(item) for item in value) if isinstance(value, list) else value
