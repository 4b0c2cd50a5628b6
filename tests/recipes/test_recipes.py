"""Every recipe: `--dry-run` on a benchmark with the classes of the published one, and the commands that make that."""

import json
import shlex
from pathlib import Path

import pytest

from datasets.benchmark.cross_domain import CROSS_DOMAIN, DOMAINS
from datasets.utils.errors import EarshotError
from orchestrator import prepare, sweep
from orchestrator.__main__ import main
from orchestrator.preparation.pipeline import prepare as write_manifest
from orchestrator.tuning.arguments import parse
from recipes.files import Reported, read_recipe, recipe_file, shipped
from tests.support.published_layouts import esc50
from tests.support.shards_without_ray import write_shards
from tests.support.sized_benchmarks import write_benchmark

RECIPES = shipped()
SECONDS = {"l": 0.2, "n": 0.2, "f": 0.4}  # of a clip; an AST needs 16 frames
NO_DOWNLOAD = ("resnet18",)
"""Backbones; in place of others is `random-tiny`."""
PLANNED = {  # sessions of a chain, trials
    "ede-ls100": (5, 6),
    "mar-fsc89": (10, 6),
    "fcac-ls100": (9, 6),
    "fcac-nsynth100": (10, 6),
    "fcac-fsc89": (7, 6),
    "fciac-ls100": (17, 9),
    "cd-fcac-n2f": (10, 9),
    "esc50-5x10": (5, 20),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of benchmarks, each with the name, the classes and the sample rate of a published one."""
    data = tmp_path_factory.mktemp("data")
    for key, domain in DOMAINS.items():
        for name in domain.names:
            write_benchmark(data / name, domain.classes, domain.base, 44_100 if key == "f" else 16_000, SECONDS[key])
    for protocol, chain in CROSS_DOMAIN.items():
        names = [f"{part.names[0]}/{label}" for part in (chain.first, chain.second) for label in range(part.classes)]
        write_benchmark(data / protocol[-3:], len(names), chain.first.base, 16_000, SECONDS["l"], names)
    esc50(data / "ESC-50-master", [(f"sound {target}", target, False) for target in range(50)])
    options = {"sample_rate": 16_000, "clip_seconds": 0.2}
    write_shards("esc50", data / "ESC-50-master", data / "esc50", options)
    write_manifest("esc50", data / "ESC-50-master", data / "esc50", options)
    return data


@pytest.mark.parametrize("name", RECIPES)
def test_dry_run(name: str, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, settings = read_recipe(RECIPES[name])
    arguments = ["--config", str(RECIPES[name]), "--data", str(data), "--runs", str(tmp_path), "--dry-run", "--json"]
    if settings["backbone"] not in NO_DOWNLOAD:
        arguments += ["--backbone", "random-tiny"]
    assert sweep.main(arguments) == 0
    planned, _ = map(json.loads, capfd.readouterr().out.splitlines())
    methods = planned["methods"]
    assert [method["method"] for method in methods] == list(settings["space"])
    if name in PLANNED:
        trials = sum(method["trials"] for method in methods)
        assert (sum(method["sessions"] for method in methods) // trials, trials) == PLANNED[name]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", RECIPES)
def test_its_commands_make_its_benchmark(name: str) -> None:
    """Every command is one of `earshot prepare` that it accepts; the last one writes what the sweep reads."""
    recipe, settings = read_recipe(RECIPES[name])
    commands = [shlex.split(command) for command in recipe.prepare]
    made = [prepare.parser().parse_args(words[2:]) for words in commands]
    assert all(words[:2] == ["earshot", "prepare"] for words in commands)
    assert str(made[-1].out) == f"data/{settings['benchmark']}"
    read = [str(part) for options in made if options.corpus == "mix" for part in options.of]
    assert set(read) <= {str(options.out) for options in made}
    assert recipe.needs and ("AST" in recipe.needs) == (settings["backbone"] not in NO_DOWNLOAD)


def test_a_missing_benchmark_ends_in_the_commands_that_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", "--recipe", "esc50-5x10"]) == 2
    assert capsys.readouterr().err == (
        "error: benchmark 'esc50': no manifest.json in esc50 nor in data/esc50; make it with: earshot prepare esc50 "
        "--source ESC-50-master --out data/esc50\n"
    )
    assert main(["sweep", "--recipe", "esc50-5x10", "--benchmark", "mine"]) == 2
    assert capsys.readouterr().err.endswith("make it with: earshot prepare CORPUS --source DIR --out data/mine\n")


def test_by_name_and_overridden() -> None:
    config = parse(["--recipe", "mar-fsc89", "--seeds", "2"])
    assert (config.benchmark, config.protocol.name, len(config.seeds)) == ("fsc89", "ffcac-50", 2)
    assert config.model_dump(mode="json") == parse(
        ["--config", str(recipe_file("mar-fsc89")), "--seeds", "2"]
    ).model_dump(mode="json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe: {title: a, paper: b, needs: {}}\n", r"mine\.yaml: recipe: prepare: field required"),
        ("recipe: {titel: a}\n", r"mine\.yaml: recipe: no key 'titel'; did you mean 'title'\?"),
        ("recipe: {title: a, paper: b, needs: {}, prepare: [], reports: good}\n", r"mine\.yaml: recipe: reports"),
        ("recipes: {}\n", r"mine\.yaml: no key 'recipes'"),
        ("space: {ede: 3}\n", r"mine\.yaml: space"),
    ],
)
def test_mistakes_in_a_file(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(EarshotError, match=message):
        parse(["--config", str(path)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "ede-ls10"], "recipe 'ede-ls10': not known; did you mean 'ede-ls100'?"),
        (["--recipe", "ede-ls100", "--config", "x.yaml"], "--recipe: is a configuration itself, so it takes no"),
        (["--recipe", "ede-ls100", "--resume", "latest"], "--resume: uses the configuration of the run, so it takes"),
    ],
)
def test_wrong_options(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_what_a_paper_reports_as_text() -> None:
    assert str(Reported(aa=82.76, pd=12.5, of="three")) == "AA 82.76, PD 12.5 (three)"
    assert str(Reported(aa=50.0, of="one")) == "AA 50 (one)"
