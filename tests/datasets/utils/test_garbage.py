"""The collector is paused in a block only."""

import gc

import pytest

from datasets.utils.garbage import collection_paused


def test_the_collector_is_paused_in_the_block_only() -> None:
    assert gc.isenabled()
    with pytest.raises(ValueError, match="x"), collection_paused():
        assert not gc.isenabled()
        with collection_paused():
            pass
        assert not gc.isenabled()
        raise ValueError("x")
    assert gc.isenabled()
