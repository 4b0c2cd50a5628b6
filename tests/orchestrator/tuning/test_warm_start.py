"""Warm starts: which configurations of earlier runs are used, and which are rejected and why."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from datasets.benchmark.manifest import Manifest
from datasets.utils.errors import EarshotError
from orchestrator.results.objectives import OBJECTIVES
from orchestrator.tuning.arguments import parse
from orchestrator.tuning.warm_start import EarlierConfiguration, WarmStart, find_earlier_run, warm_start
from search_spaces.loader import MethodSpace
from tests.support.run_folders import WriteTrial
from trainables.methods.registry import find_method
from trainables.records import SeedTriple, TrialRecord

SPACE = MethodSpace("ede", {"base_epochs": 3}, {"incremental_lr": FloatDistribution(1e-3, 1e-1, log=True)})
SEEDS = tuple(SeedTriple(order=n, support=n, initialisation=n) for n in range(2))
AA, PD, PARAMETERS = (OBJECTIVES[name] for name in ("aa", "pd", "parameters"))
WHAT: dict[str, Any] = {
    "benchmark": "f" * 64,
    "protocol": {"name": "free", "way": 2, "exemplars": None},
    "frontend": {"kind": "kaldi", "window": None, "hop": None},
    "precision": "float32",
}
HIGH = [[1.0], [1.0, 1.0]]
Write = Callable[..., TrialRecord]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of the earlier run, with the record of its sweep."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "sweep.json").write_text(json.dumps({"what": {**WHAT, "search": "random"}, "where": {}}))
    return tmp_path / "run"


@pytest.fixture
def write(run: Path, write_trial: WriteTrial) -> Write:
    """Writes a chain to that run, with the given accuracies on validation clips and 1 on test clips."""

    def chain(name: str, seed: int, accuracies: tuple[float, ...], planned: int = 2, **settings: Any) -> TrialRecord:
        method = find_method(name.rpartition("-")[0])
        complete = method.Settings.model_validate(settings).model_dump(mode="json")
        val = [[value] * (t + 1) for t, value in enumerate(accuracies)]
        return write_trial(name, seed, [[1.0] * len(row) for row in val], val=val, planned=planned, settings=complete)

    return chain


def start_from(
    run: Path, space: MethodSpace = SPACE, *objectives: Any, backbone: str = "tiny", **changes: Any
) -> WarmStart:
    return warm_start([run], [(space, backbone)], objectives or [AA], SEEDS, {**WHAT, **changes})


def test_a_run_on_a_copy_of_the_benchmark_is_accepted(run: Path, write_trial: WriteTrial, tones: Path) -> None:
    """Prepared in another laboratory: other files, the same clips."""
    benchmark = Manifest.load(tones)
    settings = find_method("ede").Settings(base_epochs=3, incremental_lr=0.01).model_dump(mode="json")
    for seed in range(2):
        write_trial("ede-00000001", seed, HIGH, settings=settings, benchmark_content=benchmark.content_digest)
    here = {**WHAT, "benchmark": benchmark.fingerprint}
    pairs = [(SPACE, "tiny")]
    assert warm_start([run], pairs, [AA], SEEDS, here, benchmark).of("ede", "tiny")
    with pytest.raises(EarshotError, match="benchmark: expected that of this sweep, found another"):
        warm_start([run], pairs, [AA], SEEDS, here)


def test_values_are_validation_means_over_the_seeds_of_the_sweep(run: Path, write: Write) -> None:
    for seed, last in ((0, 0.5), (1, 0.7), (2, 0.1)):  # the sweep does not have the third seed
        write("ede-0000000a", seed, (0.9, last), base_epochs=3, incremental_lr=0.01)
    (known,) = start_from(run, SPACE, AA, PD, PARAMETERS).of("ede", "tiny")
    assert known.chosen == {"incremental_lr": 0.01}
    assert known.values == pytest.approx((0.75, 0.3, 1000))


def test_unsuitable_configurations_are_left_out(run: Path, write: Write) -> None:
    fitting = {"base_epochs": 3, "incremental_lr": 0.01}
    for seed in (0, 1):
        write("ede-0000000a", seed, (0.5, 0.5), **fitting)
        write("ede-0000000b", seed, (0.5, 0.5), **{**fitting, "incremental_lr": 0.5})  # outside the range
        write("ede-0000000c", seed, (0.5, 0.5), **{**fitting, "base_epochs": 4})  # another fixed setting
        write("ede-0000000d", seed, (0.5, 0.5), **fitting, base_lr=0.5)  # a default that was changed
        write("icarl-0000000e", seed, (0.5, 0.5))  # another method
    write("ede-0000000f", 0, (0.5, 0.5), **{**fitting, "incremental_lr": 0.02})  # one seed only
    write("ede-00000010", 0, (0.5, 0.5), **{**fitting, "incremental_lr": 0.03})
    write("ede-00000010", 1, (0.5,), **{**fitting, "incremental_lr": 0.03})  # unfinished
    assert start_from(run).known == {("ede", "tiny"): (EarlierConfiguration({"incremental_lr": 0.01}, (0.5,)),)}


def test_categorical_and_integer_settings(run: Path, write: Write) -> None:
    space = MethodSpace(
        "ede", {}, {"base_epochs": IntDistribution(1, 9), "base_lr": CategoricalDistribution([0.1, 0.01])}
    )
    for seed in (0, 1):
        write("ede-0000000a", seed, (0.5, 0.5), base_epochs=5, base_lr=0.01)
        write("ede-0000000b", seed, (0.5, 0.5), base_epochs=5, base_lr=0.02)
    (known,) = start_from(run, space).of("ede", "tiny")
    assert known.chosen == {"base_epochs": 5, "base_lr": 0.01}


def test_the_first_of_several_runs_is_used_and_the_result_is_json(run: Path, write: Write, tmp_path: Path) -> None:
    for seed in (0, 1):
        write("ede-0000000a", seed, (0.5, 0.5), base_epochs=3, incremental_lr=0.02)
        write("ede-0000000b", seed, (0.6, 0.6), base_epochs=3, incremental_lr=0.01)
    described = warm_start([run, run], [(SPACE, "tiny")], [AA], SEEDS, WHAT).described()
    assert described == [
        {"method": "ede", "settings": {"incremental_lr": 0.02}, "values": [0.5]},
        {"method": "ede", "settings": {"incremental_lr": 0.01}, "values": [0.6]},
    ]
    assert json.loads(json.dumps(described)) == described
    assert WarmStart().described() == [] and WarmStart().of("ede", "tiny") == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("benchmark", "e" * 64),
        ("protocol", {"name": "free", "way": 5, "exemplars": None}),
        ("backbone", "random-base"),
        ("backbone", "tiny@layer=1"),
    ],
)
def test_a_run_whose_values_are_not_comparable_is_rejected(run: Path, write: Write, key: str, value: Any) -> None:
    write("ede-0000000a", 0, (0.5, 0.5), base_epochs=3, incremental_lr=0.01)
    with pytest.raises(EarshotError, match=f"--warm-start .*run: {key}: expected that of this sweep, found another"):
        start_from(run, **{key: value})


def test_results_of_each_backbone_start_the_search_on_it(run: Path, write: Write) -> None:
    for seed in (0, 1):
        write("ede-0000000a", seed, (0.5, 0.5), base_epochs=3, incremental_lr=0.02)
        record = write("ede-0000000b", seed, (0.6, 0.6), base_epochs=3, incremental_lr=0.01)
        record.model_copy(update={"backbone": "other"}).save(run / "trials" / record.trial)
    known = warm_start([run], [(SPACE, "tiny"), (SPACE, "other"), (SPACE, "third")], [AA], SEEDS, WHAT)
    assert [one.chosen["incremental_lr"] for one in known.of("ede", "tiny")] == [0.02]
    assert [one.chosen["incremental_lr"] for one in known.of("ede", "other")] == [0.01]
    assert known.of("ede", "third") == () and {row["backbone"] for row in known.described()} == {"tiny", "other"}


def test_a_run_without_suitable_configurations_is_rejected(run: Path, write: Write) -> None:
    write("ede-0000000a", 0, (0.5, 0.5), base_epochs=3, incremental_lr=0.01)
    with pytest.raises(
        EarshotError, match="space of ede with finished chains for the seeds s0, s1, found none among 1"
    ):
        start_from(run)
    with pytest.raises(EarshotError, match="search space of any method with"):  # nothing varies, nothing is searched
        start_from(run, MethodSpace("ede", {"base_epochs": 3, "incremental_lr": 0.01}))


def test_a_run_is_found_by_its_path_or_by_its_name_in_the_folder_of_runs(
    run: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("ede-0000000a", 0, (0.5, 0.5))
    assert find_earlier_run("run", tmp_path) == find_earlier_run(str(run), Path("elsewhere")) == run
    monkeypatch.chdir(tmp_path)
    config = parse(["--warm-start", "run", "--runs", str(tmp_path)])
    assert [find_earlier_run(name, config.runs) for name in config.warm_start] == [run]
    (tmp_path / "runs").mkdir()
    with pytest.raises(EarshotError, match=r"--warm-start runn: expected a run folder of a sweep, .* in runs/"):
        find_earlier_run("runn", parse([]).runs)


def test_a_folder_without_the_record_of_a_sweep_is_rejected(run: Path, write: Write) -> None:
    write("ede-0000000a", 0, (0.5, 0.5))
    (run / "sweep.json").unlink()
    with pytest.raises(EarshotError, match=r"expected the record of a sweep in sweep\.json"):
        start_from(run)
