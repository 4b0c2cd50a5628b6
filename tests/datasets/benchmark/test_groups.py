"""Groups from the names of recordings."""

import pytest

from datasets.benchmark.groups import Pattern, group_by, shared_stems, stem, stems


@pytest.mark.parametrize(
    ("text", "path", "group"),
    [
        ("{speaker}_{take}", "a/anna_03.wav", "anna"),
        ("{speaker}_{take}", "a/anna_k_03.wav", "anna_k"),  # the first field takes as much as it can
        ("{digit}_{speaker}_{take}", "7/7_jackson_32.wav", "7/jackson"),
        ("*_{speaker}_*", "7/7_jackson_32.wav", "jackson"),
        ("{speaker}_{digit}_{take}.wav", "x/anna_7_1.wav", "anna/7"),
        ("{speaker}_{take}.wav", "x/anna_7.flac", None),
        ("{speaker}_nohash_*", "yes/0a7c_nohash_0.wav", "0a7c"),
        ("{site}/*", "bird/north/1.wav", "north"),
        ("{site}/*/*", "bird/north/day 1/1.wav", "north"),
        ("*/{site}/*", "north/1.wav", None),  # too few folders
        ("{a}.{take}", "x/b.1.wav", "b"),
        ("{a}(1)", "x/b(1).wav", "b"),  # other characters are no expression
        ("1", "bird/north/1.wav", "bird"),
        ("2", "bird/north/1.wav", "north"),
        ("2", "bird/1.wav", None),
    ],
)
def test_group_of_a_path(text: str, path: str, group: str | None) -> None:
    assert group_by(text)(path) == group


@pytest.mark.parametrize("text", ["", "anna", "*", "0", "-1", "{}_{a}", "{a}_{a}", "{a", "a}{b}", "{take}", "{a b}"])
def test_other_texts_are_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a pattern with fields|with different names|other than \{take\}"):
        group_by(text)


def test_fields_of_a_pattern() -> None:
    pattern = Pattern("{speaker}_{digit}_{take}.wav")
    assert pattern.fields == ["speaker", "digit", "take"]
    assert pattern.match("anna_7_1.wav") == {"speaker": "anna", "digit": "7", "take": "1"}
    assert pattern.match("anna.wav") is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("dog/1-1000-A.wav", ["dog/1-1000"]),
        ("x/100032-3-0-1.wav", ["x/100032-3-0", "x/100032-3", "x/100032"]),
        ("7/7_jackson_32.wav", ["7/7_jackson"]),
        ("yes/0a7c2a8d_nohash_0.wav", ["yes/0a7c2a8d_nohash"]),
        ("rain/storm (2).wav", ["rain/storm"]),
        ("rain/storm take 12.wav", ["rain/storm"]),
        ("rain/storm_take12.wav", ["rain/storm"]),
        ("day/2024-01-02.wav", []),  # a date is no number of takes
        ("day/2024-01-02_3.wav", ["day/2024-01-02"]),
        ("sad/03-01-04-01-02-01-12.wav", []),  # codes, of which any may be the speaker
        ("blues/blues.00012.wav", []),
        ("cello/A3.mp3", []),
        ("cello/3.mp3", []),
        ("19/198/19-198-0001.flac", []),
    ],
)
def test_stems(path: str, expected: list[str]) -> None:
    assert list(stems(path)[1:]) == expected
    assert stem(path) == (expected[-1] if expected else None)


def test_as_much_as_possible_is_taken_off_the_names_of_a_class() -> None:
    slices = [
        f"dog/{source}-3-{event}-{slice_}.wav" for source in (1001, 1002, 1003) for event in "01" for slice_ in "01"
    ]
    assert set((shared_stems(slices) or {}).values()) == {"dog/1001", "dog/1002", "dog/1003"}
    sessions = [f"dog/rec_{session}_{take:02d}.wav" for session in range(3) for take in range(4)]
    assert set((shared_stems(sessions) or {}).values()) == {"dog/rec_0", "dog/rec_1", "dog/rec_2"}  # not all as one
    numbered = [f"dog/dog_{take:03d}.wav" for take in range(40)]
    assert shared_stems(numbered) is None  # a single group
    assert shared_stems([]) is None and shared_stems(["dog/a.wav", "dog/b.wav", "dog/c.wav"]) is None
    assert shared_stems(slices, lambda groups: False) is None
