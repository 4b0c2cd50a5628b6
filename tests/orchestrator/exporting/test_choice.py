"""The trial of a run that is exported."""

from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from orchestrator.exporting.choice import choose_trial
from orchestrator.results.run import Run
from orchestrator.results.run_folder import RunFolder
from tests.support.run_folders import WriteTrial


def test_the_best_by_validation_and_its_first_seed(write_trial: WriteTrial, tmp_path: Path) -> None:
    high, low = [[0.9], [0.8, 0.8]], [[0.5], [0.4, 0.4]]
    write_trial("ede-aaaaaaaa", 0, high, val=low)
    for seed in (10, 2):
        write_trial("ede-bbbbbbbb", seed, low, val=high)
    write_trial("teen-cccccccc", 2, high, val=[[0.6], [0.5, 0.5]])
    folder = RunFolder(tmp_path / "run")
    assert Run.load(folder.path).best("ede").configuration == "ede-bbbbbbbb"
    for name in ("best", "ede", "ede-bbbbbbbb"):
        assert choose_trial(folder, name) == "ede-bbbbbbbb-s2"
    assert choose_trial(folder, "teen") == "teen-cccccccc-s2"
    assert choose_trial(folder, "ede-bbbbbbbb-s10") == "ede-bbbbbbbb-s10"
    assert choose_trial(folder, "te") == "teen-cccccccc-s2"
    with pytest.raises(EarshotError, match=r"trial 'e': expected one with a finished session, found 3 matches"):
        choose_trial(folder, "e")
    with pytest.raises(EarshotError, match=r"found no match; trials: ede-aaaaaaaa-s0, ede-bbbbbbbb-s10"):
        choose_trial(folder, "../../run")
    for name, similar in (("tean", "teen"), ("ede-bbbbbbbb-s20", "ede-bbbbbbbb-s2")):
        with pytest.raises(EarshotError, match=f"found no match; did you mean '{similar}'\\?$"):
            choose_trial(folder, name)


def test_a_seed_by_number_or_by_validation(write_trial: WriteTrial, tmp_path: Path) -> None:
    for seed, validation in ((0, 0.4), (3, 0.8), (10, 0.6)):
        write_trial("ede-bbbbbbbb", seed, [[1 - validation], [0.5, 0.5]], val=[[validation], [0.5, 0.5]])
    write_trial("ede-bbbbbbbb", 11, [[0.9]], val=[[0.95]], planned=2)
    folder = RunFolder(tmp_path / "run")
    for name in ("best", "ede", "ede-bbbbbbbb"):
        assert choose_trial(folder, name) == "ede-bbbbbbbb-s0"
        assert choose_trial(folder, name, "10") == "ede-bbbbbbbb-s10"
        assert choose_trial(folder, name, "best-by-validation") == "ede-bbbbbbbb-s3"
    for name, seed, message in (
        ("ede", "4", "--seed 4: ede-bbbbbbbb has 0, 3, 10, 11; expected one of them or best-by-validation"),
        ("ede-bbbbbbbb-s3", "3", "--seed 3: ede-bbbbbbbb-s3 is one trial with its own seed; leave out --seed"),
        ("ed", "3", "--seed 3: expected a method or a configuration with a finished session before it, found ed"),
    ):
        with pytest.raises(EarshotError) as caught:
            choose_trial(folder, name, seed)
        assert str(caught.value) == message


def test_without_validation_clips_a_method_comes_last_and_ties_go_by_name(
    write_trial: WriteTrial, tmp_path: Path
) -> None:
    write_trial("a-aaaaaaaa", 0, [[0.9]], val=[])
    for method in ("c", "b"):
        write_trial(f"{method}-bbbbbbbb", 0, [[0.1]])
    assert choose_trial(RunFolder(tmp_path / "run"), "best") == "b-bbbbbbbb-s0"


def test_a_run_without_finished_sessions(write_trial: WriteTrial, tmp_path: Path) -> None:
    write_trial("ede-aaaaaaaa", 0, [], planned=2)
    with pytest.raises(EarshotError, match="found no match"):
        choose_trial(RunFolder(tmp_path / "run"), "best")
