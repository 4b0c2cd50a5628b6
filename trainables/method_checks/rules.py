"""Tests a method against the rules of `trainables.learners.learner`, on synthetic clips with a small backbone.

Stages are shared between trials, sessions are computed again alone, and results are compared over seeds: all of that is
right only for methods that follow these rules. Each rule is a function of `CHECKS`; it returns what is wrong, or an
empty text.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from datasets.utils.errors import first_line
from trainables.inference.description import PART_FILE
from trainables.learners.learner import Learner
from trainables.learners.transductive_learner import TransductiveLearner
from trainables.method_checks.clips import SyntheticClips
from trainables.method_checks.comparison import difference, state_difference, written
from trainables.method_checks.subject import Subject, generator
from trainables.networks.specs import Capability
from trainables.store.state import State

TOLERANCE = 1e-3  # of scores that a batch of another size gives: another order of additions


@dataclass(frozen=True)
class Check:
    """A rule.

    Attributes:
        name: of the check.
        expected: what the rule demands, in one clause.
        wrong: what of it a method does not do; empty if all is right.
        applies: which methods have the rule.
    """

    name: str
    expected: str
    wrong: Callable[[Subject], str]
    applies: Callable[[type[Learner]], bool] = lambda method: True


@dataclass(frozen=True)
class Result:
    """The result of a check.

    Attributes:
        check: its name.
        status: `passed`, `failed`, or `skipped` where the rule is not one of the method's.
        expected: what the rule demands.
        found: what was found instead; empty unless it failed.
    """

    check: str
    status: str
    expected: str
    found: str = ""


def run_checks(subject: Subject) -> list[Result]:
    """Runs every check; an exception of the method's is a failure of the check."""
    return [run_check(check, subject) for check in CHECKS]


def run_check(check: Check, subject: Subject) -> Result:
    """Runs a check."""
    if not check.applies(subject.method):
        return Result(check.name, "skipped", check.expected)
    try:
        wrong = check.wrong(subject)
    except Exception as error:  # of the method
        wrong = f"{type(error).__name__}: {first_line(error)}"
    return Result(check.name, "failed" if wrong else "passed", check.expected, wrong)


def _declares(subject: Subject) -> str:
    method = subject.method
    for key in ("summary", "paper"):
        value = getattr(method, key, None)
        if not isinstance(value, str) or not value or "\n" in value:
            return f"{key}: {value!r}, expected one line of text"
    if len(set(method.heads)) != len(method.heads):
        return f"heads: {method.heads!r} names one twice"
    if (head := method.default_head(subject.settings)) not in method.heads:
        return f"default_head: {head!r}, expected one of {', '.join(method.heads)}"
    if unknown := method.capabilities(subject.settings) - set(get_args(Capability)):
        return f"uses: {', '.join(sorted(unknown))}, expected of {', '.join(get_args(Capability))}"
    if method.transductive != issubclass(method, TransductiveLearner):
        return f"transductive is {method.transductive}, expected a TransductiveLearner to declare it, and no other"
    return ""


def _settings(subject: Subject) -> str:
    model = subject.method.Settings
    default = model()
    if model.model_validate(json.loads(json.dumps(default.model_dump(mode="json")))) != default:
        return "the defaults are others after they are written as JSON and read"
    try:
        model.model_validate({"no_such_setting": 1})
    except ValidationError:
        pass
    else:
        return "a setting that does not exist is accepted"
    unchecked = [
        name
        for name, field in model.model_fields.items()
        if field.annotation in (int, float) and not field.metadata and _accepts(model, name, -1)
    ]
    return f"{', '.join(unchecked)}: no bounds, -1 is accepted; use Field(..., gt=0)" if unchecked else ""


def _accepts(model: Any, name: str, value: Any) -> bool:
    try:
        model.model_validate({name: value})
    except ValidationError:
        return False
    return True


def _scores(subject: Subject) -> str:
    learner = subject.learner()
    seen: list[int] = []
    for session in subject.sessions:
        learner.learn(session, generator(session.index))
        seen += session.labels
        if learner.classes != seen:
            return f"classes after session {session.index}: {learner.classes}, expected {seen}"
        scores = learner.score(subject.queries[:3])
        if tuple(scores) != subject.method.heads:
            return f"heads {', '.join(scores)}, expected {', '.join(subject.method.heads)}"
        for head, values in scores.items():
            if tuple(values.shape) != (3, len(seen)):
                return f"head {head}: {list(values.shape)} for 3 clips after session {session.index}"
            if not values.is_floating_point() or not torch.isfinite(values).all():
                return f"head {head}: {values.dtype} with NaN or infinity"
    return ""


def _needs(subject: Subject) -> str:
    needs = subject.method.needs(subject.settings)
    base, way = max(needs.base_classes, 1), max(needs.new_classes, 1)
    clips = SyntheticClips(base + 2 * way, max(needs.base_shots, needs.shots))
    learner = subject.learner(clips=clips)
    shot = max(needs.shots, 1)
    for session in clips.sessions(base, way, shot, max(needs.base_shots, shot)):
        learner.learn(session, generator(session.index))
        for head, values in learner.score(session.classes[0].query).items():
            if not torch.isfinite(values).all():
                return f"scores of head {head} are not finite after session {session.index}"
    return ""


def _same_seed(subject: Subject) -> str:
    first, second = (subject.trained().score(subject.queries) for _ in range(2))
    return difference(first, second)


def _global_generators(subject: Subject) -> str:
    scores = []
    for seed in (1, 2):
        before = _seed_all(seed)
        scores.append(subject.trained().score(subject.queries))
        if changed := [name for name, state in _states().items() if state != before[name]]:
            return f"the global generator of {' and '.join(changed)} was used"
    return difference(scores[0], scores[1])


def _seed_all(seed: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    return _states()


def _states() -> dict[str, Any]:
    """The states of the global generators, comparable."""
    numpy_state: Any = np.random.get_state()
    return {
        "torch": torch.random.get_rng_state().numpy().tobytes(),
        "numpy": (numpy_state[1].tobytes(), numpy_state[2]),
        "random": random.getstate(),
    }


def _round_trip(subject: Subject) -> str:
    learner = subject.trained()
    state = learner.state()
    for part, tensors in state.parts.items():
        if not PART_FILE.fullmatch(f"parts/{part}.safetensors"):
            return f"part {part!r}: expected letters, digits, _, . and - in its name"
        if others := [key for key, value in tensors.items() if not isinstance(value, Tensor)]:
            return f"part {part}: {others[0]} is a {type(tensors[others[0]]).__name__}, expected a tensor"
    if json.loads(json.dumps(state.notes)) != state.notes:
        return "notes: others after they are written as JSON and read"
    loaded = subject.learner()
    loaded.load(written(state))
    if loaded.classes != learner.classes:
        return f"classes after load: {loaded.classes}, expected {learner.classes}"
    return difference(learner.score(subject.queries), loaded.score(subject.queries))


def _alone(subject: Subject) -> str:
    learner = subject.learner()
    for session in subject.sessions:
        state = written(learner.state()) if session.index else None
        learner.learn(session, generator(session.index))
        if state is not None:
            alone = subject.learner()
            alone.load(state)
            alone.learn(session, generator(session.index))
            if wrong := difference(learner.score(subject.queries), alone.score(subject.queries)):
                return f"session {session.index}: {wrong}"
    return ""


def _state_is_kept(subject: Subject) -> str:
    learner = subject.learner()
    for session in subject.sessions[:-1]:
        learner.learn(session, generator(session.index))
        state = learner.state()
        before = written(state)
        following = subject.sessions[session.index + 1]
        learner.learn(following, generator(following.index))
        if wrong := state_difference(before, state):
            return f"{wrong} of the state after session {session.index} changed in the next one: copy what changes"
        after = learner.state()
        for part in state.settled & set(state.parts):
            if part not in after.parts or state_difference(_only(before, part), _only(after, part)):
                return f"part {part} is settled, and changed in session {following.index}"
        learner = subject.learner()
        learner.load(before)
    return ""


def _only(state: State, part: str) -> State:
    return State({part: state.parts[part]}, {})


def _phases(subject: Subject) -> str:
    base, later = subject.sessions[:2]
    first = subject.trained(1)
    state = written(first.state())
    for prefix, session in (("incremental_", base), ("base_", later)):
        changed = _changed(subject.settings, prefix)
        if changed is None:
            continue
        scores = []
        for settings in (subject.settings, changed):
            learner = subject.learner(settings)
            if session.index:
                learner.load(state)
            learner.learn(session, generator(session.index))
            scores.append(learner.score(subject.queries))
        if wrong := difference(scores[0], scores[1]):
            which = "the base session reads" if session.index == 0 else "a later session reads"
            return f"{which} a setting whose name starts with {prefix}: {wrong}"
    return ""


def _changed(settings: Any, prefix: str) -> Any:
    """The settings with other numbers for those whose names start with `prefix`; None if there are none."""
    values = settings.model_dump()
    for name, value in list(values.items()):
        if name.startswith(prefix) and isinstance(value, int | float) and not isinstance(value, bool):
            other = value + 1 if isinstance(value, int) else 0.75 * value
            if _accepts(type(settings), name, other):
                values[name] = other
    try:
        changed = type(settings).model_validate(values)
    except ValidationError:
        return None
    return None if changed == settings else changed


def _query(subject: Subject) -> str:
    clips = subject.clips
    unseen = [p for session in subject.sessions for one in session.classes for p in (*one.validation, *one.query)]
    noisy = SyntheticClips(len(clips.class_names), clips.train, unseen)
    learned = written(subject.trained().state())
    wrong = state_difference(learned, written(subject.trained(clips=noisy).state()))
    return f"{wrong} of the state is another with other query clips" if wrong else ""


def _batches(subject: Subject) -> str:
    learner, queries = subject.trained(), subject.queries
    together = learner.score(queries)
    turned = {head: values.flip(0) for head, values in learner.score(queries[::-1]).items()}
    if wrong := difference(together, turned, TOLERANCE):
        return f"in another order {wrong}"
    alone = [learner.score((position,)) for position in queries]
    wrong = difference(together, {head: torch.cat([one[head] for one in alone]) for head in together}, TOLERANCE)
    return f"clip by clip {wrong}" if wrong else ""


def _order(subject: Subject) -> str:
    learner, queries = subject.trained(), subject.queries
    turned = {head: values.flip(0) for head, values in learner.score(queries[::-1]).items()}
    wrong = difference(learner.score(queries), turned, TOLERANCE)
    return f"in another order {wrong}" if wrong else ""


def _forgets(subject: Subject) -> str:
    sessions = subject.sessions
    learner, without = subject.learner(), subject.learner()
    gone = sessions[1].classes[0]
    for session in sessions[:2]:
        learner.learn(session, generator(session.index))
    learner.forget(gone)
    for session in sessions[2:]:
        learner.learn(session, generator(session.index))
    for session in sessions:
        kept = tuple(clips for clips in session.classes if clips != gone)
        without.learn(replace(session, classes=kept), generator(session.index))
    if learner.classes != without.classes:
        return f"classes {learner.classes}, expected {without.classes}"
    return difference(learner.score(subject.queries), without.score(subject.queries), TOLERANCE)


def _counts(subject: Subject) -> str:
    counts: Any = subject.trained().parameter_counts()
    if not isinstance(counts, tuple) or len(counts) != 2 or not all(type(count) is int for count in counts):
        return f"{counts!r}, expected two whole numbers"
    stored, used = counts
    return "" if stored >= used > 0 else f"{stored} stored and {used} used to score"


def _requests(subject: Subject) -> str:
    query = subject.sessions[0].classes[0].query
    learner = subject.learner()
    before = [request.address for request in learner.requests(query)]
    learner.learn(subject.sessions[0], generator(0))
    learner.score(query)
    after = learner.requests(query)
    if [request.address for request in after] != before:
        return "others after a session was learned"
    return "" if all(map(learner.features.has, after)) else "arrays that learning and scoring do not read"


CHECKS: Sequence[Check] = (
    Check("declaration", "summary, paper, heads, uses and transductive as the interface describes them", _declares),
    Check("settings", "Settings with defaults and bounds, which reject unknown keys", _settings),
    Check("scores", "finite scores [clips, classes seen] of every head after every session", _scores),
    Check("needs", "runs with exactly the classes and shots that `needs` asks for", _needs),
    Check("seed", "equal scores of two chains with the same seeds", _same_seed),
    Check("generators", "all randomness from the generator of the session, none from global ones", _global_generators),
    Check("state", "tensors and JSON values; after `load`, equal scores", _round_trip),
    Check("resuming", "a session that is computed alone, from the state before it, equals the chain's", _alone),
    Check("later sessions", "the state of a session does not change in the next one", _state_is_kept),
    Check("phases", "base_ settings are read by the base session only, incremental_ ones by later ones only", _phases),
    Check("query clips", "learning does not read them: others give the same state", _query),
    Check(
        "independence",
        "the scores of a clip do not depend on the clips beside it",
        _batches,
        lambda m: not m.transductive,
    ),
    Check("order", "the scores of a clip do not depend on the order of its batch", _order, lambda m: m.transductive),
    Check("forgetting", "scores as if the class had never been learned", _forgets, lambda m: m.forgets),
    Check("parameter counts", "values stored, and those of them that scoring uses", _counts),
    Check("requests", "arrays that learning or scoring reads, the same before and after a session", _requests),
)
"""Every rule."""
