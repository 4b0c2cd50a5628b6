import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.audio.segmentation import Choice, cut_recording, cut_stream

lengths = st.lists(st.integers(0, 40), max_size=12)


def divided(stream: np.ndarray, sizes: list[int]) -> list[tuple[str, np.ndarray]]:
    """Splits the stream into recordings of these lengths, named 0, 1, 2, ..."""
    return [(str(i), part) for i, part in enumerate(np.split(stream, np.cumsum(sizes)[:-1]))]


@given(lengths, st.integers(1, 25))
def test_every_sample_except_the_remainder_is_in_one_window_in_order(sizes: list[int], num_samples: int) -> None:
    stream = np.arange(sum(sizes), dtype=np.float32)
    windows = list(cut_stream(divided(stream, sizes), num_samples))
    joined = np.concatenate([np.zeros(0, np.float32), *(window.samples for window in windows)])
    assert all(window.samples.shape == (num_samples,) for window in windows)
    assert np.array_equal(joined, stream[: len(joined)])
    assert 0 <= len(stream) - len(joined) < num_samples


@given(lengths, st.integers(1, 25))
def test_a_window_has_the_source_and_position_of_its_start(sizes: list[int], num_samples: int) -> None:
    stream = np.arange(sum(sizes), dtype=np.float32)
    for number, window in enumerate(cut_stream(divided(stream, sizes), num_samples)):
        assert window.start == number * num_samples == window.samples[0]
        assert window.source == str(np.searchsorted(np.cumsum(sizes), window.start, side="right"))


@given(st.integers(1, 100), st.integers(1, 25), st.none() | st.integers(1, 5))
def test_a_recording_gives_complete_windows_or_one_padded_window(
    length: int, num_samples: int, limit: int | None
) -> None:
    samples = np.arange(1, length + 1, dtype=np.float32)
    windows = list(cut_recording(samples, num_samples, limit))
    assert len(windows) == min(max(1, length // num_samples), limit or 1000)
    assert [number for number, _ in windows] == list(range(len(windows)))
    assert all(len(window) == num_samples for _, window in windows)
    joined = np.concatenate([window for _, window in windows])
    count = min(length, len(joined))
    assert np.array_equal(joined[:count], samples[:count]) and not joined[count:].any()


def test_windows_of_an_example() -> None:
    windows = list(cut_stream([("a", np.array([1.0, 2, 3])), ("b", np.array([4.0])), ("c", np.array([5.0, 6, 7]))], 2))
    assert [(w.source, w.start, w.samples.tolist()) for w in windows] == [
        ("a", 0, [1, 2]),
        ("a", 2, [3, 4]),
        ("c", 4, [5, 6]),
    ]


@pytest.mark.parametrize("num_samples", [0, -1])
def test_a_window_without_samples_is_rejected(num_samples: int) -> None:
    samples = np.ones(3, np.float32)
    with pytest.raises(ValueError, match=f"num_samples: expected at least 1, found {num_samples}"):
        next(cut_stream([("a", samples)], num_samples))
    with pytest.raises(ValueError, match="num_samples"):
        next(cut_recording(samples, num_samples))


@pytest.mark.parametrize(
    ("choice", "limit", "expected"),
    [
        ("first", 3, [0, 1, 2]),
        ("spread", 1, [5]),
        ("spread", 2, [2, 7]),
        ("spread", 3, [1, 5, 8]),
        ("spread", 9, [0, 1, 2, 3, 5, 6, 7, 8, 9]),
        ("loudest", 2, [3, 7]),
        ("loudest", 3, [0, 3, 7]),  # the others are equal: the first of them
        ("spread", 10, list(range(10))),
        ("loudest", 20, list(range(10))),
        ("random", None, list(range(10))),
    ],
)
def test_which_windows_are_taken(choice: Choice, limit: int | None, expected: list[int]) -> None:
    """Ten windows of four samples, of which number 7 is the loudest and number 3 comes next."""
    samples = np.full(43, 0.1, np.float32)
    samples[29] = -0.9
    samples[12:16] = 0.3
    windows = list(cut_recording(samples, 4, limit, choice))
    assert [number for number, _ in windows] == expected
    assert all(np.array_equal(window, samples[4 * number : 4 * number + 4]) for number, window in windows)


def test_random_windows_depend_on_the_generator_alone() -> None:
    samples = np.arange(4000, dtype=np.float32)

    def numbers(seed: int) -> list[int]:
        return [number for number, _ in cut_recording(samples, 4, 20, "random", np.random.default_rng(seed))]

    assert numbers(0) == numbers(0) != numbers(1)
    assert len(set(numbers(0))) == 20 and numbers(0) == sorted(numbers(0)) and max(numbers(0)) > 500
    with pytest.raises(ValueError, match="expected a generator"):
        next(cut_recording(samples, 4, 20, "random"))
