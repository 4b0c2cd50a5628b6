"""What is published: wheel and sdist have what they need and nothing else, and work outside of the repository."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
NEEDED = (
    "search_spaces/table.yaml",
    "recipes/ede-ls100.yaml",
    "datasets/corpora/presets/esc50.yaml",
    "orchestrator/reporting/html/page.html.j2",
    "orchestrator/reporting/html/page.css",
    "orchestrator/reporting/html/scripts/start.js",
    "orchestrator/reporting/html/sections/leaderboard.html.j2",
    "orchestrator/reporting/html/sections/leaderboard.js",
    "trainables/weights/earshot-tiny/config.json",
    "trainables/weights/earshot-tiny/model.safetensors",
    "trainables/weights/earshot-tiny/made.json",
    "trainables/methods/ede.py",
    "trainables/pretraining/generator/voices.py",
    "datasets/synthesis/voice.py",
)
HUGGING_FACE = "datasets"
"""The library of Hugging Face, as its registry calls it."""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git knows: building leaves folders behind."""
    source = tmp_path_factory.mktemp("source")
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    return source


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds both."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the wheel."""
    return new_environment(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture(scope="module")
def installed(built: Path, environment: Path) -> Path:
    """The same with the wheel in it."""
    wheel = str(next(built.glob("*.whl")))
    pip(environment, "--no-deps", "--no-index", "--force-reinstall", wheel)
    return environment


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Runs a program of the environment with the wheel."""
    return runner(installed, tmp_path)


def new_environment(folder: Path) -> Path:
    """An environment of its own that borrows this one's libraries, but not its editable install of the repository."""
    venv.create(folder, with_pip=False)
    (packages_of(folder) / "borrowed.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    return folder


def runner(environment: Path, folder: Path) -> Run:
    """Runs programs of an environment, in a folder that has nothing to do with the repository."""
    outside = folder / "outside"
    outside.mkdir()

    def run(program: str, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [str(environment / "bin" / program), *arguments]
        done = subprocess.run(command, cwd=outside, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


def packages_of(environment: Path) -> Path:
    """Its site-packages."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return environment / "lib" / version / "site-packages"


def pip(environment: Path, *arguments: str) -> None:
    """Runs `pip install` for the environment."""
    command = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--quiet"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_contents(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert {f"earshot/packages/{name}" for name in NEEDED} - set(names) == set()
    assert {"earshot/py.typed", "earshot/model.py"} <= set(names)
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"earshot"}, "no other distribution's folder"
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        packed = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    assert set(NEEDED) - packed == set()
    assert {"README.md", "LICENSE", "pyproject.toml", "setup.py"} <= packed


def test_it_runs_where_there_is_no_repository(installed: Path, run: Run) -> None:
    where = run(
        "python", "-c", "import earshot, orchestrator, datasets; print(orchestrator.__file__, datasets.__file__)"
    )
    assert where.stdout.split() == [
        str(packages_of(installed) / "earshot" / "packages" / name / "__init__.py")
        for name in ("orchestrator", "datasets")
    ]
    run("earshot", "prepare", "demo", "--out", "data/demo", "--clips-per-class", "12", "--seconds", "0.5")
    arguments = ["--method", "simplecil", "--protocol", "ffcac-25", "--seeds", "2", "--name", "one"]
    output = run("python", "-m", "earshot", "sweep", *arguments).stdout
    assert "2 trials, 10 sessions computed" in output
    assert Path(next(line for line in output.splitlines() if line.startswith("report: "))[8:]).name == "report.html"


def test_an_editable_install_works_outside_of_its_checkout(source: Path, tmp_path: Path) -> None:
    """Even where another package called `datasets` is installed."""
    environment = new_environment(tmp_path / "venv")
    pip(environment, "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(source))
    (packages_of(environment) / "datasets").mkdir()
    (packages_of(environment) / "datasets" / "__init__.py").touch()
    run = runner(environment, tmp_path)
    where = run("python", "-c", "import earshot, orchestrator, datasets; print(datasets.__file__)").stdout.strip()
    assert where == str(source / "datasets" / "__init__.py")
    run("earshot", "prepare", "demo", "--out", "data/demo", "--clips-per-class", "12", "--seconds", "0.5")
    output = run("python", "-m", "earshot", "audit", "data/demo").stdout
    assert output.startswith("demo: 25 classes, 300 clips of 0.5 s")


@pytest.mark.slow
def test_beside_the_library_of_hugging_face(installed: Path, run: Run) -> None:
    """Both in one environment: neither loses a file, and each works in a process of its own."""
    packages = packages_of(installed)
    wheel_files = {path: path.read_bytes() for path in (packages / "earshot").rglob("*.py")}
    try:
        pip(installed, HUGGING_FACE)
    except AssertionError as error:
        if "Could not find a version" in str(error) or "Temporary failure in name resolution" in str(error):
            pytest.skip(f"needs a package registry that has '{HUGGING_FACE}': {str(error)[-200:]}")
        raise
    assert {path: path.read_bytes() for path in wheel_files} == wheel_files
    theirs = "import datasets; print(len(datasets.Dataset.from_dict({'a': [1, 2, 3]})), datasets.__file__)"
    count, file = run("python", "-c", theirs).stdout.split()
    assert (count, Path(file)) == ("3", packages / "datasets" / "__init__.py")
    run("earshot", "prepare", "demo", "--out", "data/demo", "--clips-per-class", "12", "--seconds", "0.5")
    output = run("earshot", "sweep", "--method", "simplecil", "--seeds", "2", "--name", "beside").stdout
    assert "2 trials, 10 sessions computed" in output
    run("python", "-c", f"{theirs}\nimport transformers; from transformers import ASTModel")
    mixed = run("python", "-c", "import datasets, earshot", status=1).stderr.splitlines()[-1]
    assert mixed.startswith("ImportError: earshot: this process has already imported another package called 'datasets'")


def test_citation_and_changelog() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    described = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (version,) = re.findall(r'^version = "(.*)"', described, flags=re.MULTILINE)
    assert {"cff-version", "message", "title", "authors"} <= set(cited), "what the Citation File Format 1.2.0 requires"
    assert (cited["version"], cited["license"]) == (version, "Apache-2.0")
    assert all(set(author) & {"name", "family-names"} for one in cited["references"] for author in one["authors"])
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
