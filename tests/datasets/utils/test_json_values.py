"""JSON without NaN."""

import json
import math

import numpy as np
import pytest

from datasets.utils.json_values import json_text, json_values


def test_numbers_that_are_not_finite_become_null() -> None:
    value = {"a": math.nan, "b": [1, math.inf, (-math.inf, 2.5)], "c": "NaN", "d": None, "e": True}
    assert json_values(value) == {"a": None, "b": [1, None, [None, 2.5]], "c": "NaN", "d": None, "e": True}


def test_numpy_becomes_numbers_and_lists() -> None:
    value = {"scalar": np.float32(0.5), "count": np.int64(3), "array": np.array([[1.0, np.nan], [2.0, 3.0]])}
    assert json_values(value) == {"scalar": 0.5, "count": 3, "array": [[1.0, None], [2.0, 3.0]]}
    assert type(json_values(np.int64(3))) is int


def test_a_document_can_be_read_by_a_strict_parser() -> None:
    text = json_text({"é": [math.nan, np.float64("inf")], "n": 1}, ensure_ascii=False, indent=1)
    assert json.loads(text, parse_constant=pytest.fail) == {"é": [None, None], "n": 1}
    assert "é" in text and text.startswith("{\n ")


def test_other_types_are_an_error() -> None:
    with pytest.raises(TypeError):
        json_text({"a": object()})
