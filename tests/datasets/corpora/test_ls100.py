"""LS-100: as intended, and as released with its defect."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from datasets.benchmark.clips import Clip
from datasets.corpora.librispeech import LibriSpeechOptions
from datasets.corpora.ls100 import (
    LS100,
    LS100Options,
    LS100Published,
    LS100PublishedOptions,
    published_rows,
    released_segments,
)
from datasets.corpora.registry import corpora
from datasets.utils.errors import EarshotError

RATE = 16000
SIZES = (500, 150, 100)
SMALL = LibriSpeechOptions(speakers=3, clip_seconds=0.5, train=2, val=1, test=2, loudness=False)


class Small(LS100Options):
    """Three speakers with 2 / 1 / 2 clips of half a second each."""

    @property
    def speech(self) -> LibriSpeechOptions:
        return SMALL


class SmallPublished(LS100PublishedOptions):
    @property
    def speech(self) -> LibriSpeechOptions:
        return SMALL


@pytest.fixture(scope="module")
def lists(shared: Path) -> Path:
    return shared / "published/ls100"


@pytest.fixture(scope="module")
def counts(lists: Path) -> dict[str, int]:
    """Number of segments of each of the 100 speakers, computed from their published durations."""
    durations = json.loads((lists / "spk_total_duration.json").read_text())
    speakers = json.loads((lists / "spk_mapping.json").read_text())
    return {speaker: int(durations[speaker] / 2) for speaker in speakers}


def speak(root: Path, seconds: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Writes two utterances for each speaker; returns them concatenated, by speaker."""
    streams = {}
    for speaker, length in seconds.items():
        random = np.random.default_rng(int(speaker))
        stream = np.rint(random.uniform(-0.3, 0.3, round(length * RATE)) * 32768) / 32768
        folder = root / speaker / "7"
        folder.mkdir(parents=True)
        for number, part in enumerate(np.split(stream, [len(stream) // 3])):
            soundfile.write(folder / f"{speaker}-7-{number:04d}.flac", part, RATE, subtype="PCM_16")
        streams[speaker] = stream.astype(np.float32)
    return streams


def write_lists(folder: Path, counts: Mapping[str, int], sizes: tuple[int, int, int]) -> Path:
    folder.mkdir()
    for split, rows in published_rows(counts, sizes).items():
        with (folder / f"librispeech_fscil_{split}.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("filename", "speaker_id", "label"), *rows])
    return folder


def cut_all(corpus: LS100[Small] | LS100Published, root: Path, options: LS100Options) -> list[Clip]:
    plan = corpus.plan(root, corpus.inventory(root, options), options)  # type: ignore[arg-type]
    items = [item for unit in plan.units for item in corpus.cut(root, unit, options)]  # type: ignore[arg-type]
    return [item for item in items if isinstance(item, Clip)]


def test_durations_reproduce_the_published_lists_row_by_row(lists: Path, counts: dict[str, int]) -> None:
    for split, rows in published_rows(counts, SIZES).items():
        with (lists / f"librispeech_fscil_{split}.csv").open() as file:
            assert rows == [(row["filename"], row["speaker_id"], row["label"]) for row in csv.DictReader(file)]


def test_five_published_pairs_of_classes_have_the_same_clips(counts: dict[str, int]) -> None:
    for rows in published_rows(counts, SIZES).values():
        files: dict[int, list[str]] = {}
        for file, _, label in rows:
            files.setdefault(int(label), []).append(file)
        same = [(a, b) for a in files for b in files if a < b and files[a] == files[b]]
        assert same == [(12, 13), (14, 15), (17, 18), (53, 54), (92, 93)]


@pytest.mark.parametrize(
    ("speaker", "wanted"),
    [
        ("19", ["1926_0", "1926_1", "196_0", "19_0", "19_1", "19_10", "19_2", "19_3"]),  # 10 is a name, not a number
        ("1926", ["1926_0", "1926_1"]),
        ("196", ["196_0"]),
        ("2", ["2_0", "2_1"]),
    ],
)
def test_segments_that_the_release_assigns_to_a_speaker(speaker: str, wanted: list[str]) -> None:
    segments = released_segments(speaker, {"2": 2, "19": 11, "196": 1, "1926": 2})
    assert [f"{owner}_{number}" for owner, number in segments][: len(wanted)] == wanted
    assert len(segments) == {"19": 14, "1926": 2, "196": 1, "2": 2}[speaker]


speakers = st.dictionaries(st.integers(1, 400).map(str), st.integers(0, 15), min_size=1, max_size=8)


@given(speakers, st.integers(1, 400).map(str), st.integers(1, 15))
def test_additional_speaker_changes_only_classes_whose_name_is_its_prefix(
    counts: dict[str, int], added: str, number: int
) -> None:
    counts.pop(added, None)
    for speaker in counts:
        before, after = released_segments(speaker, counts), released_segments(speaker, {**counts, added: number})
        assert [segment for segment in after if segment[0] != added] == before
        assert (after != before) == added.startswith(speaker)


@given(speakers.flatmap(lambda counts: st.permutations(list(counts.items()))))
def test_lists_do_not_depend_on_the_order_of_the_speakers(items: list[tuple[str, int]]) -> None:
    assert published_rows(dict(items), (3, 1, 2)) == published_rows(dict(sorted(items)), (3, 1, 2))


def test_settings_are_those_of_the_release() -> None:
    known = corpora()
    for name in ("ls100", "ls100-published"):
        options = known[name].options_type()
        assert isinstance(options, LS100Options)
        assert options.speech.model_dump() == {
            "speakers": 100, "clip_seconds": 2, "sample_rate": 16000, "train": 500, "val": 150, "test": 100,
            "split": "block", "loudness": True,
        }  # fmt: skip
    assert not LS100Options(loudness=False).speech.loudness


def test_clips_of_ls100_are_those_of_librispeech(tmp_path: Path) -> None:
    streams = speak(tmp_path, {"19": 3, "1926": 3.4, "20": 2.8, "21": 0.5})
    clips = cut_all(LS100[Small](), tmp_path, Small())
    plan = LS100[Small]().plan(tmp_path, LS100[Small]().inventory(tmp_path, Small()), Small())
    assert plan.classes == ("19", "1926", "20") and plan.base_classes == 60
    assert [clip.clip_id for clip in clips if clip.label == 0] == [f"19_{i}" for i in range(5)]
    for clip in clips:
        assert np.array_equal(clip.samples, streams[clip.class_name][clip.start : clip.start + 8000])


def test_published_clips_reproduce_the_defect_of_the_release(tmp_path: Path) -> None:
    streams = speak(tmp_path, {"19": 3, "1926": 2, "20": 2.8})
    clips = cut_all(LS100Published(), tmp_path, SmallPublished())
    assert [(clip.clip_id, clip.split) for clip in clips if clip.class_name == "19"] == [
        ("19:1926_0", "train"), ("19:1926_1", "train"), ("19:1926_2", "val"), ("19:1926_3", "test"),
        ("19:19_0", "test"),
    ]  # fmt: skip
    for clip in clips:
        owner, number = clip.clip_id.split(":")[1].split("_")
        assert clip.source.startswith(f"{owner}/7/{owner}-7-")
        assert clip.start == int(number) * 8000
        assert np.array_equal(clip.samples, streams[owner][clip.start : clip.start + 8000])


def test_unit_contains_only_the_utterances_of_its_clips(tmp_path: Path) -> None:
    speak(tmp_path, {"19": 3, "1926": 3.4, "20": 2.8})  # 1926 has more than the five segments of a label
    corpus = LS100Published()
    plan = corpus.plan(tmp_path, corpus.inventory(tmp_path, SmallPublished()), SmallPublished())
    assert [{path.split("/")[0] for path in unit.files} for unit in plan.units] == [{"1926"}, {"1926"}, {"20"}]
    assert plan.base_classes == 60 and plan.files == 4


@pytest.mark.parametrize("corpus", [LS100[Small](), LS100Published()])
def test_too_few_speakers_are_an_error(corpus: LS100[Small] | LS100Published, tmp_path: Path) -> None:
    speak(tmp_path, {"1": 3, "2": 3})
    with pytest.raises(EarshotError, match="expected at least 100 speakers, found 2; check --source, or request fewer"):
        cut_all(corpus, tmp_path, corpus.options_type())  # type: ignore[arg-type]


def test_lists_that_do_not_match_the_recordings_are_an_error(tmp_path: Path) -> None:
    root, seconds = tmp_path / "speech", {"19": 3.2, "1926": 3, "20": 2.8}
    speak(root, seconds)
    meta = write_lists(tmp_path / "meta", {"19": 6, "1926": 6, "20": 5}, SMALL.sizes)
    options = SmallPublished(meta=meta)
    assert len(cut_all(LS100Published(), root, options)) == 15
    path = meta / "librispeech_fscil_test.csv"
    valid = path.read_text()
    for content, wanted in {
        valid.replace("1926_4.wav,1926,1", "1926_9.wav,1926,1"): r"line 5: expected 1926_4.wav,1926,1 .*, found 1926_9",
        valid.rpartition("20_4")[0]: r"end: expected 20_4.wav,20,2 according to .*, found no more rows",
        valid + "20_5.wav,20,2\n": r"line 8: expected no more rows according to .*, found 20_5.wav,20,2",
    }.items():
        path.write_text(content)
        with pytest.raises(EarshotError, match=rf"librispeech_fscil_test.csv: {wanted}"):
            cut_all(LS100Published(), root, options)


def test_identity_depends_on_the_content_of_the_lists_not_their_path(tmp_path: Path) -> None:
    corpus = LS100Published()
    one, moved, other = (
        write_lists(tmp_path / name, {"1": number}, (2, 1, 1)) for name, number in {"a": 5, "b": 5, "c": 3}.items()
    )
    first = corpus.identity(LS100PublishedOptions(meta=one))
    assert first == corpus.identity(LS100PublishedOptions(meta=moved))
    assert first != corpus.identity(LS100PublishedOptions(meta=other))
    assert first.keys() == {"loudness", "meta"} and str(tmp_path) not in json.dumps(first)
    assert corpus.identity(LS100PublishedOptions()) == {"loudness": True, "meta": None}


def test_listing_contains_the_duplicates(lists: Path) -> None:
    listing = LS100Published().listing(LS100PublishedOptions(meta=lists))
    table = listing.table
    assert (len(table), listing.base_classes, listing.clip_seconds) == (75000, 60, 2)
    assert len(table.class_names) == 100 and table.class_names[12] == "19"
    for split in ("train", "val", "test"):
        with (lists / f"librispeech_fscil_{split}.csv").open() as file:
            published = [(int(row["label"]), row["filename"]) for row in csv.DictReader(file)]
        rows = np.flatnonzero(table.splits == split)
        for label in (0, 12, 13, 99):  # the support is drawn in the order of the lists
            of_class = [listing.contents[row] for row in rows[table.labels[rows] == label]]
            assert of_class == [file for other, file in published if other == label]
    assert len(set(listing.contents)) == 75000 - 5 * 750
    assert listing.sources == listing.contents


@pytest.mark.parametrize(
    ("split", "line", "wanted"),
    [
        ("val", "2_3.wav,3,1", r"_val.csv: line 4: speaker_id: expected '2', the speaker of label 1 .*, found '3'"),
        ("test", "2_3.wav,2,one", r"_test.csv: line 4: label: expected a label from 0 to 99 .*, found 'one'"),
        ("test", "4_3.wav,4,7", r"meta: expected the labels 0 to 7, found no 2; --meta must contain"),
        ("test", "5_3.wav,5", r"_test.csv: line 4: expected 3 cells, found 2"),
        ("test", "1_3.wav,1,0", r"clip id '1:1_3': expected once, found twice"),
    ],
)
def test_lists_that_differ_from_the_release_are_an_error(tmp_path: Path, split: str, line: str, wanted: str) -> None:
    meta = write_lists(tmp_path / "meta", {"1": 4, "2": 4}, (2, 1, 1))
    with (meta / f"librispeech_fscil_{split}.csv").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(EarshotError, match=wanted):
        LS100Published().listing(LS100PublishedOptions(meta=meta))


def test_listing_needs_the_lists() -> None:
    with pytest.raises(EarshotError, match="--meta: expected the folder of the lists released"):
        LS100Published().listing(LS100PublishedOptions())


def test_versions_of_corpora_that_use_another_corpus() -> None:
    """The key of a shard contains the version of the corpus, so every change of the clips must change it."""
    known = corpora()
    assert known["ls100"].version == known["ls100-published"].version == known["librispeech"].version
    assert known["demo"].version == 10 + known["folder"].version


def test_missing_utterance_is_an_error_because_segments_would_be_renumbered(tmp_path: Path) -> None:
    speak(tmp_path, {"19": 6, "1926": 6, "200": 6})
    options, corpus = SmallPublished(loudness=False), LS100Published()
    plan = corpus.plan(tmp_path, corpus.inventory(tmp_path, options), options)
    path = tmp_path / "1926/7/1926-7-0000.flac"
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)  # the header is intact
    path.write_bytes(content)
    with pytest.raises(EarshotError, match=r"1926-7-0000\.flac: expected every utterance .* download it again"):
        list(corpus.cut(tmp_path, plan.units[0], options))
    path.write_text("text")
    with pytest.raises(EarshotError, match=r"1926-7-0000\.flac: expected every utterance"):
        corpus.plan(tmp_path, corpus.inventory(tmp_path, options), options)
