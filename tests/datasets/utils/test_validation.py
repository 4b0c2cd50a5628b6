"""Errors of configurations: one line that names the file, the key, what is allowed and what was found."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from datasets.utils.errors import EarshotError
from datasets.utils.validation import read_yaml, validated


class Model(BaseModel):
    """Two numbers, one of them required."""

    model_config = ConfigDict(extra="forbid")

    first_number: int = Field(ge=1)
    other: dict[str, int] = {}

    @model_validator(mode="after")
    def _check(self) -> "Model":
        if self.first_number == 13:
            raise ValueError("Thirteen is not allowed")
        return self


@pytest.mark.parametrize(
    ("values", "as_flags", "message"),
    [
        ({"first_number": 0}, False, "x.yaml: first_number: input should be greater than or equal to 1, found 0"),
        ({"first_number": 0}, True, "x.yaml: --first-number: input should be greater than or equal to 1, found 0"),
        ({}, False, "x.yaml: first_number: field required"),
        ({"first_numbre": 1}, False, "x.yaml: no key 'first_numbre'; did you mean 'first_number'?"),
        ({"first_number": 1, "other": {"a": "b"}}, False, "x.yaml: other.a: input should be a valid integer, "),
        ({"first_number": 13}, False, "x.yaml: thirteen is not allowed"),
        (["first_number"], False, "x.yaml: expected keys with values, found list"),
    ],
)
def test_errors_are_one_line(values: Any, as_flags: bool, message: str) -> None:
    with pytest.raises(EarshotError) as caught:
        validated(Model, values, "x.yaml", as_flags=as_flags)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_valid_values_become_a_model() -> None:
    assert validated(Model, {"first_number": "3"}, "x.yaml").first_number == 3


def test_yaml_that_cannot_be_read(tmp_path: Path) -> None:
    for name, content, message in (
        ("a", b"a: [1", r"a: not YAML \(line 1: "),
        ("twice", b"a: 1\nb:\n  c: 2\n  d: 3\n  c: 2\n", r'twice: not YAML \(line 5: found duplicate key "c"\)'),
        ("deep", b"[" * 5000, r"deep: not YAML \(nested too deeply\)"),
        ("day", b"a: 2026-02-30", r"day: not YAML \("),
        ("control", b"a: \x01", r"control: not YAML \("),
        ("b", b"\xff\xfe\x00", r"b: cannot be read \("),
        ("c", None, "c: no such file"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(EarshotError, match=message) as caught:
            read_yaml(tmp_path / name)
        assert "\n" not in str(caught.value)
    (tmp_path / "d").write_text("a: [1, x]")
    assert read_yaml(tmp_path / "d") == {"a": [1, "x"]}


def test_yaml_is_read_as_it_is_written(tmp_path: Path) -> None:
    """YAML 1.1 reads 2:00 as 120, yes as true, 010 as 8 and 1e-3 as text."""
    (tmp_path / "a").write_text("time: 2:00\nanswer: yes\nten: 010\nsmall: 1e-3\nflag: true\n")
    assert read_yaml(tmp_path / "a") == {"time": "2:00", "answer": "yes", "ten": 10, "small": 0.001, "flag": True}
