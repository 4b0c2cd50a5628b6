"""Every command of README and docs is run here, on small stand-ins of what it names, or it is listed with the reason.

Sweeps are run with `--dry-run`: everything that a sweep checks before its first trial, without the hours. The commands
of the tutorial, and those of the README for one's own recordings, are run whole by `test_tutorial.py`.
"""

import importlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datasets.benchmark.clips import Clip
from datasets.benchmark.manifest import ClassEntry, Manifest, SourceEntry, SplitCounts
from datasets.benchmark.protocol import Protocol
from datasets.benchmark.shard_writer import write_shard
from orchestrator.__main__ import COMMANDS
from orchestrator.cluster.session import start_ray
from orchestrator.teach import main as teach
from tests.support.chain_runs import seeds, write_run
from tests.support.documented_commands import ROOT, Command, all_commands, commands_of, own_recordings
from tests.support.published_layouts import fsdd, record

NOT_RUN = {
    r"^make |^\. \.venv|^git clone": "these build the environment and run the tests; `.ci/run` runs `make test`",
    r"^python -m benchmarks\.": "minutes to hours; every benchmark has a test of its own in tests/benchmarks",
    r"^pip install|^docker ": "installs from a registry; the wheel is built and installed by tests/test_package.py",
    r"^(kubectl|sbatch|ssh|ray) ": "needs a cluster; tests/deploy and tests/orchestrator/cluster run stand-ins",
    r"^export RAY_AUTH": "sets the token of a cluster; tests/orchestrator/cluster/test_session.py starts one",
    r"^(jq|tensorboard|optuna-dashboard) ": "programs of others",
    r"^(MLFLOW|WANDB)_|--log ": "trackers: tests/orchestrator/monitoring/test_loggers.py runs them",
    r"s3://|/nfs/|10\.0\.0\.10": "storage or nodes that are not here: tests/orchestrator/tuning",
    r"LibriSpeech/train-clean-100|NSYNTH|FSD_MIX_SED|ESC-50-master|speech_commands_v0": (
        "a corpus that is not here; tests/datasets builds small ones"
    ),
    r"earshot pretrain|trainables\.pretrain": "hours; tests/trainables/pretraining trains for a few steps and packs",
    r"--backbone (MIT/|laion/|microsoft/|owner/|pretrained/|encoder\.py)": "weights of others; test_backbones.py",
    r"--protocol cd-fcac-": "the mix of two whole benchmarks; tests/datasets/benchmark/test_cross_domain.py writes one",
    r"--recipe ": "published recordings and weights of others; tests/recipes runs every recipe on written benchmarks",
    r"mymethod\.py|mycorpus\.py|mypreset\.yaml": "files of docs/extending.md; test_extending.py says who runs them",
    r"--warm-start": "needs an earlier run of the same sweep; tests/orchestrator/tuning/test_warm_start.py makes one",
}
TUTORIAL = {tuple(one.words) for one in (*commands_of(ROOT / "docs" / "tutorial.md"), *own_recordings())}
MAKE = [f"orchestrator.{name}" for name in ("prepare", "export", "teach", "forget")]
CLASSES = 55
SHORT = Protocol(base=2, way=2, shot=3, sessions=3)


def reason(command: Command) -> str | None:
    """Why a command is not run here."""
    if tuple(command.words) in TUTORIAL:
        return "run by test_tutorial.py"
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, command.line)), None)


RUN_HERE = [command for command in all_commands() if reason(command) is None]


def write_benchmark(root: Path) -> None:
    """55 classes of short tones, 10 clips each, the name of the folder in the names of the classes."""
    (root / "shards").mkdir(parents=True)
    time = np.arange(4_800) / 16_000
    clips, classes = [], []
    for label in range(CLASSES):
        random = np.random.default_rng(label)
        for index in range(10):
            wave = 0.2 * np.sin(2 * np.pi * (200 + 40 * label) * time) + 0.01 * random.standard_normal(len(time))
            split = "train" if index < 6 else "val" if index < 8 else "test"
            source = f"{label}-{index}.wav"
            name = f"{root.name} {label}"
            clips.append(Clip(f"{label:02d}-{index}", split, label, name, source, 0, wave.astype(np.float32)))
        classes.append(ClassEntry(label=label, name=name, clips=SplitCounts(train=6, val=2, test=2)))
    Manifest(
        name=root.name,
        corpus="test",
        settings={},
        sample_rate=16_000,
        num_samples=len(time),
        classes=tuple(classes),
        base_classes=30,
        shards=(write_shard(root / "shards" / "00000.parquet", clips, 16_000),),
        source=SourceEntry(fingerprint="-", files=len(clips), rejected=0),
        versions={},
        created="2026-01-01T00:00:00Z",
    ).save(root)


def export(arguments: list[str], where: Path) -> None:
    """Runs the command in a folder."""
    before = Path.cwd()
    os.chdir(where)
    try:
        assert importlib.import_module("orchestrator.export").main(arguments) == 0
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def sandbox(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the commands name: benchmarks, recordings, a finished run, published lists."""
    here = tmp_path_factory.mktemp("docs")
    for name in ("demo", "mine", "ls100", "nsynth100", "fsc89"):
        write_benchmark(here / "data" / name)
    for method in ("mfcc-ncm", "simplecil", "ede"):
        for seed in range(3):
            changes = {"seeds": seeds(seed), "backbone": "random-tiny", "protocol": SHORT}
            write_run(here / "runs", here / "data" / "mine", method, "RUN", **changes)
    for backbone in ("earshot-tiny", "random-tiny"):
        for seed in range(2):
            changes = {"seeds": seeds(seed), "backbone": backbone, "protocol": SHORT}
            write_run(here / "runs", here / "data" / "mine", "simplecil", "encoders", **changes)
    for name in ("FIRST", "SECOND", "first"):
        shutil.copytree(here / "runs" / "RUN", here / "runs" / name)
    for folder in ("recordings", "samples"):
        for label in ("cello", "flute", "oboe"):
            (here / folder / label).mkdir(parents=True)
            for note in sorted((shared / "corpora" / "philharmonia" / label).glob("*.mp3"))[:10]:
                shutil.copy(note, here / folder / label)
    for chapter in sorted((shared / "corpora" / "ravdess-16k").glob("*/*/")):
        place = here / "speech" / chapter.parent.name / chapter.name
        place.mkdir(parents=True)
        for utterance in sorted(chapter.glob("*.flac"))[:30]:
            shutil.copy(utterance, place)
    for emotion in ("angry", "sad"):
        (here / "emotions" / emotion).mkdir(parents=True)
        for speaker in range(5):
            for take in range(2):
                noise = np.random.default_rng(10 * speaker + take).uniform(-0.1, 0.1, 8_000)
                soundfile.write(here / "emotions" / emotion / f"{speaker}_{take}.wav", noise, 16_000)
    fsdd(here / "digits")
    calls = ["file,start,end,species"]
    for number in range(6):
        record(here / "birds" / f"{number}.wav", 3.0)
        calls += [f"{number}.wav,0,1,wren", f"{number}.wav,1.5,2.5,robin"]
    (here / "birds" / "calls.csv").write_text("\n".join(calls))
    for name in ("recording.wav", "other.flac"):
        soundfile.write(here / name, np.random.default_rng(0).uniform(-0.1, 0.1, 16_000), 16_000)
    for name in ("ls100", "nsynth", "fsc89"):
        shutil.copytree(shared / "published" / name, here / "lists" / name)
    export(["RUN", "--out", str(here / "models" / "mine")], here)
    export(["RUN", "simplecil", "--out", str(here / "models" / "field")], here)
    for number, name in enumerate(("cats", "dogs", "owls")):
        (here / name).mkdir()
        for take in range(1, 4):
            noise = np.random.default_rng(10 * number + take).uniform(-0.1, 0.1, 8_000)
            soundfile.write(here / name / f"{take}.wav", noise, 16_000)
    pets = ["--class", "cat", str(here / "cats"), "--class", "dog", str(here / "dogs")]
    assert teach([str(here / "models" / "field"), *pets, "--out", str(here / "models" / "pets")]) == 0
    space = re.findall(r"```yaml\n(methods:.*?)```", (ROOT / "docs" / "tutorial.md").read_text(), flags=re.DOTALL)
    (here / "space.yaml").write_text(space[0])
    protocol = "{name: free, base: 2, way: 2, sessions: 3, shot: 3}"
    (here / "chain.yaml").write_text(f"benchmark: data/mine\nmethod: simplecil\nprotocol: {protocol}\n")
    with start_ray(cpus=2):
        yield here


def test_every_command_is_run_or_has_a_reason() -> None:
    """What is neither can only be a program that nobody has thought of yet."""
    strangers = [str(command) for command in RUN_HERE if command.module is None]
    assert strangers == []
    used = {pattern for pattern in NOT_RUN if any(re.search(pattern, one.line) for one in all_commands())}
    assert set(NOT_RUN) - used == set(), "reasons that no command needs any more"


@pytest.mark.parametrize("command", [one for one in all_commands() if one.module], ids=str)
def test_commands_are_of_modules_that_are_there(command: Command) -> None:
    module = command.module
    assert module is not None
    assert (ROOT / (module.replace(".", "/") + ".py")).is_file()
    others = ["orchestrator.lists", "trainables.pretraining.package_backbone"]
    assert module.startswith("benchmarks.") or module in [name for name, _ in COMMANDS.values()] + others


@pytest.mark.parametrize("command", RUN_HERE, ids=str)
def test_commands_run(command: Command, sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox)
    module, arguments = command.module, command.arguments
    assert module is not None
    if module == "orchestrator.sweep":
        arguments = [*arguments, "--dry-run"]
    if module in MAKE and "--out" in arguments:  # other commands read what is in its place
        arguments[arguments.index("--out") + 1] = f"made/{RUN_HERE.index(command)}"
    status = importlib.import_module(module).main(arguments)
    assert status == (1 if "--fail-on" in arguments and "ls100-published" in arguments else 0)
