"""Command-line options from a pydantic model."""

import argparse
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from datasets.utils.options import Option, add_options, option_of


class Model(BaseModel):
    """One field of every kind."""

    required_text: str = Field(description="a text")
    count: Annotated[int | None, Option("numbers")] = Field(None, description="so many")
    share: Annotated[float, Option("numbers", metavar="SHARE")] = Field(0.5, description="at most 100%")
    place: Path = Field(Path("here"), description="a folder")
    kind: Literal["a", "b"] = Field("a", description="one of two")
    kinds: tuple[Literal["a", "b"], ...] = Field((), description="some of two")
    labels: Annotated[tuple[int, ...], Option(repeatable=False)] = Field((1, 2), description="such as 3,0")
    number: int | Literal["all"] = Field("all", description="number or all (default: all)")
    draw: bool = Field(True, description="draw it")
    show: Annotated[str, Option("output", switches=(("json", "as JSON"), ("quiet", "nothing")))] = "progress"


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    """A parser of the model's options."""
    parser = argparse.ArgumentParser("x")
    add_options(parser, Model)
    return parser


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["--count", "3", "--share", "0.1"], {"count": "3", "share": "0.1"}),  # pydantic converts them
        (["--place", "a/b"], {"place": Path("a/b")}),
        (["--kind", "b", "--kinds", "a", "--kinds", "b"], {"kind": "b", "kinds": ["a", "b"]}),
        (["--labels", "3,1", "--number", "7"], {"labels": "3,1", "number": "7"}),
        (["--no-draw", "--json"], {"draw": False, "show": "json"}),
        (["--draw", "--quiet"], {"draw": True, "show": "quiet"}),
    ],
)
def test_only_given_options_are_in_the_arguments(
    parser: argparse.ArgumentParser, arguments: list[str], expected: dict[str, Any]
) -> None:
    assert vars(parser.parse_args(["--required-text", "t", *arguments])) == {"required_text": "t", **expected}


@pytest.mark.parametrize("arguments", [[], ["--kind", "c"], ["--kinds", "c"], ["--place", "s3://a/b"]])
def test_invalid_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    required = ["--required-text", "t"] if arguments else []
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args([*required, *arguments])


def test_help_has_groups_placeholders_and_defaults(parser: argparse.ArgumentParser) -> None:
    lines = [" ".join(line.split()) for line in parser.format_help().split("options:")[1].splitlines()]
    text = " ".join(lines)
    for expected in (
        "--required-text TEXT a text --place PATH a folder (default: here)",
        "--kind {a,b} one of two (default: a)",
        "--kinds {a,b} some of two",
        "--labels N such as 3,0 (default: (1, 2))",
        "--number N number or all (default: all)",
        "--draw, --no-draw draw it (default: on)",
        "numbers: --count N so many --share SHARE at most 100% (default: 0.5)",
        "output: --json as JSON --quiet nothing",
    ):
        assert expected in text
    assert "None" not in text


def test_fields_can_be_excluded_and_defaults_hidden() -> None:
    parser = argparse.ArgumentParser()
    groups = add_options(parser, Model, exclude={"required_text", "draw"}, show_defaults=False)
    assert list(groups) == ["", "numbers", "output"]
    assert vars(parser.parse_args([])) == {}
    assert "default" not in parser.format_help() and "--draw" not in parser.format_help()
    assert option_of(Model.model_fields["share"]).metavar == "SHARE"
    assert option_of(Model.model_fields["kind"]) == Option()
