"""The methods that charts of many show strongly."""

import pytest

from orchestrator.reporting.facts import prominent
from orchestrator.results.backbones import Entry
from orchestrator.results.choice import Choice
from trainables.records import INDUCTIVE, TRANSDUCTIVE, Track


def choice(method: str, accuracy: float, protocol: str = "", track: Track = INDUCTIVE) -> Choice:
    return Choice(Entry(method, "", track, protocol), f"{method}-00000001", accuracy, 1, 1, False, 2)


def test_up_to_seven_methods_are_all_shown() -> None:
    choices = [choice(f"m{place}", place / 10) for place in range(7)]
    assert prominent(choices) == choices[::-1]


@pytest.mark.parametrize(
    ("protocols", "expected"),
    [
        (["a"], ["m5+a", "m4+a", "m3+a", "m2+a", "m1+a"]),
        (["a", "b"], ["m5+a", "m5+b", "m4+a", "m4+b", "m3+a"]),
    ],
)
def test_of_more_those_of_each_protocol_take_turns(protocols: list[str], expected: list[str]) -> None:
    choices = [choice(f"m{place}", place / 10, protocol) for protocol in protocols for place in range(6)]
    extra = [choice("last", 0.0, "a"), choice("least", 0.0, "a")]
    assert [it.label for it in prominent([*choices, *extra])] == expected


def test_a_track_of_few_methods_leaves_its_turns_to_the_others() -> None:
    one = choice("t", 0.1, track=TRANSDUCTIVE)
    choices = [choice(f"m{place}", place / 10) for place in range(8)]
    assert [it.label for it in prominent([*choices, one])] == ["m7", "t", "m6", "m5", "m4"]
