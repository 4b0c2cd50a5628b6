"""LibriSpeech: splits, labels, and clips cut from small recordings."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from datasets.audio.loudness import integrated_loudness
from datasets.benchmark.clips import Clip
from datasets.corpora.corpus import Plan
from datasets.corpora.inventory import Rejection
from datasets.corpora.librispeech import (
    LibriSpeech,
    LibriSpeechOptions,
    Sizes,
    assign_splits,
    label_speakers,
    longest_speakers,
)
from datasets.utils.errors import EarshotError

RATE = 16000
OPTIONS = LibriSpeechOptions(clip_seconds=0.5, train=3, val=1, test=2, loudness=False)


def speak(root: Path, speaker: str, lengths: list[int], rate: int = RATE) -> np.ndarray:
    """Writes utterances with the given lengths in samples, in two chapters; returns them concatenated."""
    random = np.random.default_rng(int(speaker))
    stream = []
    for number, length in enumerate(lengths):
        chapter = "20" if number % 2 else "100"  # path order: 100 before 20
        folder = root / speaker / chapter
        folder.mkdir(parents=True, exist_ok=True)
        samples = np.rint(random.uniform(-0.3, 0.3, length) * 32768) / 32768
        name = f"{speaker}-{chapter}-{number:04d}.flac"
        soundfile.write(folder / name, samples, rate, subtype="PCM_16")
        stream.append((f"{chapter}/{name}", samples))
    return np.concatenate([samples for _, samples in sorted(stream)])


def plan_of(root: Path, options: LibriSpeechOptions = OPTIONS) -> Plan:
    corpus = LibriSpeech()
    return corpus.plan(root, corpus.inventory(root, options), options)


def cut_all(root: Path, options: LibriSpeechOptions = OPTIONS) -> list[Clip | Rejection]:
    return [item for unit in plan_of(root, options).units for item in LibriSpeech().cut(root, unit, options)]


@pytest.mark.parametrize(
    ("number", "sizes", "rule", "wanted"),
    [
        # names in lexicographic order: 0 1 10 11 2 3 4 5 6 7 8 9
        (12, (3, 1, 2), "block", {0: "train", 1: "train", 10: "train", 11: "val", 2: "test", 3: "test"}),
        (2, (3, 1, 2), "block", {0: "train", 1: "train"}),
        (7, (3, 1, 2), "cyclic", dict(enumerate(["train"] * 3 + ["val"] + ["test"] * 2 + ["train"]))),
        (3, (1, 0, 1), "cyclic", {0: "train", 1: "test", 2: "train"}),
        (0, (1, 1, 1), "block", {}),
    ],
)
def test_split_rules(number: int, sizes: Sizes, rule: str, wanted: dict[int, str]) -> None:
    assert assign_splits(number, sizes, rule) == wanted  # type: ignore[arg-type]


@given(st.integers(0, 1500), st.tuples(st.integers(1, 600), st.integers(0, 200), st.integers(1, 200)))
def test_block_fills_train_then_val_then_test(number: int, sizes: Sizes) -> None:
    splits = assign_splits(number, sizes, "block")
    counts = Counter(splits.values())
    assert counts["train"] == min(number, sizes[0])
    assert counts["val"] == min(max(0, number - sizes[0]), sizes[1])
    assert counts["test"] == min(max(0, number - sizes[0] - sizes[1]), sizes[2])


@given(st.integers(0, 1500), st.tuples(st.integers(1, 600), st.integers(0, 200), st.integers(1, 200)))
def test_cyclic_uses_every_clip_and_repeats_the_pattern(number: int, sizes: Sizes) -> None:
    splits = assign_splits(number, sizes, "cyclic")
    assert list(splits) == list(range(number))
    assert all(splits[i] == splits[i + sum(sizes)] for i in range(number - sum(sizes)))
    counts = Counter([splits[i] for i in range(min(number, sum(sizes)))])
    assert counts["train"] == min(number, sizes[0]) and counts["test"] == max(
        0, min(number, sum(sizes)) - sum(sizes[:2])
    )


names = st.dictionaries(st.integers(0, 10**4).map(str), st.integers(1, 50).map(float), min_size=1, max_size=30)


@given(names.flatmap(lambda durations: st.permutations(list(durations.items()))), st.integers(1, 30))
def test_labels_do_not_depend_on_the_order_of_the_speakers(items: list[tuple[str, float]], number: int) -> None:
    wanted = label_speakers(longest_speakers(dict(sorted(items)), number))
    assert label_speakers(longest_speakers(dict(items), number)) == wanted
    assert sorted(wanted.values()) == list(range(len(wanted))) and list(wanted) == sorted(wanted)


def test_ties_in_duration_are_broken_by_name() -> None:
    assert longest_speakers({"9": 5.0, "10": 5.0, "8": 7.0, "1": 1.0}, 3) == ["8", "10", "9"]
    assert label_speakers(["9", "10", "8"]) == {"10": 0, "8": 1, "9": 2}


def test_published_selection_of_speakers_and_labels(shared: Path) -> None:
    durations = json.loads((shared / "published/ls100/spk_total_duration.json").read_text())
    mapping = json.loads((shared / "published/ls100/spk_mapping.json").read_text())
    assert label_speakers(longest_speakers(durations, 100)) == mapping


def test_published_splits_of_every_speaker_without_the_defect(shared: Path) -> None:
    durations = json.loads((shared / "published/ls100/spk_total_duration.json").read_text())
    published: dict[str, dict[int, str]] = {}
    for split in ("train", "val", "test"):
        with (shared / f"published/ls100/librispeech_fscil_{split}.csv").open() as file:
            for row in csv.DictReader(file):
                speaker, number = row["filename"].removesuffix(".wav").split("_")
                if speaker == row["speaker_id"]:
                    published.setdefault(speaker, {})[int(number)] = split
    # In each defective pair, the longer name is published twice and the shorter one is missing.
    assert len(published) == 95
    for speaker, splits in published.items():
        assert assign_splits(int(durations[speaker] / 2), (500, 150, 100), "block") == splits, speaker


def test_clips_are_cut_from_the_concatenated_utterances(tmp_path: Path) -> None:
    stream = speak(tmp_path, "19", [9000, 30000, 500, 15000, 4000])  # 58500 samples: 7 clips of 8000, 2500 left
    speak(tmp_path, "1926", [60000])
    clips = [clip for clip in cut_all(tmp_path) if isinstance(clip, Clip) and clip.class_name == "19"]
    assert [clip.clip_id for clip in clips] == [f"19_{i}" for i in range(6)]
    assert [clip.split for clip in clips] == ["train"] * 3 + ["val"] + ["test"] * 2
    for number, clip in enumerate(clips):
        assert np.array_equal(clip.samples, stream[number * 8000 : (number + 1) * 8000].astype(np.float32))
    assert clips[0].source == "19/100/19-100-0000.flac" and clips[1].source == "19/100/19-100-0000.flac"
    assert clips[5].source == "19/20/19-20-0001.flac"
    assert {clip.label for clip in clips} == {0}


def test_longest_speakers_are_selected_and_numbered_by_name(tmp_path: Path) -> None:
    for speaker, length in {"7": 60000, "10": 70000, "9": 60000, "3": 50000}.items():
        speak(tmp_path, speaker, [length])
    assert plan_of(tmp_path, OPTIONS.model_copy(update={"speakers": 3})).classes == ("10", "7", "9")
    assert plan_of(tmp_path).classes == ("10", "3", "7", "9")
    with pytest.raises(EarshotError, match="expected at least 5 speakers, found 4"):
        plan_of(tmp_path, OPTIONS.model_copy(update={"speakers": 5}))


def test_additional_speaker_does_not_change_the_clips_of_others(tmp_path: Path) -> None:
    for speaker in ("7", "9"):
        speak(tmp_path, speaker, [30000, 30000])

    def clips() -> dict[str, tuple[str, bytes]]:
        items = [item for item in cut_all(tmp_path) if isinstance(item, Clip)]
        return {clip.clip_id: (clip.split, clip.samples.tobytes()) for clip in items}

    before = clips()
    speak(tmp_path, "71", [60000])
    after = clips()
    assert before == {clip_id: after[clip_id] for clip_id in before}
    assert {clip_id.split("_")[0] for clip_id in after.keys() - before.keys()} == {"71"}


def test_speaker_without_test_clips_is_an_error_and_with_few_a_warning(tmp_path: Path) -> None:
    speak(tmp_path, "5", [8000 * 6])
    speak(tmp_path, "6", [8000 * 4 + 7999])
    with pytest.raises(EarshotError, match=r"expected more than 4 clips .* found 4 of speaker '6'"):
        plan_of(tmp_path)
    speak(tmp_path, "6", [8000 * 5])
    plan = plan_of(tmp_path)
    from datasets.benchmark.manifest import SplitCounts

    counts = [SplitCounts(train=3, val=1, test=2), SplitCounts(train=3, val=1, test=1)]
    assert LibriSpeech().review(counts, plan.classes, OPTIONS) == ("fewer than 2 test clips: speaker 6 (1)",)


def test_other_rates_are_resampled_and_loudness_is_normalized(tmp_path: Path) -> None:
    speak(tmp_path, "5", [8000 * 7], rate=8000)
    options = OPTIONS.model_copy(update={"loudness": True})
    clips = [clip for clip in cut_all(tmp_path, options) if isinstance(clip, Clip)]
    assert len(clips) == 6 and {len(clip.samples) for clip in clips} == {8000}
    joined = np.concatenate([clip.samples for clip in clips])
    assert integrated_loudness(joined, RATE) == pytest.approx(-23, abs=0.3)


def test_damaged_utterance_is_rejected_and_the_others_are_used(tmp_path: Path) -> None:
    speak(tmp_path, "5", [30000, 30000, 30000])
    broken = tmp_path / "5/100/5-100-0002.flac"
    broken.write_bytes(broken.read_bytes()[:9000])
    (tmp_path / "5/20/5-20-0009.flac").write_text("text")
    (tmp_path / "5/20/5-20.trans.txt").write_text("text")
    (tmp_path / "5/20/other.flac").write_text("not in the layout")
    plan = plan_of(tmp_path)
    assert [rejection.file for rejection in plan.rejected] == ["5/20/5-20-0009.flac"]
    assert (plan.files, plan.ignored) == (4, 2)
    items = cut_all(tmp_path)
    assert [item.file for item in items if isinstance(item, Rejection)] == ["5/100/5-100-0002.flac"]
    assert sum(isinstance(item, Clip) for item in items) == 6


def test_source_with_wrong_layout_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EarshotError, match="expected speaker/chapter/speaker-chapter-utterance"):
        plan_of(tmp_path)
    with pytest.raises(EarshotError, match="expected a folder of recordings, found: No such file"):
        plan_of(tmp_path / "absent")


def test_streamed_flac_of_unknown_length_counts_with_all_its_samples(tmp_path: Path) -> None:
    speak(tmp_path, "5", [30000, 30000])
    before = [(clip.clip_id, clip.samples.tobytes()) for clip in cut_all(tmp_path) if isinstance(clip, Clip)]
    path = tmp_path / "5/100/5-100-0000.flac"
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the number of samples in its header
    content[22:26] = bytes(4)
    path.write_bytes(content)
    plan = plan_of(tmp_path)
    assert plan.units[0].details["clips"] == 7 and not plan.rejected
    assert [(clip.clip_id, clip.samples.tobytes()) for clip in cut_all(tmp_path) if isinstance(clip, Clip)] == before


def test_floats_on_an_integer_scale_are_scaled_on_request(tmp_path: Path) -> None:
    stream = speak(tmp_path, "5", [60000])
    path = tmp_path / "5/100/5-100-0000.flac"
    path.unlink()
    soundfile.write(path.with_suffix(".wav"), stream * 32768, RATE, subtype="FLOAT")
    assert [type(item) for item in cut_all(tmp_path)] == [Rejection]
    assert LibriSpeech().identity(OPTIONS).keys().isdisjoint({"float_scale"})
    clips = cut_all(tmp_path, OPTIONS.model_copy(update={"float_scale": "auto"}))
    assert isinstance(clips[0], Clip) and np.array_equal(clips[0].samples, stream[:8000].astype(np.float32))
