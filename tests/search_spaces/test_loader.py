"""Search spaces: the shipped ones, and bad ones."""

from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from search_spaces.loader import load_space, shipped
from trainables.methods.registry import methods


def test_every_method_has_a_space_of_its_own() -> None:
    assert set(methods()) <= set(shipped())


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_space_is_valid(name: str) -> None:
    spaces = load_space(shipped()[name])
    if name in methods():
        assert [space.method for space in spaces] == [name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods: {ede: {base_lrr: 1}}", "methods.ede: no setting 'base_lrr'; did you mean 'base_lr'?"),
        ("methods: {edee: {}}", "method 'edee': not known; did you mean 'ede'?"),
        ("method: {ede: {}}", "no key 'method'; did you mean 'methods'?"),
        ("methods: {}", "names no method"),
        ("methods: {ede: {base_lr: fast}}", "methods.ede: base_lr: input should be a valid number"),
        (
            "methods: {ede: {base_lr: {uniform: [0, 1]}}}",
            "base_lr: input should be greater than 0, found 0.0",
        ),
        ("methods: {ede: {base_lr: {loguniform: [1, 0.1]}}}", "expected [low, high], found [1, 0.1]"),
        ("methods: {ede: {base_lr: {loguniform: [1]}}}", "expected [low, high], found [1]"),
        (
            "methods: {ede: {base_lr: {lognormal: [0, 1]}}}",
            "expected one of uniform, loguniform, int, logint, choice",
        ),
        (
            "methods: {ede: {compat: {choice: [none, release]}}}",
            "input should be 'none' or 'reference', found 'release'",
        ),
        ("methods: {ede: {compat: {choice: []}}}", "expected a list, found []"),
        ("- ede", "expected keys with values, found list"),
        ("methods: {ede: ", "not YAML"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(EarshotError) as caught:
        load_space(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value) or "edee" in text
    assert "\n" not in str(caught.value)


def test_numbers_with_an_exponent_are_numbers(tmp_path: Path) -> None:
    """YAML 1.1 reads 1e-4 as text."""
    path = tmp_path / "space.yaml"
    path.write_text("methods: {ede: {base_lr: 1e-2, incremental_lr: {loguniform: [1e-4, 1e-1]}}}")
    (space,) = load_space(path)
    distribution = space.varied["incremental_lr"]
    assert (distribution.low, distribution.high) == (1e-4, 1e-1)  # type: ignore[attr-defined]


def test_a_missing_file() -> None:
    with pytest.raises(EarshotError, match=r"nowhere\.yaml: no such file"):
        load_space(Path("nowhere.yaml"))
