"""Finds methods by name, and checks that a protocol gives a method what it needs."""

import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import trainables.methods
from datasets.benchmark.protocol import Protocol, Session
from datasets.utils.errors import EarshotError
from datasets.utils.suggestion import suggestion

if TYPE_CHECKING:  # it imports PyTorch
    from trainables.learners.learner import Learner


def method_names() -> tuple[str, ...]:
    """Names of all methods, sorted, from the names of their files: imports none of them."""
    modules = {info.name for info in pkgutil.iter_modules(trainables.methods.__path__)} - {"registry"}
    return tuple(sorted(module.replace("_", "-") for module in modules))


def methods() -> dict[str, "type[Learner]"]:
    """Every method by name, in alphabetical order: one per file in `trainables/methods`."""
    from trainables.learners.learner import Learner

    found: dict[str, type[Learner]] = {}
    for info in pkgutil.iter_modules(trainables.methods.__path__, "trainables.methods."):
        for value in vars(importlib.import_module(info.name)).values():
            defined_here = inspect.isclass(value) and value.__module__ == info.name
            if defined_here and issubclass(value, Learner) and not inspect.isabstract(value):
                assert value.name not in found, f"two methods are called {value.name}"
                found[value.name] = value
    return dict(sorted(found.items()))


def find_method(name: str) -> "type[Learner]":
    """The method called `name`.

    Raises:
        EarshotError: there is none.
    """
    known = methods()
    if name not in known:
        raise EarshotError(f"method '{name}': not known; {suggestion(name, known)}")
    return known[name]


def check_fit(method: "type[Learner]", settings: Any, protocol: Protocol, sessions: Sequence[Session]) -> None:
    """Refuses a protocol that cannot give a method what it needs.

    Raises:
        EarshotError: it cannot; says what is missing and what to do.
    """
    needs = method.needs(settings)
    because = f" ({needs.why})" if needs.why else ""
    if protocol.exemplars is not None and needs.exemplars > protocol.exemplars:
        others = {name: other.needs(other.Settings()) for name, other in methods().items()}
        without = [name for name, other in others.items() if not other.exemplars and not other.everything]
        fewer = f"set its exemplars_per_class to {protocol.exemplars}, " if protocol.exemplars else ""
        raise EarshotError(
            f"method {method.name}: rehearses {needs.exemplars} clip(s) of every old class, the protocol allows "
            f"{protocol.exemplars}; {fewer}allow --exemplars {needs.exemplars}, or take a method without memory: "
            f"{', '.join(without)}"
        )
    base = len(sessions[0].classes)
    if base < needs.base_classes:
        raise EarshotError(
            f"method {method.name}: needs at least {needs.base_classes} base classes{because}, the protocol has "
            f"{base}; give it --base {needs.base_classes} or more"
        )
    for option, least, asked in (("shot", needs.shots, sessions), ("base-shot", needs.base_shots, sessions[:1])):
        fewest = min(len(one.support) for session in asked for one in session.classes)
        if fewest < least:
            raise EarshotError(
                f"method {method.name}: needs at least {least} support clips of a {'base ' * (option != 'shot')}class"
                f"{because}, the protocol gives {fewest}; give it --{option} {least} or more"
            )
