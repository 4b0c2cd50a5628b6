"""Parts of paths as text are those of pathlib."""

from pathlib import PurePosixPath

import pytest

from datasets.utils.posix_path import last_components, suffix


@pytest.mark.parametrize("path", ["a.wav", "a/b.c/d", "a/.wav", "a/b.tar.gz", "a/..wav", "x", "a.b/c.D"])
def test_parts_are_those_of_pathlib(path: str) -> None:
    assert suffix(path) == PurePosixPath(path).suffix
    for number in (1, 2, 3):
        assert last_components(path, number) == "/".join(PurePosixPath(path).parts[-number:])


def test_a_dot_at_the_end_is_no_suffix() -> None:
    assert suffix("a/b.") == ""
