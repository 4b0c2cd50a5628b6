import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.segment import cut_recording, cut_stream

lengths = st.lists(st.integers(0, 40), max_size=12)


@given(lengths, st.integers(1, 25))
def test_windows_are_the_stream_in_order_without_the_remainder(sizes: list[int], num_samples: int) -> None:
    stream = np.arange(sum(sizes), dtype=np.float32)
    ends = np.cumsum(sizes)
    recordings = [(str(i), stream[end - size : end]) for i, (size, end) in enumerate(zip(sizes, ends, strict=True))]
    windows = list(cut_stream(recordings, num_samples))
    assert len(windows) == len(stream) // num_samples
    for number, window in enumerate(windows):
        assert window.start == number * num_samples
        assert np.array_equal(window.samples, stream[window.start : window.start + num_samples])
        assert window.source == str(np.searchsorted(ends, window.start, side="right"))


@given(st.integers(1, 100), st.integers(1, 25), st.none() | st.integers(1, 5))
def test_a_recording_gives_whole_windows_or_one_padded(length: int, num_samples: int, limit: int | None) -> None:
    samples = np.arange(1, length + 1, dtype=np.float32)
    windows = list(cut_recording("r", samples, num_samples, limit))
    assert len(windows) == min(max(1, length // num_samples), limit or 1000)
    assert all(len(window.samples) == num_samples for window in windows)
    joined = np.concatenate([window.samples for window in windows])
    kept = min(length, len(joined))
    assert np.array_equal(joined[:kept], samples[:kept]) and not joined[kept:].any()


def test_a_hand_made_case() -> None:
    windows = list(cut_stream([("a", np.array([1.0, 2, 3])), ("b", np.array([4.0])), ("c", np.array([5.0, 6, 7]))], 2))
    assert [(w.source, w.start, w.samples.tolist()) for w in windows] == [
        ("a", 0, [1, 2]),
        ("a", 2, [3, 4]),
        ("c", 4, [5, 6]),
    ]


@pytest.mark.parametrize("num_samples", [0, -1])
def test_a_window_without_samples_is_refused(num_samples: int) -> None:
    samples = np.ones(3, np.float32)
    with pytest.raises(ValueError, match=f"num_samples: expected at least 1, found {num_samples}"):
        next(cut_stream([("a", samples)], num_samples))
    with pytest.raises(ValueError, match="num_samples"):
        next(cut_recording("a", samples, num_samples))
