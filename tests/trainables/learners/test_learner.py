"""Every method: found by name, one per file, resumes exactly, rejects invalid settings."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from datasets.utils.errors import EarshotError
from datasets.utils.validation import validated
from tests.support.chain_runs import methods_on_an_ast
from tests.support.learning import generator, sessions
from trainables.learners.features import Features
from trainables.learners.learner import Learner
from trainables.methods.registry import find_method
from trainables.store.arrays import ArrayStore

OTHERS = {"cec": {"base_episodes": 3}, "ranpac": {"projection": 64}}


def quick(name: str) -> dict[str, object]:
    """Settings that train for two epochs wherever there are epochs."""
    epochs = {key: 2 for key in find_method(name).Settings.model_fields if key.endswith("epochs")}
    return {**epochs, **OTHERS.get(name, {})}


METHODS = methods_on_an_ast()


def make(name: str, features: Features) -> Learner:
    method = find_method(name)
    return method(method.Settings.model_validate(quick(name)), features)


def other(value: object) -> object:
    """Another value of the same type, valid wherever the first is."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return (1, *value)
    return value + 1 if isinstance(value, int) else value * 0.75 if isinstance(value, float) else value


def digest(part: dict[str, torch.Tensor]) -> dict[str, tuple[tuple[int, ...], float]]:
    return {key: (tuple(value.shape), value.double().sum().item()) for key, value in part.items()}


@pytest.mark.parametrize("name", METHODS)
def test_scores_of_all_classes_seen_by_every_head(name: str, features: Features) -> None:
    learner = make(name, features)
    for session in sessions(features):
        learner.learn(session, generator(session.index))
        scores = learner.score((1, 20, 33))
        assert tuple(scores) == learner.heads
        for values in scores.values():
            assert values.shape == (3, 2 * (session.index + 1))
            assert torch.isfinite(values).all()
    assert learner.default_head(learner.settings) in learner.heads
    stored, used = learner.parameter_counts()
    assert stored >= used > 0


@pytest.mark.parametrize("name", METHODS)
def test_resumes_mid_chain_with_identical_results(name: str, features: Features) -> None:
    base, second, third = sessions(features)
    learner = make(name, features)
    for session in (base, second):
        learner.learn(session, generator(session.index))
    state = learner.state()
    learner.learn(third, generator(2))

    resumed = make(name, features)
    resumed.load(state)
    resumed.learn(third, generator(2))
    for head, scores in learner.score((0, 20, 50)).items():
        assert torch.equal(scores, resumed.score((0, 20, 50))[head])


@pytest.mark.parametrize("name", [name for name in METHODS if find_method(name).forgets])
def test_a_forgotten_class_leaves_no_trace(name: str, features: Features) -> None:
    """The scores are those of a chain in which it never was, up to rounding; also in another process."""
    base, second, third = sessions(features)
    learner, without, resumed = (make(name, features) for _ in range(3))
    gone = (base.classes[1], second.classes[0])
    for session in (base, second):
        learner.learn(session, generator(session.index))
    for clips in gone:
        learner.forget(clips)
    resumed.load(learner.state())
    for one in (learner, resumed):
        one.learn(third, generator(2))
    for session in (base, second, third):
        kept = tuple(clips for clips in session.classes if clips not in gone)
        without.learn(replace(session, classes=kept), generator(session.index))
    assert learner.classes == without.classes == resumed.classes
    for head, scores in learner.score((0, 20, 50)).items():
        torch.testing.assert_close(scores, without.score((0, 20, 50))[head])
        assert torch.equal(scores, resumed.score((0, 20, 50))[head])


@pytest.mark.parametrize("name", METHODS)
def test_settled_parts_do_not_change(name: str, features: Features) -> None:
    """Later stages reuse settled parts without comparing them."""
    learner = make(name, features)
    before: dict[str, dict[str, torch.Tensor]] = {}
    for session in sessions(features):
        learner.learn(session, generator(session.index))
        state = learner.state()
        assert set(before) <= set(state.parts)
        for part, tensors in before.items():
            assert all(torch.equal(value, state.parts[part][key]) for key, value in tensors.items())
        for part in state.settled & set(state.parts):
            before[part] = {key: value.clone() for key, value in state.parts[part].items()}


@pytest.mark.parametrize("name", METHODS)
def test_the_base_session_reads_no_setting_of_the_later_ones(name: str, features: Features) -> None:
    """Trials that differ in `incremental_` settings share their base session: it must not depend on them."""
    method = find_method(name)
    (base, *_) = sessions(features)
    learned = []
    for change in (False, True):
        settings = make(name, features).settings.model_dump()
        if change:
            settings |= {key: other(value) for key, value in settings.items() if key.startswith("incremental_")}
        learner = method(method.Settings.model_validate(settings), features)
        learner.learn(base, generator(0))
        learned.append((learner.state(), learner.score((1, 20, 33))))
    (state, scores), (state_changed, scores_changed) = learned
    assert state.notes == state_changed.notes
    assert {name: digest(part) for name, part in state.parts.items()} == {
        name: digest(part) for name, part in state_changed.parts.items()
    }
    assert all(torch.equal(scores[head], scores_changed[head]) for head in scores)


@pytest.mark.parametrize("name", METHODS)
def test_half_precision(name: str, features: Features) -> None:
    half = Features(
        features.clips,
        features.frontend,
        features.backbone if find_method(name).backbone else None,
        features.store,
        precision="bf16",
    )
    learner = make(name, half)
    for session in sessions(half)[:2]:
        learner.learn(session, generator(session.index))
    for scores in learner.score((1, 20, 33)).values():
        assert scores.dtype == torch.float32
        assert torch.isfinite(scores).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", METHODS)
def test_on_a_gpu(name: str, features: Features, tmp_path: Path) -> None:
    backbone = copy.deepcopy(features.backbone) if find_method(name).backbone else None
    on_gpu = Features(features.clips, features.frontend, backbone, ArrayStore(tmp_path / "gpu"), device="cuda")
    learner = make(name, on_gpu)
    base, second, third = sessions(on_gpu)
    for session in (base, second):
        learner.learn(session, generator(session.index))
    resumed = make(name, on_gpu)
    resumed.load(learner.state())
    for each in (learner, resumed):
        each.learn(third, generator(2))
        assert all(torch.isfinite(scores).all() for scores in each.score((1, 20, 33)).values())


@pytest.mark.parametrize("name", METHODS)
def test_learning_leaves_the_global_generator_alone(name: str, features: Features) -> None:
    before = torch.random.get_rng_state()
    learner = make(name, features)
    for session in sessions(features)[:2]:
        learner.learn(session, generator(session.index))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("name", METHODS)
def test_sessions_read_the_settings_of_their_phase(name: str) -> None:
    settings = find_method(name).Settings()
    base, later = settings.read_by(0), settings.read_by(1)
    assert not [key for key in base if key.startswith("incremental_")]
    assert not [key for key in later if key.startswith("base_")]
    assert {**base, **later} == settings.model_dump(mode="json")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_lrr": 1}, "no key 'base_lrr'; did you mean 'base_lr'?"),
        ({"base_lr": -1}, "base_lr: input should be greater than 0, found -1"),
        ({"compat": "release"}, "compat: input should be 'none' or 'reference', found 'release'"),
    ],
)
def test_errors_name_invalid_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(EarshotError) as caught:
        validated(find_method("ede").Settings, settings, "method ede")
    assert str(caught.value) == f"method ede: {message}"


@pytest.mark.parametrize("name", METHODS)
def test_requests_are_arrays_that_scoring_reads(name: str, features: Features) -> None:
    """So computing them before the trials saves the trials' work; they do not depend on what was learned."""
    first = sessions(features)[0]
    query = first.classes[0].query
    learner = make(name, features)
    before = learner.requests(query)
    assert not any(map(features.has, before))
    learner.learn(first, generator(0))
    learner.score(query)
    assert [request.address for request in learner.requests(query)] == [request.address for request in before]
    assert all(map(features.has, before))
    reads_again = name in ("finetune", "joint", "icarl", "foster", "pass", "der", "l2p")
    assert features.has(features.inputs_request(query)) == reads_again  # else the store would keep them for nothing
