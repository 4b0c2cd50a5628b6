"""What `ray job submit --working-dir .` uploads, by Ray's own packaging code."""

import shutil
import zipfile
from pathlib import Path

from ray._private.ray_constants import get_runtime_env_default_excludes
from ray._private.runtime_env.packaging import create_package

ROOT = Path(__file__).parents[3]
"""Of the repository."""
OUTPUTS = (  # written by the examples of README.md and docs/
    "recordings/bell/1.wav",
    "data/mine/shards/00000.parquet",
    "models/mine/weights.safetensors",
    "pretrained/mine/model.safetensors",
    "runs/run/trials/a/session-0.parquet",
    "audit/clips.csv",
    "bench/notes.json",
    "speech/1.flac",
    "mine/nested/take.mp3",
)


def test_recordings_and_results_are_not_uploaded(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "trainables" / "weights", checkout / "trainables" / "weights")
    for name in (".gitignore", ".rayignore"):
        shutil.copy(ROOT / name, checkout / name)
    for name in OUTPUTS:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_bytes(b"x")
    for name in ("sweep.yaml", "spaces/mine.yaml", "orchestrator/sweep.py"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("x")
    package = tmp_path / "package.zip"
    create_package(str(checkout), package, include_gitignore=True, excludes=get_runtime_env_default_excludes())
    names = {name for name in zipfile.ZipFile(package).namelist() if not name.endswith("/")}
    weights = {str(path.relative_to(ROOT)) for path in (ROOT / "trainables" / "weights").rglob("*") if path.is_file()}
    assert names == weights | {".gitignore", ".rayignore", "sweep.yaml", "spaces/mine.yaml", "orchestrator/sweep.py"}
