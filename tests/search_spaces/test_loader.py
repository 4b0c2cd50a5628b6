"""Search spaces: the shipped ones, invalid ones, and how they are found."""

from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from search_spaces.files import shipped, space_file
from search_spaces.loader import MethodSpace, load_space
from trainables.methods.registry import find_method, method_names, methods
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.specs import RESNET, BackboneSpec, ClipFormat


def test_every_method_has_its_own_space() -> None:
    assert set(methods()) <= set(shipped())


def test_names_of_methods_are_known_without_importing_them() -> None:
    assert method_names() == tuple(methods())


def test_a_space_is_a_file_or_the_name_of_a_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert space_file(Path("ede")) == shipped()["ede"]
    monkeypatch.chdir(tmp_path)
    Path("ede").write_text("methods: {simplecil: {}}")
    assert space_file(Path("ede")) == Path("ede")  # a file comes first
    with pytest.raises(EarshotError, match=r"edee: no such file, and no search space of that name; did you mean 'ede'"):
        space_file(Path("edee"))


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_space_is_valid(name: str) -> None:
    spaces = load_space(shipped()[name])
    if name in methods():
        assert [space.method for space in spaces] == [name]


def test_the_methods_of_the_space_for_resnet18_run_on_it() -> None:
    backbone = load_backbone(BackboneSpec(RESNET), ClipFormat(16_000, 32_000))
    for space in load_space(shipped()["resnet18"]):
        method = find_method(space.method)
        settings = method.Settings.model_validate(space.fixed)
        assert method.backbone and method.capabilities(settings) <= backbone.provides, space.method


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
        ("methods:\n  ede: {}\n  ede: {base_lr: 1}", 'not YAML (line 3: found duplicate key "ede")'),
        ("methods: {ede: {base_epochs: yes}}", "base_epochs: input should be a valid integer"),
        ("methods: {ede: {base_epochs: true}}", "base_epochs: expected a number, found true or false"),
        ("methods: {ede: {base_epochs: {choice: [1, true]}}}", "base_epochs: expected a number, found true or false"),
        ("methods: {ede: {base_epochs: 2:00}}", "base_epochs: input should be a valid integer"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_errors_name_the_key_and_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(EarshotError) as caught:
        load_space(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value) or "edee" in text
    assert "\n" not in str(caught.value)


def space_of(tmp_path: Path, text: str) -> MethodSpace:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return load_space(path)[0]


def test_numbers_with_an_exponent_are_not_text(tmp_path: Path) -> None:
    """YAML 1.1 reads 1e-4 as text."""
    space = space_of(tmp_path, "methods: {ede: {base_lr: 1e-2, incremental_lr: {loguniform: [1e-4, 1e-1]}}}")
    distribution = space.varied["incremental_lr"]
    assert (distribution.low, distribution.high) == (1e-4, 1e-1)  # type: ignore[attr-defined]
    assert space.fixed["base_lr"] == 0.01


def test_equal_values_are_one_value(tmp_path: Path) -> None:
    space = space_of(
        tmp_path,
        """methods: {ede: {base_epochs: "7", incremental_epochs: {choice: [13, "13", 13.0, 010, 0xa]},
        base_lr: {choice: [1e-3, 0.001, "1e-3", .1]}}}""",
    )
    assert repr(space.fixed) == "{'base_epochs': 7}"
    assert [repr(d.choices) for d in space.varied.values()] == ["(13, 10)", "(0.001, 0.1)"]  # type: ignore[attr-defined]


def test_a_missing_file() -> None:
    with pytest.raises(EarshotError, match=r"nowhere\.yaml: no such file"):
        load_space(Path("nowhere.yaml"))
