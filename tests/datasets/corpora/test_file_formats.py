"""Options of `folder` and `table` for formats, short recordings and silence; recordings at a low sample rate."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.audio import ffmpeg
from datasets.benchmark.clips import Clip
from datasets.benchmark.shards import Shards
from datasets.corpora import file_formats
from datasets.corpora.corpus import Corpus, Unit
from datasets.corpora.folder import Folder, FolderOptions
from datasets.corpora.inventory import Rejection
from datasets.corpora.table import TableCorpus
from datasets.corpora.table_options import TableOptions
from datasets.utils.errors import EarshotError
from orchestrator.prepare import main
from tests.support.encoded_files import encode
from tests.support.published_layouts import record
from tests.support.shards_without_ray import write_shards

RATE = 8000
OPTIONS = FolderOptions(sample_rate=RATE, clip_seconds=0.5)


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")


def ramp(seconds: float) -> np.ndarray:
    """Samples that are all different, as 16-bit values."""
    return np.arange(1, round(seconds * RATE) + 1) / 32768


def cut(source: Path, corpus: Corpus = Folder(), **changes: object) -> list[Clip | Rejection]:  # noqa: B008
    options = corpus.options_type(sample_rate=RATE, clip_seconds=0.5, **changes)
    inventory = corpus.inventory(source, options)
    options = corpus.resolve(source, inventory, options)
    units = corpus.plan(source, inventory, options).units
    return [item for unit in units for item in corpus.cut(source, unit, options)]


def test_the_options_are_no_part_of_the_identity_unless_given(tmp_path: Path) -> None:
    given = {"short", "trim_silence", "ffmpeg"}
    for corpus, options in ((Folder(), OPTIONS), (TableCorpus(), TableOptions())):
        assert not given & corpus.identity(options).keys()
        changed = options.model_copy(update={"short": "repeat", "trim_silence": 40.0, "ffmpeg": True})
        assert given < corpus.identity(changed).keys()


def test_short_recordings_are_padded_repeated_or_rejected(tmp_path: Path) -> None:
    for name in ("a/0", "a/1", "b/0", "b/1"):
        write(tmp_path / f"{name}.wav", ramp(0.2 if name == "a/0" else 0.6))
    by_path = {
        short: {item.source: item.samples for item in cut(tmp_path, short=short) if isinstance(item, Clip)}
        for short in ("pad", "repeat", "reject")
    }
    wave = ramp(0.2).astype(np.float32)
    np.testing.assert_array_equal(by_path["pad"]["a/0.wav"], np.concatenate([wave, np.zeros(2400)]))
    np.testing.assert_array_equal(by_path["repeat"]["a/0.wav"], np.concatenate([wave, wave, wave[:800]]))
    for short in ("repeat", "reject"):
        np.testing.assert_array_equal(by_path[short]["b/1.wav"], by_path["pad"]["b/1.wav"])
    assert by_path["reject"].keys() == {"a/1.wav", "b/0.wav", "b/1.wav"}
    reason = "shorter than a clip: 0.200 s, at least 0.5 s needed for --short reject"
    assert Rejection("a/0.wav", reason) in cut(tmp_path, short="reject")


def test_silence_at_the_ends_is_trimmed_before_clips_are_cut(tmp_path: Path) -> None:
    sound, silence = ramp(0.5) + 0.2, np.zeros(RATE)
    for name in ("a/0", "a/1", "b/0"):
        write(tmp_path / f"{name}.wav", np.concatenate([silence, sound, silence]))
    write(tmp_path / "b/1.wav", np.concatenate([silence, sound[:160], silence]))
    clips = cut(tmp_path, trim_silence=40)
    (first,) = [item for item in clips if isinstance(item, Clip) and item.source == "a/0.wav"]
    assert first.start == RATE
    np.testing.assert_allclose(first.samples, sound, atol=1 / 32768)
    assert len([item for item in cut(tmp_path) if isinstance(item, Clip) and item.source == "a/0.wav"]) == 5
    reason = "too short: 0.020 s, at least 0.1 s needed after --trim-silence"
    assert [item for item in clips if isinstance(item, Rejection)] == [Rejection("b/1.wav", reason)]
    limited = cut(tmp_path, trim_silence=40, max_clips_per_file=1)
    assert [item.start for item in limited if isinstance(item, Clip)] == [RATE] * 3


def test_labelled_parts_are_trimmed_by_themselves(tmp_path: Path) -> None:
    sound, silence = np.full(4000, 0.5), np.zeros(4000)
    for name in "abc":
        write(tmp_path / f"{name}.wav", np.concatenate([silence, sound, silence]))
    rows = "".join(f"{name}.wav,0.25,1.25,{label}\n" for name in "abc" for label in ("x",))
    (tmp_path / "t.csv").write_text(f"file,start,end,label\n{rows}d.m4a,0,1,x\n")
    items = cut(tmp_path, TableCorpus(), trim_silence=40)
    clips = [item for item in items if isinstance(item, Clip)]
    assert [clip.start for clip in clips] == [4000] * 3 and all((clip.samples > 0.49).all() for clip in clips)
    plan_of = TableCorpus().plan(tmp_path, TableCorpus().inventory(tmp_path, TableOptions()), TableOptions())
    reason = "not found among the formats that are read without --ffmpeg (t.csv: line 5: column file)"
    assert plan_of.rejected == (Rejection("d.m4a", reason),)


def test_recordings_below_the_sample_rate_are_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        record(tmp_path / f"a/{number}.wav", rate=16000)
        record(tmp_path / f"b/{number}.wav", rate=8000 if number else 11025)

    def warnings(rate: int) -> tuple[str, ...]:
        options = FolderOptions(sample_rate=rate, clip_seconds=0.2)
        return Folder().plan(tmp_path, Folder().inventory(tmp_path, options), options).warnings

    assert warnings(8000) == ()
    assert warnings(16000) == (
        "3 recordings below --sample-rate 16000, such as b/1.wav at 8000 Hz: they are resampled, and have no sound "
        "above 4000 Hz",
    )
    monkeypatch.setattr(file_formats, "EXAMINED", 2)
    assert warnings(16000)[0].startswith("1 recording of 2 that were looked at below --sample-rate 16000, such as b/0")


def test_rates_of_a_few_files_are_read_with_ffmpeg(tmp_path: Path) -> None:
    for number in range(file_formats.EXAMINED_BY_FFMPEG + 1):
        encode(ramp(0.2), RATE, tmp_path / f"a/{number}.m4a", "-c:a", "alac")
        record(tmp_path / f"b/{number}.wav", rate=16000)
    (tmp_path / "a/0.m4a").write_bytes(b"no sound")
    options = FolderOptions(sample_rate=16000, clip_seconds=0.2, ffmpeg=True)
    warnings = Folder().plan(tmp_path, Folder().inventory(tmp_path, options), options).warnings
    assert warnings == (
        "4 recordings of 11 that were looked at below --sample-rate 16000, such as a/1.m4a at 8000 Hz: they are "
        "resampled, and have no sound above 4000 Hz",
    )


def test_one_recording_in_two_formats_is_a_doubt(tmp_path: Path) -> None:
    for name in ("a/x_0.wav", "a/y_0.wav", "a/z_0.wav", "a/y_0.m4a", "b/x_0.m4a", "b/y_1.m4a", "b/z_1.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "t.csv").write_text(
        "file,label,person,fold\na/x_0.wav,a,1,1\na/y_0.wav,a,2,1\na/y_0.m4a,a,2,2\nb/x_0.m4a,b,1,1\nb/y_1.m4a,b,3,2\n"
    )
    doubt = (
        "1 name of recordings in several formats, which may be in different splits, such as a/y_0.m4a and a/y_0.wav: "
        "keep one of each",
    )

    def doubts(corpus: Corpus, **changes: object) -> tuple[str, ...]:
        options = corpus.options_type(ffmpeg=True, **changes)
        found: tuple[str, ...] = corpus.doubts(tmp_path, corpus.inventory(tmp_path, options), options)
        return tuple(text for text in found if "formats" in text)

    assert doubts(Folder(), group_from="none") == doubt
    assert doubts(Folder()) == ()  # names with the stem y are guessed to be a group
    assert doubts(Folder(), group_from="{who}_{take}") == ()
    (tmp_path / "test.txt").write_text("a/y_0.wav\nb/x_0.m4a\n")
    assert doubts(Folder(), test_list=Path("test.txt")) == doubt
    (tmp_path / "test.txt").write_text("a/y_0.wav\na/y_0.m4a\nb/x_0.m4a\n")
    assert doubts(Folder(), test_list=Path("test.txt")) == ()
    table = {"csv": (Path("t.csv"),), "fold_column": "none"}
    assert doubts(TableCorpus(), **table, group_column="none", group_from="none") == doubt
    assert doubts(TableCorpus(), **table, group_column="person") == ()
    assert doubts(TableCorpus(), **table | {"fold_column": "fold"}, test_folds=("2",)) == doubt
    (tmp_path / "a/y_0.m4a").unlink()
    assert doubts(Folder(), group_from="none") == ()


def test_a_broken_program_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(2):
        record(tmp_path / f"in/a/{number}.wav")
        record(tmp_path / f"in/b/{number}.wav")
        (tmp_path / f"in/b/{number}.wav").rename(tmp_path / f"in/b/{number}.m4a")
    script = tmp_path / "ffmpeg"
    script.write_text("#!/bin/sh\necho libx.so: cannot open >&2\nexit 127\n")
    script.chmod(0o755)
    monkeypatch.setattr(file_formats, "find_ffmpeg", lambda: str(script))
    assert main(["folder", "--source", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--ffmpeg"]) == 2
    problem = f"error: {script}: expected ffmpeg to run with -version, found: libx.so: cannot open; install it again"
    out, err = capfd.readouterr()
    assert out == "" and err.startswith(problem) and err.count("\n") == 1


def test_a_benchmark_of_m4a_and_wav_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for number in range(4):
        encode(ramp(0.5), RATE, source / f"a/{number}.m4a", "-c:a", "alac")
        write(source / f"b/{number}.wav", ramp(0.5))
    command = ["folder", "--source", str(source), "--out", str(out), "--clip-seconds=0.5", f"--sample-rate={RATE}"]
    assert main(command) == 2
    problem = capfd.readouterr().err
    assert "no recording was found in a (4 files in .m4a, which libsndfile cannot read): convert" in problem
    assert "4 files such as a/0.m4a can be read with --ffmpeg" in problem
    write_shards("folder", source, tmp_path / "made", {**dict(OPTIONS), "ffmpeg": True})
    command[4] = str(tmp_path / "made")
    assert main([*command, "--ffmpeg"]) == 0
    shards = Shards(tmp_path / "made")
    assert shards.manifest.settings["ffmpeg"] is True and len(shards.table) == 8
    assert (shards.audio(range(8)) == ramp(0.5).astype(np.float32)).all()


def test_without_the_program_one_line_names_the_first_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in/b").mkdir(parents=True)
    for number in range(2):
        record(tmp_path / f"in/a/{number}.wav")
        (tmp_path / f"in/b/{number}.m4a").write_bytes(b"x")
    monkeypatch.setattr(file_formats, "find_ffmpeg", lambda: None)
    command = ["folder", "--source", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--ffmpeg"]
    assert main(command) == 2
    out, err = capfd.readouterr()
    assert out == "" and err == (f"error: {tmp_path / 'in/b/0.m4a'}: {ffmpeg.MISSING}\n")
    assert not (tmp_path / "out/manifest.json").exists()
    with pytest.raises(EarshotError, match=r"0\.m4a: needs ffmpeg"):  # on a worker that has none
        unit = Unit("b 0", ("b/0.m4a",), {"label": 0, "class_name": "b", "splits": ["train"]})
        list(Folder().cut(tmp_path / "in", unit, OPTIONS))
