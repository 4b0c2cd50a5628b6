"""Classes and groups from paths, and lists of files as splits, in the folder corpus."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datasets.corpora.corpus import Plan
from datasets.corpora.file_index import AmbiguousError, FileIndex
from datasets.corpora.file_labels import FileLabels
from datasets.corpora.folder import Folder, FolderOptions
from datasets.utils.errors import EarshotError
from tests.support.published_layouts import fsdd, record, speech_commands


def plan_of(root: Path, **options: Any) -> Plan:
    made = FolderOptions.model_validate({"clip_seconds": 0.1, **options})
    return Folder().plan(root, Folder().inventory(root, made), made)


def doubts_of(root: Path, **options: Any) -> str:
    made = FolderOptions.model_validate({"clip_seconds": 0.1, **options})
    return "; ".join(Folder().doubts(root, Folder().inventory(root, made), made))


@pytest.mark.parametrize(
    ("text", "path", "label", "group"),
    [
        ("1", "dog/north/1.wav", "dog", None),
        ("2", "dog/north/1.wav", "north", None),
        ("3", "dog/north/1.wav", None, None),
        ("last", "a/b/c/1.wav", "c", None),
        ("last", "1.wav", None, None),
        ("{digit}_{speaker}_{take}", "in/7_anna_3.wav", "7", "anna"),
        ("{digit}_{speaker}_{take}.wav", "7_anna_3.flac", None, None),
        ("{site}/{session}/{label}-{other}", "x/north/s1/wren-9.wav", "wren", "north/s1"),
        ("{label}_*", "wren_9_1.wav", "wren_9", None),
        ("{label}_*", "wren.wav", None, None),
    ],
)
def test_class_and_group_of_a_path(text: str, path: str, label: str | None, group: str | None) -> None:
    assert (FileLabels(text).label(path), FileLabels(text).group(path)) == (label, group)


@pytest.mark.parametrize("text", ["0", "-1", "first", "{speaker}_{take}", "{a}_{b}", "{a", ""])
def test_what_names_no_class(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        FileLabels(text)


def test_classes_and_groups_from_names(tmp_path: Path) -> None:
    fsdd(tmp_path)
    record(tmp_path / "notes.wav")
    plan = plan_of(tmp_path, label_from="{digit}_{speaker}_{take}")
    assert plan.classes == ("0", "1", "2") and (plan.files, plan.ignored) == (30, 1)
    splits: dict[str, set[str]] = {}
    for unit in plan.units:
        for group, split in zip(unit.details["groups"], unit.details["splits"], strict=True):
            splits.setdefault(group, set()).add(split)
    assert len(splits) == 5 and all(len(found) == 1 for found in splits.values())
    assert plan.notes[0][1].startswith("5 by fields of {digit}_{speaker}_{take}, such as 0_")
    assert plan.warnings == (
        "left out, as --label-from {digit}_{speaker}_{take} gives no class: 1 recording (notes.wav)",
        "30 recordings below --sample-rate 16000, such as 0_george_0.wav at 8000 Hz: they are resampled, and have no "
        "sound above 4000 Hz",
    )
    by_file = plan_of(tmp_path, label_from="{digit}_{speaker}_{take}", group_from="none")
    assert all("groups" not in unit.details for unit in by_file.units)
    with pytest.raises(
        EarshotError, match=r"^--label-from 1: .* found none of 31 recordings with it, such as 0_george_0"
    ):
        plan_of(tmp_path, label_from="1")


def test_a_level_of_the_path_and_classes_that_are_left_out(tmp_path: Path) -> None:
    for place in ("x/dog", "y/dog", "y/rain", "z/noise"):
        for number in range(2):
            record(tmp_path / place / f"{place[0]}{number}.wav")
    plan = plan_of(tmp_path, label_from="last", exclude_class=("noise",))
    assert plan.classes == ("dog", "rain") and plan.files == 6 and doubts_of(tmp_path, label_from="last") == ""
    record(tmp_path / "z/only/1.wav")
    with pytest.raises(EarshotError, match="class 'only': expected at least two usable recordings"):
        plan_of(tmp_path, label_from="last")
    assert plan_of(tmp_path, label_from="last", min_files=2).classes == ("dog", "noise", "rain")


def test_lists_of_files_are_the_splits(tmp_path: Path) -> None:
    speech_commands(tmp_path)
    options: dict[str, Any] = {
        "val_list": "validation_list.txt", "test_list": "testing_list.txt", "exclude_class": ("_background_noise_",),
    }  # fmt: skip
    plan = plan_of(tmp_path, **options)
    assert Counter(split for unit in plan.units for split in unit.details["splits"]) == {
        "train": 48, "val": 16, "test": 16,
    }  # fmt: skip
    assert doubts_of(tmp_path, **options) == "" and plan.warnings == ()
    with (tmp_path / "testing_list.txt").open("a") as file:
        file.write("bed/ffffffff_nohash_0.wav\nbed/00000000_nohash_0.wav\n")
    doubts = doubts_of(tmp_path, **options, group_from="{speaker}_nohash_{take}")
    assert "1 of 18 recordings of" in doubts and "(bed/ffffffff_nohash_0.wav): check --source; 1 of 10 groups" in doubts
    with (tmp_path / "testing_list.txt").open("a") as file:
        file.write("bed/00000006_nohash_0.wav\n")
    with pytest.raises(
        EarshotError, match=r"testing_list.txt: line 19: column path: expected every recording in one list"
    ):
        plan_of(tmp_path, **options)
    (tmp_path / "testing_list.txt").write_text("bed/00000008_nohash_0.wav\n")
    with pytest.raises(EarshotError, match=r"^--val-list and --test-list: .* found 16 and 0 of class 'cat', "):
        plan_of(tmp_path, **options)


def test_lists_are_in_the_identity_by_content(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("x/1.wav\n")
    first, second = (Folder().identity(FolderOptions(test_list=tmp_path / name)) for name in ("a.txt", "b.txt"))
    assert first == second and len(first["test_list"]) == 64
    added = {"label_from", "val_list", "test_list", "exclude_class"}
    assert not added & set(Folder().identity(FolderOptions()))


def test_recordings_are_found_by_path_end_of_path_or_stem() -> None:
    index = FileIndex(["a/x.wav", "a/y.flac", "b/y.wav", "b/c/z.wav"])
    found = {"a/x.wav": "a/x.wav", "x": "a/x.wav", "./a/y": "a/y.flac", "c\\z.wav": "b/c/z.wav", "y.wav": "b/y.wav"}
    for name, path in {**found, "w": None}.items():
        assert index.find(name) == path, name
    with pytest.raises(AmbiguousError) as caught:
        index.find("y")
    assert caught.value.args == (["a/y.flac", "b/y.wav"],)
    assert FileIndex(["a/y.flac", "b/y.wav"], "wav").find("y") == "b/y.wav"
    for name in ("/a/x.wav", "../x.wav", "a/../x.wav", "C:/x.wav", "", "."):
        with pytest.raises(ValueError, match=r".*"):
            index.find(name)


def test_the_first_level_is_checked_like_the_default(tmp_path: Path) -> None:
    for name in ("fold1", "fold2"):
        for take in range(2):
            record(tmp_path / name / f"{take}.wav")
    record(tmp_path / "stray.wav")
    found = "the folders fold1, fold2 look like folds, not like classes"
    assert found in doubts_of(tmp_path) and found in doubts_of(tmp_path, label_from="1")
    assert plan_of(tmp_path).warnings == plan_of(tmp_path, label_from="1").warnings


def test_lists_may_name_recordings_of_classes_that_are_left_out(tmp_path: Path) -> None:
    for name in ("cat", "dog", "rain"):
        for take in range(4):
            record(tmp_path / name / f"{take}.wav")
    (tmp_path / "test.txt").write_text("".join(f"{name}/3.wav\n" for name in ("cat", "dog", "rain")))
    options: dict[str, Any] = {"test_list": Path("test.txt"), "exclude_class": ("cat",)}
    assert doubts_of(tmp_path, **options) == "" and plan_of(tmp_path, **options).classes == ("dog", "rain")
    with (tmp_path / "test.txt").open("a") as file:
        file.write("dog/9.wav\n")
    assert "1 of 4 recordings of" in doubts_of(tmp_path, **options)
