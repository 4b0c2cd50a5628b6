"""Executes the page about the library as a script, on written recordings, under a Ray that the script has started."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.documented_commands import ROOT
from tests.support.sounds import write_sounds

PAGE = ROOT / "docs" / "library.md"
BEFORE = f"""
import signal, sys
sys.path.insert(0, {str(ROOT)!r})  # workers do not get this path from the environment
import ray
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, _temp_dir=sys.argv[1])
node = ray.get_runtime_context().get_node_id()
numbers = signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2
handlers = [signal.getsignal(number) for number in numbers]
"""
AFTER = """
assert ray.get_runtime_context().get_node_id() == node, "another Ray"
assert handlers == [signal.getsignal(number) for number in numbers]
assert ray.get(ray.remote(lambda: 1).remote()) == 1
assert set(run.chains["status"]) == {"finished"} and run.chains["test_aa"].notna().all(), run.chains
print("classes of the answers:", answers.names)
"""


def test_the_page_about_the_library(tmp_path: Path) -> None:
    write_sounds(tmp_path)
    shutil.copytree(tmp_path / "recordings" / "bark", tmp_path / "new" / "yelp")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 9
    (tmp_path / "page.py").write_text("\n".join([BEFORE, *blocks, AFTER]))
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory(prefix="er-") as folder:  # paths of Ray's sockets are limited
        command = [sys.executable, "page.py", folder]
        done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "did you mean 'simplecil'?" in done.stdout
    assert "classes of the answers: ['meow', 'bark'" in done.stdout
    assert "AA" in done.stdout and "fecam" in done.stdout
