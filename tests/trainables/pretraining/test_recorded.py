"""Pretraining on recordings: the train split of a benchmark, with or without labels."""

from pathlib import Path

import pytest
import torch

from datasets.utils.errors import EarshotError
from trainables.networks.backbones.ast import load_ast
from trainables.pretrain import main
from trainables.pretraining.recorded import Recorded


def test_a_batch_depends_on_its_number_and_the_seed(tones: Path) -> None:
    first, again = (Recorded(tones, "class", 0, 5, sources=4, clips=3)[2] for _ in range(2))
    assert (first.sources, first.inputs.shape) == (4, (12, 38, 128))
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.inputs, Recorded(tones, "class", 1, 5, sources=4, clips=3)[2].inputs)


def test_batches_read_train_clips_only(tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Recorded(tones, "class", 0, 20, sources=6, clips=8)
    read: set[int] = set()
    original = stream.shards.audio

    def recorded_audio(positions):  # type: ignore[no-untyped-def]
        read.update(int(position) for position in positions)
        return original(positions)

    monkeypatch.setattr(stream.shards, "audio", recorded_audio)
    for step in range(20):
        stream[step]
    assert {str(stream.shards.table.splits[position]) for position in read} == {"train"}
    assert len(read) == 6 * 8
    inputs, sources = stream.held_out()  # the validation clips, three of each class
    assert len(inputs) == len(sources) == 18 and torch.equal(sources.bincount(), torch.full((6,), 3))


def test_a_recording_can_be_a_source(tones: Path) -> None:
    # every class of this benchmark comes from one recording
    by_recording = Recorded(tones, "recording", 0, 5, sources=4, clips=3)[0]
    assert torch.equal(by_recording.inputs, Recorded(tones, "class", 0, 5, sources=4, clips=3)[0].inputs)


def test_clips_are_repeated_if_a_source_has_too_few(tones: Path) -> None:
    assert Recorded(tones, "class", 0, 1, sources=2, clips=20)[0].inputs.shape[0] == 40


def test_too_few_sources_raise(tones: Path) -> None:
    with pytest.raises(
        EarshotError, match="expected 64 sources with at least two train clips, found 6; lower --sources"
    ):
        Recorded(tones, "class", 0, 1, sources=64, clips=4)


def test_the_command(tones: Path, tmp_path: Path) -> None:
    small = ["--steps", "2", "--sources", "4", "--clips", "2", "--save-every", "1", "--workers", "0"]
    assert main(["--benchmark", str(tones), *small, "--out", str(tmp_path / "mine")]) == 0
    assert load_ast(str(tmp_path / "mine" / "model"), 38).dim == 192
    lines = (tmp_path / "mine" / "curve.csv").read_text().splitlines()
    assert len(lines) == 3 and all(line.count(",") == 5 for line in lines)
