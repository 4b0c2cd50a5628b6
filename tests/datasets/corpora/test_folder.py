"""The folder corpus: splits, clips, names and options."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.audio.loudness import normalise
from datasets.audio.recordings import read_recording
from datasets.audio.resampling import resample
from datasets.benchmark.clips import Clip
from datasets.corpora.corpus import Plan
from datasets.corpora.folder import Folder, FolderOptions, clip_stem
from datasets.corpora.inventory import Inventory, Rejection
from datasets.utils.errors import EarshotError

RATE = 16000
OPTIONS = FolderOptions(clip_seconds=0.5)


def record(path: Path, seconds: float, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(abs(hash(path.name)) % 2**32).uniform(-0.5, 0.5, round(seconds * rate))
    soundfile.write(path, samples, rate, subtype="PCM_16")


def plan_of(root: Path, options: FolderOptions = OPTIONS) -> Plan:
    corpus = Folder()
    return corpus.plan(root, corpus.inventory(root, options), options)


def inventory_of(root: Path) -> Inventory:
    return Folder().inventory(root, OPTIONS)


def doubts_of(root: Path, options: FolderOptions = OPTIONS) -> str:
    return "; ".join(Folder().doubts(root, inventory_of(root), options))


def splits_by_group(plan: Plan) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for unit in plan.units:
        for group, split in zip(unit.details["groups"], unit.details["splits"], strict=True):
            found.setdefault(group, set()).add(split)
    return found


def cut_all(root: Path, options: FolderOptions = OPTIONS) -> list[Clip | Rejection]:
    return [item for unit in plan_of(root, options).units for item in Folder().cut(root, unit, options)]


def test_long_files_are_cut_into_full_clips_and_short_ones_are_padded(tmp_path: Path) -> None:
    for name, seconds in {"a": 1.7, "b": 0.3, "c": 0.5, "d": 0.05}.items():
        record(tmp_path / f"x/{name}.wav", seconds)
    items = cut_all(tmp_path)
    clips = [item for item in items if isinstance(item, Clip)]
    assert Counter(clip.source for clip in clips) == {"x/a.wav": 3, "x/b.wav": 1, "x/c.wav": 1}
    assert [item for item in items if isinstance(item, Rejection)] == [
        Rejection("x/d.wav", "too short: 0.050 s, at least 0.1 s needed")
    ]
    assert {len(clip.samples) for clip in clips} == {8000}
    padded = next(clip for clip in clips if clip.source == "x/b.wav")
    assert padded.samples[:4800].any() and not padded.samples[4800:].any()
    assert [clip.start for clip in clips if clip.source == "x/a.wav"] == [0, 8000, 16000]
    limited = OPTIONS.model_copy(update={"max_clips_per_file": 2})
    assert sum(isinstance(item, Clip) for item in cut_all(tmp_path, limited)) == 4


def test_recordings_are_in_one_split_only_and_a_new_class_changes_no_other_class(tmp_path: Path) -> None:
    for label in "ab":
        for number in range(12):
            record(tmp_path / f"{label}/{'in/' if number % 2 else ''}{number}.wav", 1.2)
    clips = [item for item in cut_all(tmp_path) if isinstance(item, Clip)]
    splits = {clip.source: clip.split for clip in clips}
    assert all(splits[clip.source] == clip.split for clip in clips)
    for number in range(4):
        record(tmp_path / f"aa/{number}.wav", 0.6)
    later = {item.source: item.split for item in cut_all(tmp_path) if isinstance(item, Clip)}
    assert {source: later[source] for source in splits} == splits


def test_hostile_names_are_only_text(tmp_path: Path) -> None:
    names = ["<script>alert(1)<", "a b", "Ünï ♫", "..x", "[bold]", "a;b&c|$(d)", "日本", "日-本", "new\nline"]
    names = [name for name in names if not name.startswith(".")]
    for name in names:
        for number in range(3):
            record(tmp_path / name / f"r {number} <b>.wav", 0.5)
    plan = plan_of(tmp_path)
    assert plan.classes == tuple(sorted(names))
    clips = [item for item in cut_all(tmp_path) if isinstance(item, Clip)]
    assert len({clip.clip_id for clip in clips}) == len(clips) == 3 * len(names)
    assert all(re.fullmatch(r"\d{4}-[a-z0-9-]+-[0-9a-f]{12}-\d{4}", clip.clip_id) for clip in clips)
    assert {clip.class_name for clip in clips} == set(names)


def test_clip_ids_are_stable() -> None:
    assert clip_stem(3, "Ünï  Code♫", "a/b.wav") == "0003-uni-code-3549c5121e6b"
    assert clip_stem(0, "日本", "a/b.wav").startswith("0000-class-")


def test_other_files_are_counted_and_hidden_ones_skipped(tmp_path: Path) -> None:
    for number in range(3):
        record(tmp_path / f"a/{number}.WAV", 0.5)
    for name in ("a/notes.txt", "readme.md", ".hidden/x.wav", "a/.x.wav", "docs/only.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    record(tmp_path / "top.wav", 1)
    plan = plan_of(tmp_path)
    assert (plan.classes, plan.files, plan.ignored) == (("a",), 3, 4)


def test_class_needs_two_usable_files(tmp_path: Path) -> None:
    for number in range(3):
        record(tmp_path / f"a/{number}.wav", 0.5)
    record(tmp_path / "b/1.wav", 0.5)
    with pytest.raises(
        EarshotError, match=r"class 'b': expected at least two usable recordings .* found 1; .*files 2$"
    ):
        plan_of(tmp_path)
    (tmp_path / "b/1.wav").write_bytes(b"")
    with pytest.raises(EarshotError, match=r"class 'b': .* found 0; .* \(b/1.wav: zero bytes\)"):
        plan_of(tmp_path)
    with pytest.raises(EarshotError, match=r"expected one folder per class .* found none; 3 recordings in no folder;"):
        plan_of(tmp_path / "a")


def test_all_small_classes_are_named_at_once_and_can_be_left_out(tmp_path: Path) -> None:
    for name, takes in {"a": 4, "b": 3, "one": 1, "other": 1, "empty": 1}.items():
        for number in range(takes):
            record(tmp_path / f"{name}/{number}.wav", 0.5)
    (tmp_path / "empty/0.wav").write_bytes(b"")
    with pytest.raises(
        EarshotError,
        match=r"^3 classes: expected at least two usable recordings of each .* found 0 in 'empty', 1 in 'one', 1 in "
        r"'other'; .* leave them out with --min-files 2 \(empty/0.wav: zero bytes\)$",
    ):
        plan_of(tmp_path)
    plan = plan_of(tmp_path, OPTIONS.model_copy(update={"min_files": 2}))
    assert (plan.classes, plan.files, plan.ignored, plan.rejected) == (("a", "b"), 7, 3, ())
    assert plan.warnings == (
        "classes left out by --min-files 2: empty (0 files; empty/0.wav: zero bytes), one (1 file), other (1 file)",
    )
    assert plan_of(tmp_path, OPTIONS.model_copy(update={"min_files": 4})).classes == ("a",)
    with pytest.raises(EarshotError, match="none; only classes with fewer than --min-files 5; 1 file that cannot"):
        plan_of(tmp_path, OPTIONS.model_copy(update={"min_files": 5}))


def test_links_out_of_the_source_are_the_reason_that_nothing_is_found(tmp_path: Path) -> None:
    record(tmp_path / "elsewhere/0.wav", 0.5)
    for name in "ab":
        (tmp_path / "source" / name).mkdir(parents=True)
        (tmp_path / f"source/{name}/0.wav").symlink_to(tmp_path / "elsewhere/0.wav")
    (tmp_path / "source/c").symlink_to(tmp_path / "elsewhere")
    message = (
        r"found none; 2 files that cannot be used \(a/0.wav: symbolic link leads outside the source folder\); links to "
        r"folders, which are not followed \(c\); check --source"
    )
    with pytest.raises(EarshotError, match=message):
        plan_of(tmp_path / "source")
    assert Folder().doubts(tmp_path, inventory_of(tmp_path / "source"), OPTIONS) == ()  # --yes would not help


def test_many_files_are_divided_into_units(tmp_path: Path) -> None:
    for number in range(33):
        record(tmp_path / f"a/{number:02d}.wav", 0.5)
    plan = plan_of(tmp_path)
    assert [len(unit.files) for unit in plan.units] == [32, 1]


@pytest.mark.parametrize(
    "options",
    [
        {"train": 0.5},
        {"test": 0.0, "train": 0.8},
        {"clip_seconds": 0.099},
        {"surprise": 1},
        {"group_from": "anna"},
        {"min_files": 1},
    ],
)
def test_invalid_options_are_rejected(options: dict[str, object]) -> None:
    with pytest.raises(
        ValueError, match=r"add up to 1|greater than 0 |equal to 0\.1 |Extra inputs|a pattern|equal to 2"
    ):
        FolderOptions.model_validate(options)


def test_names_that_share_a_stem_are_groups_and_it_is_told(tmp_path: Path) -> None:
    for name in ("dog", "rain"):
        for recording in range(6):
            for take in "ABCD":
                record(tmp_path / f"{name}/{1 + recording % 5}-{1000 + recording}-{take}.wav", 0.5)
    for number in range(5):
        record(tmp_path / f"cat/{number}.wav", 0.5)
    inventory = inventory_of(tmp_path)
    options = Folder().resolve(tmp_path, inventory, OPTIONS)
    assert Folder().identity(options) == {**Folder().identity(OPTIONS), "group_from": "stem"}
    plan = Folder().plan(tmp_path, inventory, options)
    assert plan == Folder().plan(tmp_path, inventory, OPTIONS)
    units = [unit for unit in plan.units if unit.details["class_name"] != "cat"]
    groups = splits_by_group(Plan(tuple(units), plan.classes, 1, 1))
    assert len(groups) == 12 and "dog/1-1000" in groups and all(len(splits) == 1 for splits in groups.values())
    assert all(set(unit.details["splits"]) == {"train", "val", "test"} for unit in units)
    assert plan.notes == (
        (
            "groups",
            "12 guessed from names that share a stem, such as dog/1-1000-A.wav, dog/1-1000-B.wav and 2 more, each in "
            "one split; split by file, as its names give too few groups: cat (--group-from none: split by file)",
        ),
    )
    clips = {item.source: item.group for item in cut_all(tmp_path) if isinstance(item, Clip)}
    assert clips["dog/1-1000-A.wav"] == "dog/1-1000" and clips["cat/0.wav"] is None
    without = plan_of(tmp_path, OPTIONS.model_copy(update={"group_from": "none"}))
    assert all("groups" not in unit.details for unit in without.units)
    assert [unit for unit in plan.units if unit not in units] == [without.units[0]]  # cat is as without groups


@pytest.mark.parametrize(
    "names",
    [
        [f"dog_{number:03d}" for number in range(12)],  # one group
        [f"{name}_{number}" for name in ("loud", "soft") for number in range(6)],  # none left for val
        [f"dog{part}_{number}" for part, takes in enumerate((10, 1, 1)) for number in range(takes)],  # 83 % in one
        [f"03-01-{emotion:02d}-01-{actor:02d}" for emotion in range(4) for actor in range(6)],  # codes
    ],
)
def test_a_guess_that_would_spoil_the_splits_is_not_used(names: list[str], tmp_path: Path) -> None:
    for name in names:
        record(tmp_path / f"a/{name}.wav", 0.1)
    options = Folder().resolve(tmp_path, inventory_of(tmp_path), OPTIONS)
    assert Folder().identity(options) == Folder().identity(OPTIONS)
    assert plan_of(tmp_path).units == plan_of(tmp_path, OPTIONS.model_copy(update={"group_from": "none"})).units
    with pytest.raises(EarshotError, match=r"^--group-from stem: expected files whose names differ in a take"):
        plan_of(tmp_path, OPTIONS.model_copy(update={"group_from": "stem"}))


def test_a_pattern_keeps_speakers_of_all_classes_together(tmp_path: Path) -> None:
    for emotion in ("angry", "sad"):
        for speaker in ("anna", "bo", "cy", "di", "ed"):
            for take in range(4):
                record(tmp_path / f"{emotion}/{speaker}_{take}.wav", 0.1)
    options = OPTIONS.model_copy(update={"group_from": "{speaker}_{take}"})
    plan = plan_of(tmp_path, options)
    groups = splits_by_group(plan)
    assert set(groups) == {"anna", "bo", "cy", "di", "ed"} and all(len(splits) == 1 for splits in groups.values())
    assert [Counter(unit.details["splits"]) for unit in plan.units] == [{"train": 12, "val": 4, "test": 4}] * 2
    assert "5 by {speaker}_{take}, such as angry/anna_0.wav, angry/anna_1.wav and 6 more" in plan.notes[0][1]
    record(tmp_path / "sad/noise.wav", 0.1)
    with pytest.raises(EarshotError, match=r"every file has, found 1 file without \(sad/noise.wav\); change it"):
        plan_of(tmp_path, options)


def test_a_level_of_the_path_and_splits_that_miss_their_fractions(tmp_path: Path) -> None:
    for name in "ab":
        for site in ("north", "south"):
            for number in range(5):
                record(tmp_path / f"{name}/{site}/{number}.wav", 0.1)
    plan = plan_of(tmp_path, OPTIONS.model_copy(update={"group_from": "2"}))
    assert splits_by_group(plan).keys() == {"north", "south"}
    assert plan.warnings == (
        "groups are not divided, so train, val and test differ from the fractions asked for in a (5, 0, 5 files), "
        "b (5, 0, 5 files)",
    )
    with pytest.raises(EarshotError, match=r"^--group-from 1: .* found only one in a \(a\), b \(b\); add recordings"):
        plan_of(tmp_path, OPTIONS.model_copy(update={"group_from": "1"}))


def test_options_that_were_added_later_are_not_in_the_identity_by_default() -> None:
    assert Folder().identity(FolderOptions(group_from="none")) == Folder().identity(FolderOptions()) == {
        "sample_rate": 16000, "clip_seconds": 2.0, "min_seconds": 0.1, "max_clips_per_file": None, "train": 0.6,
        "val": 0.2, "test": 0.2, "split_seed": 0, "loudness": False,
    }  # fmt: skip


def test_number_of_short_recordings_that_a_smaller_minimum_would_keep(tmp_path: Path) -> None:
    for number, seconds in enumerate((0.08, 0.06, 0.0209, 0.3)):
        record(tmp_path / f"a/{number}.wav", seconds)
    rejected = [item for item in cut_all(tmp_path) if isinstance(item, Rejection)]
    text = "3 recordings are shorter than --min-seconds 0.1; 0.05 would keep 2 of them, 0.02 all"
    assert Folder().advise(rejected, OPTIONS) == text
    assert Folder().advise([Rejection("x", "zero bytes")], OPTIONS) == ""
    kept = cut_all(tmp_path, OPTIONS.model_copy(update={"min_seconds": 0.02}))
    assert not any(isinstance(item, Rejection) for item in kept)
    only = Folder().advise(rejected[:1], OPTIONS)
    assert only == "1 recording is shorter than --min-seconds 0.1; 0.079 would keep it"


def tree(root: Path, *paths: str) -> None:
    """Files that are recordings by their suffix; no doubt depends on their content."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


@pytest.mark.parametrize(
    ("paths", "doubt"),
    [
        (("recordings/a/0.wav", "recordings/a/1.wav", "recordings/b/0.wav", "recordings/b/1.wav"),
         "'recordings' is the only class, and its folders a, b look like classes: give --source ROOT/recordings"),
        (("x/0.wav", "x/sub/1.wav", "x/sub/2.wav"), "'x' is the only class: expected one folder per class"),
        (("fold1/0.wav", "fold2/0.wav", "fold10/0.wav"), "the folders fold1, fold10, fold2 look like folds, not like"),
        (("Train/a/0.wav", "Test/a/0.wav", "noise/0.wav"), "the folders Test, Train look like splits, not like"),
        (("training/0.wav", "validation_set/0.wav"), "the folders training, validation_set look like splits"),
        (("a/0.wav", "b/0.wav", "c/0.m4a", "c/1.M4A", "c/2.wma", "d/.hidden"),
         "no recording was found in c (2 files in .m4a, 1 in .wma, which libsndfile cannot read), d (empty): convert"),
        (("test/0.wav", "toast/0.wav"), ""),
        (("fold1/0.wav", "dog/0.wav"), ""),
        (("a/0.wav", "b/0.wav", "docs/readme.txt", "a/0.txt"), ""),
    ],
)  # fmt: skip
def test_other_layouts_are_doubts(paths: tuple[str, ...], doubt: str, tmp_path: Path) -> None:
    tree(tmp_path, *paths)
    found = doubts_of(tmp_path)
    assert (not found) if not doubt else found.startswith(doubt.replace("ROOT", str(tmp_path)))


def test_links_to_folders_are_a_doubt(tmp_path: Path) -> None:
    tree(tmp_path, "elsewhere/0.wav", "source/a/0.wav", "source/b/0.wav")
    (tmp_path / "source/c").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "source/a/more").symlink_to(tmp_path / "elsewhere")
    expected = "links to folders are not followed (a/more, c): put the folders themselves there"
    assert doubts_of(tmp_path / "source") == expected
    assert doubts_of(tmp_path / "source", OPTIONS.model_copy(update={"min_files": 2})) == expected


def test_folders_that_are_no_classes_and_other_formats_are_told(tmp_path: Path) -> None:
    for name in "ab":
        for number in range(2):
            record(tmp_path / f"{name}/{number}.wav", 0.1)
    record(tmp_path / "top.wav", 0.1)
    tree(tmp_path, "docs/readme.txt", "docs/more.pdf", "c/0.m4a", "a/2.m4a", "a/notes.txt", "b/3.amr")
    assert plan_of(tmp_path, OPTIONS.model_copy(update={"min_files": 2})).warnings == (
        "classes left out by --min-files 2: c (1 file in .m4a, which libsndfile cannot read)",
        "folders without recordings are no classes: docs (2 other files)",
        "1 file in .amr, 1 in .m4a in a, b left out: libsndfile cannot read this format; convert them to FLAC",
        "1 recording directly in the source folder belongs to no class and is left out",
        "3 files such as a/2.m4a can be read with --ffmpeg",
    )


@pytest.mark.parametrize(
    ("table", "doubt"),
    [
        ("filename,fold,category\n{a/wav0},1,dog\n{a/wav1},2,rain\n{b/wav2},1,dog\n{b/wav3},2,rain\n", True),
        ("fname;label\n{a/stem0};dog\n{a/stem1};rain\n{b/stem2};dog\n", True),
        ("filename,label\n{a/wav0},a\n{a/wav1},a\n{b/wav2},b\n{b/wav3},b\n", False),  # its classes are the folders
        ("path,sha256\na/{a/wav0},00\na/{a/wav1},11\nb/{b/wav2},22\nb/{b/wav3},33\n", False),
        ("filename,label\n{a/wav0},dog\n", False),  # one of four
        ("filename,label\nother.wav,dog\n", False),
        ('"unclosed', False),
        ("", False),
    ],
)
def test_a_table_of_the_recordings_is_a_doubt(table: str, doubt: bool, tmp_path: Path) -> None:
    names = [f"{folder}/rec-{number}.wav" for number, folder in enumerate("aabb")]
    tree(tmp_path, *names)
    for number, path in enumerate(names):
        name = path.split("/")[1]
        table = table.replace(f"{{{path[0]}/wav{number}}}", name).replace(f"{{{path[0]}/stem{number}}}", name[:-4])
    (tmp_path / "info.csv").write_text(table)
    found = doubts_of(tmp_path)
    assert found.startswith("info.csv names ") and "no column of it is the folder" in found if doubt else not found


def corpus_with_a_long_file(root: Path) -> None:
    for name, seconds in {"long": 5.2, "short": 0.6}.items():
        record(root / f"x/{name}.wav", seconds)


@pytest.mark.parametrize(
    ("clips", "numbers"), [("first", [0, 1, 2]), ("spread", [1, 5, 8]), ("loudest", [2, 4, 9]), ("random", None)]
)
def test_which_clips_of_a_long_file_are_taken(tmp_path: Path, clips: str, numbers: list[int] | None) -> None:
    """A file of 5.2 s has ten clips of 0.5 s."""
    corpus_with_a_long_file(tmp_path)
    path = tmp_path / "x/long.wav"
    samples, rate = soundfile.read(path)
    for number in (2, 4, 9):
        samples[round(number * rate / 2) : round((number + 1) * rate / 2)] *= 1.5
    soundfile.write(path, samples, rate, subtype="PCM_16")

    def taken(seed: int = 0) -> list[int]:
        options = OPTIONS.model_copy(update={"max_clips_per_file": 3, "clips": clips, "split_seed": seed})
        cut = [item for item in cut_all(tmp_path, options) if isinstance(item, Clip)]
        assert sum(clip.source == "x/short.wav" for clip in cut) == 1
        cut = [clip for clip in cut if clip.source == "x/long.wav"]
        for clip in cut:
            assert np.allclose(clip.samples, samples[clip.start : clip.start + RATE // 2], atol=1e-4)
            assert int(clip.clip_id[-4:]) * RATE // 2 == clip.start
        return [clip.start // (RATE // 2) for clip in cut]

    assert taken() == (numbers if numbers else taken())
    if numbers is None:
        assert len({tuple(taken(seed)) for seed in range(4)}) > 1 and taken() == sorted(set(taken()))


def test_new_options_do_not_change_the_identity_of_existing_benchmarks() -> None:
    assert not {"clips", "float_scale"} & set(Folder().identity(OPTIONS))
    options = FolderOptions(clips="spread", float_scale="auto")
    assert Folder().identity(options).items() >= {("clips", "spread"), ("float_scale", "auto")}


def test_floats_on_an_integer_scale_are_rejected_or_scaled(tmp_path: Path) -> None:
    for number in range(2):
        record(tmp_path / f"x/{number}.wav", 0.5)
    samples, _ = soundfile.read(tmp_path / "x/0.wav")
    soundfile.write(tmp_path / "x/0.wav", samples * 32768, RATE, subtype="FLOAT")
    (rejection,) = [item for item in cut_all(tmp_path) if isinstance(item, Rejection)]
    assert rejection.file == "x/0.wav" and "probably on the scale of 16-bit integers" in rejection.reason
    items = cut_all(tmp_path, OPTIONS.model_copy(update={"float_scale": "auto"}))
    (clip,) = [item for item in items if isinstance(item, Clip) and item.source == "x/0.wav"]
    assert np.allclose(clip.samples, samples, atol=1e-6)


@pytest.mark.parametrize("loudness", [False, True])
def test_clips_of_long_recordings_are_those_of_reading_them_whole(tmp_path: Path, loudness: bool) -> None:
    """Longer than a block of the decoder, two channels, at a rate that is resampled."""
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (700_000, 2))
    (tmp_path / "x").mkdir()
    for number in range(2):
        soundfile.write(tmp_path / f"x/{number}.wav", noise, 44_100, subtype="PCM_16")
    whole = resample(*read_recording(tmp_path / "x/0.wav"), RATE)
    whole = normalise(whole, RATE) if loudness else whole
    options = OPTIONS.model_copy(update={"loudness": loudness})
    clips = [item for item in cut_all(tmp_path, options) if isinstance(item, Clip) and item.source == "x/0.wav"]
    assert len(clips) == len(whole) // (RATE // 2) == 31
    for clip in clips:
        assert np.array_equal(clip.samples, whole[clip.start : clip.start + RATE // 2])
