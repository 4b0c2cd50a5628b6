"""What is published: wheel and sdist have what they need and nothing else, and work outside of the repository."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
NEEDED = (
    "search_spaces/table.yaml",
    "orchestrator/reporting/html/page.html.j2",
    "orchestrator/reporting/html/page.css",
    "orchestrator/reporting/html/page.js",
    "trainables/weights/earshot-tiny/config.json",
    "trainables/weights/earshot-tiny/model.safetensors",
    "trainables/weights/earshot-tiny/made.json",
    "trainables/methods/ede.py",
    "trainables/pretraining/generator/voices.py",
    "datasets/synthesis/voice.py",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds both, from a copy of what git knows: building leaves folders behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_contents(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    assert set(NEEDED) - set(names) == set()
    assert [name for name in names if name.startswith(("tests/", "benchmarks/", "docs/"))] == []
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        packed = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    assert set(NEEDED) - packed == set()
    assert {"README.md", "LICENSE", "pyproject.toml"} <= packed


def test_it_runs_where_there_is_no_repository(built: Path, tmp_path: Path) -> None:
    """In an environment of its own that borrows this one's libraries; nothing is downloaded."""
    venv.create(tmp_path / "venv", with_pip=False)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = tmp_path / "venv" / "lib" / version / "site-packages"
    options = ["--quiet", "--no-deps", "--no-index", "--no-compile", "--target", str(packages)]
    wheel = str(next(built.glob("*.whl")))
    subprocess.run([sys.executable, "-m", "pip", "install", *options, wheel], check=True)
    # the libraries alone: an editable install of the repository would be found by its .pth
    (packages / "borrowed.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    where = tmp_path / "elsewhere"
    where.mkdir()

    def run(*arguments: str) -> str:
        clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [str(tmp_path / "venv" / "bin" / "python"), *arguments]
        done = subprocess.run(command, cwd=where, env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert str(packages) in run("-c", "import orchestrator; print(orchestrator.__file__)")
    run("-m", "orchestrator.prepare", "demo", "--out", "data/demo", "--clips-per-class", "12", "--seconds", "0.5")
    given = ["--method", "simplecil", "--protocol", "ffcac-25", "--seeds", "2", "--name", "one"]
    told = run("-m", "orchestrator.sweep", *given)
    assert "2 trials, 10 sessions computed" in told
    assert (where / "runs" / "one" / "report" / "report.html").is_file()


def test_citation_and_changelog() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    described = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (version,) = re.findall(r'^version = "(.*)"', described, flags=re.MULTILINE)
    assert {"cff-version", "message", "title", "authors"} <= set(cited), "what the Citation File Format 1.2.0 requires"
    assert (cited["version"], cited["license"]) == (version, "Apache-2.0")
    assert all(set(author) & {"name", "family-names"} for one in cited["references"] for author in one["authors"])
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
