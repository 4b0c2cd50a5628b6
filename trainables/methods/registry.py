"""Finds methods by name, and checks that protocol and backbone provide what a method needs.

The names are those of the files: finding one imports that file only, and listing the names imports nothing. Methods
from outside are in `trainables.methods.outside`.
"""

import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.utils.errors import EarshotError
from datasets.utils.installed import given_code
from datasets.utils.suggestion import suggestion
from datasets.utils.text import printable
from trainables.methods import outside

if TYPE_CHECKING:  # all of these import PyTorch, which takes seconds
    from datasets.benchmark.protocol import Protocol, Session
    from trainables.learners.learner import Learner
    from trainables.networks.backbones.backbone import Backbone

FOLDER = Path(__file__).parent
OTHER_FILES = ("__init__", "outside", "registry")


def method_names() -> tuple[str, ...]:
    """The name of every method, in alphabetical order: one per file in `trainables/methods`."""
    stems = (path.stem for path in FOLDER.glob("*.py") if path.stem not in OTHER_FILES)
    return tuple(sorted(stem.replace("_", "-") for stem in stems))


def methods() -> "dict[str, type[Learner]]":
    """Every method by name, in alphabetical order."""
    return {name: find_method(name) for name in method_names()}


def method_code(text: str) -> str:
    """The code of a method from outside, as `find_method` takes it; empty for a method of Earshot. Imports neither.

    Args:
        text: name of a method, of an entry point, or code: `mymethod.py:MyLearner` or `mypackage.module:MyLearner`.

    Raises:
        EarshotError: there is no such method, file or module.
    """
    return "" if text in method_names() else given_code("method", text, method_names())


def find_method(name: str, code: str = "") -> "type[Learner]":
    """The method called `name`.

    Args:
        name: see `method_code`.
        code: of a method from outside, which is then imported from there.

    Raises:
        EarshotError: there is none, or its code cannot be used.
    """
    code = code or method_code(name)
    if code:
        return outside.load_method(code, method_names())

    from trainables.learners.learner import Learner

    module = importlib.import_module(f"trainables.methods.{name.replace('-', '_')}")
    (method,) = (
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Learner)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    )
    return method


def recorded_code(name: str, source: str, digest: str, given: str, shown: str) -> str:
    """The code of a method that a record of a trial or an export names, as `find_method` takes it.

    Code that a file names is never run: it is what the user gives, or an entry point of that name, and the same code.

    Args:
        name: of the method in the file.
        source: where its code was; empty for a method of Earshot.
        digest: SHA-256 hex of its code.
        given: by the user, as `method_code` takes it; empty if nothing is.
        shown: the file, for errors.

    Returns:
        the code; empty for a method of Earshot.

    Raises:
        EarshotError: the user has to give it, or it is another method or has changed.
    """
    if not source:
        if name not in method_names():  # `find_method` would import a name that is code
            raise EarshotError(f"method '{printable(name)}': not known; {suggestion(name, method_names())}")
        if given:
            raise EarshotError(f"--method {given}: {shown} was made with '{name}' of Earshot; leave the option out")
        return ""
    if not given and not outside.is_installed(name):
        raise EarshotError(
            f"{shown}: made with the method '{printable(name)}' of {printable(source)}, and code that a file names is "
            f"not run; give it: --method {printable(source)}"
        )
    code = method_code(given or name)
    if not code:
        raise EarshotError(
            f"method '{given or name}': one of Earshot, but {shown} was made with '{printable(name)}' of "
            f"{printable(source)}; give its code: --method {printable(source)}"
        )
    if (found := outside.digest_of(code)) != digest:
        raise EarshotError(
            f"method '{code}': its code differs from that of {shown} (expected SHA-256 {digest[:12]}..., found "
            f"{found[:12]}...); give the files that it was made with"
        )
    if (other := find_method(name, code).name) != name:
        raise EarshotError(f"method '{code}': expected '{printable(name)}', as in {shown}, found '{other}'")
    return code


def check_backbone(method: "type[Learner]", settings: Any, backbone: "Backbone", name: str) -> None:
    """Checks that a backbone can do what a method needs.

    Args:
        method: that uses a backbone.
        settings: of the method, validated.
        backbone: loaded.
        name: of the backbone, for the error.

    Raises:
        EarshotError: it cannot; names the methods that fit.
    """
    missing = sorted(method.capabilities(settings) - backbone.provides)
    if missing:
        fitting = [
            other
            for other, candidate in methods().items()
            if candidate.backbone and candidate.capabilities(candidate.Settings()) <= backbone.provides
        ]
        hint = "; text needs a CLAP with the files of its tokenizer" if "text" in missing else ""
        raise EarshotError(
            f"method {method.name}: needs {' and '.join(missing)} of its backbone, '{name}' ({backbone.family}) has "
            f"{', '.join(sorted(backbone.provides))}; methods that fit: {', '.join(fitting)}{hint}"
        )
    if "text" in method.capabilities(settings) and backbone.text is not None:
        _ = backbone.text.digest  # reads the text tower, whose parameters are checked


def check_protocol(method: "type[Learner]", settings: Any, protocol: "Protocol", sessions: "Sequence[Session]") -> None:
    """Checks that a protocol provides what a method needs.

    Raises:
        EarshotError: it does not; says what is missing and what to do.
    """
    needs = method.needs(settings)
    because = f" ({needs.why})" if needs.why else ""
    if protocol.exemplars is not None and needs.exemplars > protocol.exemplars:
        others = {name: other.needs(other.Settings()) for name, other in methods().items()}
        without = [name for name, other in others.items() if not other.exemplars and not other.everything]
        fewer = f"set its exemplars_per_class to {protocol.exemplars}, " if protocol.exemplars else ""
        raise EarshotError(
            f"method {method.name}: rehearses {needs.exemplars} clip(s) of every old class, the protocol allows "
            f"{protocol.exemplars}; {fewer}use --exemplars {needs.exemplars}, or a method without memory: "
            f"{', '.join(without)}"
        )
    base = len(sessions[0].classes)
    if base < needs.base_classes:
        raise EarshotError(
            f"method {method.name}: needs at least {needs.base_classes} base classes{because}, the protocol has "
            f"{base}; use --base {needs.base_classes} or more"
        )
    fewest_new = min((len(session.classes) for session in sessions[1:] if session.classes), default=needs.new_classes)
    if fewest_new < needs.new_classes:
        raise EarshotError(
            f"method {method.name}: needs at least {needs.new_classes} new classes a session{because}, the protocol "
            f"has one with {fewest_new}; use --way {needs.new_classes} or more, or fewer --sessions"
        )
    for option, least, affected in (("shot", needs.shots, sessions), ("base-shot", needs.base_shots, sessions[:1])):
        fewest = min(len(clips.support) for session in affected for clips in session.classes)
        if fewest < least:
            raise EarshotError(
                f"method {method.name}: needs at least {least} support clips of a {'base ' * (option != 'shot')}class"
                f"{because}, the protocol has {fewest}; use --{option} {least} or more"
            )
