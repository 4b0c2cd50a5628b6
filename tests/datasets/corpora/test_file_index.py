"""Names of recordings in a table."""

import pytest

from datasets.corpora.file_index import FileIndex


@pytest.mark.parametrize(
    ("extension", "name", "found"),
    [
        ("", "x.mp3", "x.mp3"),
        (".wav", "x", "x.wav"),
        (".wav", "x.mp3", "x.mp3.wav"),  # the extension is appended to every name that lacks it
        ("wav", "./x.WAV", None),
    ],
)
def test_an_extension_is_appended_before_a_name_is_looked_for(extension: str, name: str, found: str | None) -> None:
    assert FileIndex(["x.mp3", "x.wav", "x.mp3.wav"], extension).find(name) == found
