"""Recordings are listed in the same way whatever it costs to ask for their sizes."""

from pathlib import Path

import pytest

from datasets.corpora import inventory


@pytest.mark.parametrize("slow", [0.0, 1e9], ids=["in threads", "in turn"])
def test_sizes_are_asked_for_in_either_way(slow: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "_PART", 2)
    monkeypatch.setattr(inventory, "_SLOW", slow)
    for number in range(11):
        (tmp_path / f"{number:02d}.wav").write_bytes(b"x" * (number % 5))
    found = inventory.scan(tmp_path, frozenset({".wav"}))
    assert [(file.path, file.size) for file in found.files] == [
        (f"{number:02d}.wav", number % 5) for number in range(11) if number % 5
    ]
    assert [rejection.file for rejection in found.rejected] == ["00.wav", "05.wav", "10.wav"]
