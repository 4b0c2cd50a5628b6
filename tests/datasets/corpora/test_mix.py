"""A mix of two small benchmarks."""

from pathlib import Path

import numpy as np
import pytest

from datasets.benchmark.clips import Clip
from datasets.benchmark.manifest import ClassEntry, Manifest, SourceEntry, SplitCounts
from datasets.benchmark.shard_writer import write_shard
from datasets.benchmark.shards import Shards
from datasets.corpora.mix import Mix, MixOptions
from datasets.utils.errors import EarshotError
from orchestrator.preparation.pipeline import prepare

NOWHERE = Path("nowhere")  # a mix reads no recordings


@pytest.fixture
def beeps(tmp_path: Path) -> Path:
    """One class of three clips of 0.2 s at 8 kHz: a sine of 1 kHz."""
    root = tmp_path / "beeps"
    (root / "shards").mkdir(parents=True)
    wave = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(1600) / 8000).astype(np.float32)
    clips = [
        Clip(f"beep_{i}", s, 0, "beep", "b.wav", 800 * i, wave, "bo") for i, s in enumerate(("train", "val", "test"))
    ]
    Manifest(
        name="tones",  # same name as the other benchmark
        corpus="test",
        settings={},
        sample_rate=8000,
        num_samples=1600,
        classes=(ClassEntry(label=0, name="beep", clips=SplitCounts(train=1, val=1, test=1)),),
        shards=(write_shard(root / "shards/00000.parquet", clips, 8000),),
        source=SourceEntry(fingerprint="-", files=1, rejected=0),
        versions={},
        created="2026-01-01T00:00:00Z",
    ).save(root)
    return root


def cut_all(options: MixOptions) -> dict[str, Clip]:
    mix = Mix()
    plan = mix.plan(NOWHERE, mix.inventory(NOWHERE, options), options)
    clips = [clip for unit in plan.units for clip in mix.cut(NOWHERE, unit, options) if isinstance(clip, Clip)]
    return {clip.clip_id: clip for clip in clips}


def test_classes_are_concatenated_and_clips_keep_their_split(tones: Path, beeps: Path) -> None:
    options = MixOptions(of=(str(tones), str(beeps)))
    mix = Mix()
    plan = mix.plan(NOWHERE, mix.inventory(NOWHERE, options), options)
    assert plan.classes == (*(f"tones/tone {i}" for i in range(6)), "tones-2/beep")
    assert (plan.sample_rate, plan.num_samples, plan.base_classes) == (8000, 1600, 2)
    clips, table = cut_all(options), Shards(tones).table
    assert len(clips) == 93
    for clip_id, split, label in zip(table.clip_ids, table.splits, table.labels, strict=True):
        clip = clips[f"00-tones-{clip_id}"]
        assert (clip.split, clip.label, clip.class_name) == (split, label, f"tones/tone {label}")
    beep = clips["01-tones-2-beep_2"]
    assert (beep.label, beep.class_name, beep.split, beep.source, beep.start, beep.group) == (
        6, "tones-2/beep", "test", "tones-2/b.wav", 1600, "tones-2/bo",
    )  # fmt: skip
    assert all(clip.group is None for clip_id, clip in clips.items() if clip_id.startswith("00-"))


def test_clips_have_the_same_rate_and_length(tones: Path, beeps: Path) -> None:
    clips = cut_all(MixOptions(of=(str(beeps), str(tones))))
    assert {len(clip.samples) for clip in clips.values()} == {1600}
    assert np.array_equal(clips["00-tones-beep_0"].samples, Shards(beeps).audio([0])[0])
    longer = cut_all(MixOptions(of=(str(beeps), str(tones)), sample_rate=16000, clip_seconds=0.3))
    samples = longer["00-tones-beep_0"].samples
    assert len(samples) == 4800 and not samples[3200:].any()
    wanted = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(3200) / 16000)
    assert np.abs(samples[100:3100] - wanted[100:3100]).max() < 0.01
    assert np.array_equal(longer["01-tones-2-3-07"].samples, Shards(tones).audio([3 * 15 + 7])[0][:4800])


def test_identity_depends_on_the_content_not_the_path(tones: Path, beeps: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    beeps.rename(elsewhere)
    options = MixOptions(of=(str(tones), str(elsewhere)))
    moved = Mix().identity(options)
    elsewhere.rename(beeps)
    assert Mix().identity(MixOptions(of=(str(tones), str(beeps)))) == moved
    assert Mix().identity(MixOptions(of=(str(beeps), str(tones)))) != moved


def test_invalid_inputs_are_errors(tones: Path, tmp_path: Path) -> None:
    with pytest.raises(EarshotError, match="--of: expected at least two benchmarks, found 1"):
        Mix().identity(MixOptions(of=(str(tones),)))
    with pytest.raises(EarshotError, match=r"manifest\.json: not found; expected a complete benchmark"):
        Mix().identity(MixOptions(of=(str(tones), str(tmp_path))))


def test_benchmark_that_changes_during_the_mix_is_an_error(tones: Path, beeps: Path) -> None:
    options = MixOptions(of=(str(tones), str(beeps)))
    plan = Mix().plan(NOWHERE, Mix().inventory(NOWHERE, options), options)
    manifest = Manifest.load(beeps)
    manifest.model_copy(update={"num_samples": 1599}).save(beeps)
    with pytest.raises(EarshotError, match="the benchmark was changed while the mix was prepared"):
        list(Mix().cut(NOWHERE, plan.units[-1], options))


def test_equal_names_get_a_suffix(tones: Path, beeps: Path) -> None:
    manifest = Manifest.load(beeps)
    manifest.model_copy(update={"name": "tones-2"}).save(beeps)
    options = MixOptions(of=(str(tones), str(tones), str(beeps)))
    classes = Mix().plan(NOWHERE, Mix().inventory(NOWHERE, options), options).classes
    assert len(set(classes)) == 13 and classes[-1] == "tones-2-2/beep"


def test_warning_for_a_rate_above_that_of_a_part(tones: Path, beeps: Path) -> None:
    options = MixOptions(of=(str(tones), str(beeps)), sample_rate=16000)
    (warning,) = Mix().plan(NOWHERE, Mix().inventory(NOWHERE, options), options).warnings
    assert warning == "tones-2 is at 8000 Hz: its clips at 16000 Hz contain no energy above 4000 Hz"


def test_mix_cannot_replace_one_of_its_parts(tones: Path, beeps: Path) -> None:
    with pytest.raises(EarshotError, match="expected a new folder, found one of the input benchmarks"):
        prepare("mix", None, beeps, {"of": (str(tones), str(beeps))}, force=True)
    assert Manifest.load(beeps).class_names == ("beep",)
