"""Styles of methods and heads: fixed, distinct, and independent of what else is shown."""

from orchestrator.reporting.series_styles import COLOURS, DASHES, HEADS, METHODS, SYMBOLS, head_style, method_style
from trainables.methods.registry import method_names, methods


def test_every_method_has_a_combination_of_its_own() -> None:
    assert set(METHODS) == set(method_names()), "append a new method to METHODS: the styles of the others stay"
    styles = [method_style(name) for name in METHODS]
    assert len({(style.colour, style.dash) for style in styles}) == len(METHODS), "without symbols too"
    assert len({(style.colour, style.symbol) for style in styles}) == len(METHODS), "without dashes too"


def test_every_head_has_a_combination_of_its_own() -> None:
    assert {head for method in methods().values() for head in method.heads} <= set(HEADS)
    assert len({head_style(head) for head in HEADS}) == len(HEADS)


def test_styles_of_published_runs_do_not_change() -> None:
    first = [method_style(name) for name in ("ede", "icarl", "fact", "mfcc-ncm")]
    assert [(s.colour, s.dash, s.symbol) for s in first] == [
        ("#0072B2", "solid", "circle"),
        ("#D55E00", "solid", "square"),
        ("#0072B2", "dash", "diamond"),
        ("#8C6D1F", "dot", "triangle-down"),
    ]
    mine = method_style("my-method")
    assert (mine.colour, mine.dash, mine.symbol) == ("#E69F00", "dashdot", "square")


def test_a_method_from_outside_has_a_dash_that_no_other_has() -> None:
    ours = {method_style(name).dash for name in METHODS}
    outside = [method_style(f"method-{number}") for number in range(200)]
    assert {style.dash for style in outside} == set(DASHES) - ours
    assert {style.colour for style in outside} == set(COLOURS) and {style.symbol for style in outside} == set(SYMBOLS)


def test_a_backbone_keeps_the_colour_of_the_method() -> None:
    variants = [method_style("ede", f"encoder-{number}") for number in range(20)]
    assert {style.colour for style in variants} == {method_style("ede").colour}
    assert len(set(variants)) > 10
