"""Small corpora with the real names of files, folders and columns of published ones; the recordings are noise."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile

ESC = (("dog", 0, True), ("rooster", 1, True), ("pig", 2, False), ("cow", 3, False), ("rain", 10, True))
URBAN = ("air_conditioner", "car_horn", "children_playing", "dog_bark")
WORDS = ("bed", "cat", "five", "zero")


def record(path: Path, seconds: float = 0.2, rate: int = 16_000, label: int | None = None, **options: str) -> None:
    """Writes noise and a tone that depend on the last components of the path; labels are half an octave apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(zlib.crc32("/".join(path.parts[-3:]).encode()))
    time = np.arange(round(seconds * rate)) / rate
    pitch = random.uniform(200, 2000) if label is None else 300 * 2 ** (label / 2) * random.uniform(0.95, 1.05)
    wave = 0.2 * np.sin(2 * np.pi * pitch * time) + 0.05 * random.standard_normal(len(time))
    soundfile.write(path, wave, rate, subtype="PCM_16", **options)


def write_csv(path: Path, header: str, rows: Iterable[Sequence[object]], separator: str = ",") -> None:
    """Writes a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [*([header] if header else []), *(separator.join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def esc50(root: Path, classes: Sequence[tuple[str, int, bool]] = ESC) -> None:
    """Each class has in each of five folds two recordings of one source and one of another."""
    rows = []
    for label, (name, target, esc10) in enumerate(classes):
        for fold in range(1, 6):
            for source, take in ((0, "A"), (0, "B"), (1, "A")):
                recording = 100_000 + 1000 * target + 10 * fold + source
                file = f"{fold}-{recording}-{take}-{target}.wav"
                record(root / "audio" / file, label=label)
                rows.append((file, fold, target, name, esc10, recording, take))
    write_csv(root / "meta/esc50.csv", "filename,fold,target,category,esc10,src_file,take", rows)


def urbansound8k(root: Path) -> None:
    """Four classes in ten folds, two slices of a recording in each."""
    rows = []
    for number, name in enumerate(URBAN):
        for fold in range(1, 11):
            recording = 1000 * number + fold
            for slice_number in range(2):
                file = f"{recording}-{number}-0-{slice_number}.wav"
                record(root / f"audio/fold{fold}" / file, label=number)
                rows.append((file, recording, 0.5 * slice_number, 0.5 * slice_number + 0.2, 1, fold, number, name))
    header = "slice_file_name,fsID,start,end,salience,fold,classID,class"
    write_csv(root / "metadata/UrbanSound8K.csv", header, rows)


def speech_commands(root: Path) -> None:
    """Four words of ten speakers, two takes each; the lists name the takes of a speaker together."""
    lists: dict[str, list[Sequence[str]]] = {"validation_list.txt": [], "testing_list.txt": []}
    for label, word in enumerate(WORDS):
        for speaker in range(10):
            for take in range(2):
                path = f"{word}/{speaker:08x}_nohash_{take}.wav"
                record(root / path, label=label)
                if speaker >= 6:
                    lists["testing_list.txt" if speaker >= 8 else "validation_list.txt"].append((path,))
    for name, rows in lists.items():
        write_csv(root / name, "", rows)
    record(root / "_background_noise_/running_tap.wav", 2.0)
    (root / "LICENSE").write_text("")


def vocalset(root: Path) -> None:
    """Three singers."""
    for singer in ("female1", "female2", "male1"):
        for vowel in "aeiou":
            letter = f"{singer[0]}{singer[-1]}"
            record(root / singer / "arpeggios/belt" / f"{letter}_arpeggios_belt_c_{vowel}.wav")


def fsd50k(root: Path) -> None:
    """Labels with their ancestors; one recording with two unrelated labels."""
    labels = ["Electric_guitar,Guitar,Music"] * 6 + ["Bass_guitar,Guitar,Music"] * 6 + ["Meow,Cat,Animal"] * 6
    rows = [
        (64700 + number, f'"{label}"', '"/m/02sgy"', "val" if number % 6 == 5 else "train")
        for number, label in enumerate([*labels, "Meow,Cat,Animal,Electric_guitar,Guitar,Music", "Guitar,Music"])
    ]
    write_csv(root / "FSD50K.ground_truth/dev.csv", "fname,labels,mids,split", rows)
    test = [(37190 + number, f'"{label}"', '"/m/02sgy"') for number, label in enumerate(labels[::3])]
    write_csv(root / "FSD50K.ground_truth/eval.csv", "fname,labels,mids", test)
    write_csv(root / "FSD50K.ground_truth/vocabulary.csv", "", [(0, "Animal", "/m/0jbk")])
    for file, *_ in rows:
        record(root / f"FSD50K.dev_audio/{file}.wav")
    for file, *_ in test:
        record(root / f"FSD50K.eval_audio/{file}.wav")


def fsdd(root: Path) -> None:
    """Three digits of five speakers."""
    for digit in range(3):
        for speaker in ("george", "jackson", "lucas", "nicolas", "theo"):
            for take in range(2):
                record(root / f"{digit}_{speaker}_{take}.wav", rate=8_000)


def timit(root: Path) -> None:
    """Three speakers with ten sentences, as NIST SPHERE."""
    for place in ("TRAIN/DR1/FCJF0", "TRAIN/DR4/MARC0", "TEST/DR1/FAKS0"):
        for sentence in ("SA1", "SA2", *(f"SI{number}" for number in range(3)), *(f"SX{n}" for n in range(5))):
            record(root / place / f"{sentence}.WAV", format="NIST")
            (root / place / f"{sentence}.TXT").write_text("0 1 She had your dark suit.\n")


def voxceleb1(root: Path) -> None:
    """Two speakers, three videos each, one in each split."""
    rows = []
    for speaker in ("id10001", "id10002"):
        for split in (1, 2, 3):
            for utterance in (1, 2):
                path = f"{speaker}/1zcIwhm{split}eo4/{utterance:05d}.wav"
                record(root / "wav" / path)
                rows.append((split, path))
    write_csv(root / "iden_split.txt", "", rows, separator=" ")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "esc50": esc50,
    "esc10": esc50,
    "urbansound8k": urbansound8k,
    "speech-commands": speech_commands,
    "vocalset": vocalset,
    "fsd50k": fsd50k,
    "fsdd": fsdd,
    "timit-speakers": timit,
    "voxceleb1": voxceleb1,
}
