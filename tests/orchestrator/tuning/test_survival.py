"""Sweeps survive killed workers, nodes, drivers and clusters, a full disk, and too little memory.

After each, the sweep ends by itself or with `--resume`; no completed session is computed again, the predictions are
the same bytes as those of an undisturbed sweep, and no process and no lease is left.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from ray._private.utils import get_system_memory, get_used_memory

from tests.support.processes import descendants, free_ports, running, wait_for
from tests.support.sweep_processes import (
    command,
    left_over,
    predictions,
    processes_with,
    records,
    resume,
    run,
    stages,
    start,
    wait_for_stages,
)

EPOCHS = 12  # long enough that a sweep does not end before it is disturbed
PROJECTIONS = "methods: {{ranpac: {{base_epochs: 1, projection: {{choice: [100, {}]}}}}}}"
WIDTH = 192  # of the backbone: a projection has so many float32 numbers per feature
HEALTH = {  # a node that died is noticed after a second
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_AUTH_MODE": "disabled",
}


@pytest.fixture(scope="module")
def undisturbed(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The predictions of an undisturbed sweep."""
    runs = tmp_path_factory.mktemp("undisturbed")
    run(command(tones, runs, epochs=EPOCHS))
    assert len(predictions(runs)) == 18
    assert not left_over(runs)
    return predictions(runs)


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """The folder of runs; also the mark of the processes, none of which may be left."""
    yield tmp_path / "runs"
    wait_for(lambda: not processes_with(tmp_path / "runs"), 20)


def busy_workers(driver: int) -> list[int]:
    """Workers that are computing a session: the titles of their processes say so."""
    workers = []
    for process in descendants(driver):
        with suppress(OSError):
            if re.match(r"ray::\S+ session \d", Path(f"/proc/{process}/cmdline").read_text()):
                workers.append(process)
    return workers


def check_finishes(arguments: list[str], runs: Path, expected: dict[str, str], before: dict[str, int]) -> None:
    """The command finishes the sweep with the expected predictions, without computing the stages in `before` again."""
    printed = run(arguments)
    assert "6 trials" in printed
    assert {address: stages(runs)[address] for address in before} == before
    assert predictions(runs) == expected
    assert not left_over(runs)


def test_a_killed_worker_is_replaced(tones: Path, runs: Path, undisturbed: dict[str, str]) -> None:
    driver = start(command(tones, runs, epochs=EPOCHS), runs)
    wait_for_stages(driver, runs, 3)
    worker = wait_for(lambda: busy_workers(driver.pid), 60)[0]
    before = stages(runs)
    os.kill(worker, signal.SIGKILL)
    output, _ = driver.communicate(timeout=240)
    assert driver.returncode == 0, output
    assert "its worker died; attempt 2 of 4" in output and "Traceback" not in output
    assert {address: stages(runs)[address] for address in before} == before
    assert predictions(runs) == undisturbed
    assert not left_over(runs)


def test_a_killed_driver(tones: Path, runs: Path, undisturbed: dict[str, str]) -> None:
    driver = start(command(tones, runs, epochs=EPOCHS), runs)
    wait_for_stages(driver, runs, 4)
    driver.kill()
    driver.wait()
    wait_for(lambda: not processes_with(runs), 20)  # neither Ray's nor the trials'
    assert not list((runs.parent / "temporary").glob("*wandb*"))
    check_finishes(resume(runs), runs, undisturbed, stages(runs))
    assert not list(Path(os.environ["EARSHOT_RAY_TMP"]).glob("ear-ray-*/r"))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_sweep(
    number: signal.Signals, status: int, tones: Path, runs: Path, undisturbed: dict[str, str]
) -> None:
    driver = start(command(tones, runs, epochs=EPOCHS), runs)
    wait_for_stages(driver, runs, 3)
    driver.send_signal(number)
    output, _ = driver.communicate(timeout=60)
    assert driver.returncode == status, output
    assert f"interrupted; completed sessions are saved. Resume with earshot sweep --resume {runs / 'run'}" in output
    assert "Traceback" not in output and "received at time" not in output  # the latter by the C++ code of Ray
    check_finishes(resume(runs), runs, undisturbed, stages(runs))


@pytest.mark.slow
def test_rays_own_processes_die(tones: Path, runs: Path, undisturbed: dict[str, str]) -> None:
    """The raylet ends with its agent."""
    driver = start(command(tones, runs, epochs=EPOCHS), runs)
    wait_for_stages(driver, runs, 3)
    before = stages(runs)
    (agent,) = [it for it in descendants(driver.pid) if b"DashboardAgent" in Path(f"/proc/{it}/cmdline").read_bytes()]
    os.kill(agent, signal.SIGKILL)
    output, _ = driver.communicate(timeout=60)
    assert driver.returncode == 2, output
    (line,) = [line for line in output.splitlines() if "raylet" in line]
    assert line.startswith("error: Ray: its process raylet ")
    assert line.endswith(f"; completed work is saved. Resume with earshot sweep --resume {runs / 'run'}")
    assert "Traceback" not in output
    wait_for(lambda: not processes_with(runs), 20)
    assert not list((runs.parent / "temporary").glob("*wandb*"))
    check_finishes(resume(runs), runs, undisturbed, before)


@pytest.mark.slow
def test_a_budget_that_is_used_up(tones: Path, runs: Path, undisturbed: dict[str, str]) -> None:
    printed = run(command(tones, runs, "--budget", "1s", epochs=EPOCHS), expect=3)
    assert f"the budget of 1 s is used up; resume with: earshot sweep --resume {runs / 'run'}" in printed
    assert {record.status for record in records(runs)} <= {"stopped", "finished"}
    check_finishes(resume(runs), runs, undisturbed, stages(runs))


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system, which needs root")
def test_a_full_disk(tones: Path, tmp_path: Path, undisturbed: dict[str, str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mounts a small file system, which is not allowed here: {mounted.stderr.decode().strip()}")
    try:
        runs = disk / "runs"
        driver = start(command(tones, runs, epochs=EPOCHS), tmp_path)
        printed, _ = driver.communicate(timeout=240)
        assert driver.returncode in (1, 2), printed  # 2 where there was no room for the report either
        assert "No space left on device" in printed and f"--resume {runs / 'run'}" in printed
        assert "Traceback" not in printed
        before = stages(runs)
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        check_finishes(resume(runs), runs, undisturbed, before)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
def test_a_trial_that_takes_too_much_memory(tones: Path, runs: Path) -> None:
    arguments = command(tones, runs, "--memory-per-trial", "1.5GB", "--seeds", "1", space=PROJECTIONS.format(9_000_000))
    printed = run(arguments, expect=1)
    assert "more than --memory-per-trial 1.50 GB allows" in printed and "2 trials" in printed
    assert {r.settings["projection"]: r.status for r in records(runs)} == {100: "finished", 9_000_000: "failed"}
    assert not left_over(runs) and not list(runs.rglob("exceeded.json"))


@pytest.mark.slow
def test_rays_memory_monitor_kills_a_worker(tones: Path, runs: Path) -> None:
    """`Tuner.fit()` raises then. The sweep starts again, gives the trial up after four kills, and finishes the other.

    The limit leaves room for half of the free memory, so that other processes do not reach it; the trial would fill
    nearly all memory of the machine.
    """
    total, used = get_system_memory(), get_used_memory()
    projection = int(0.95 * total) // (4 * WIDTH)
    arguments = command(tones, runs, "--workers", "1", "--seeds", "1", space=PROJECTIONS.format(projection))
    limit = {"RAY_memory_usage_threshold": str((used + total) / 2 / total), "RAY_memory_monitor_refresh_ms": "50"}
    driver = start(arguments, runs, **limit)
    output, _ = driver.communicate(timeout=550)
    assert driver.returncode == 1, output
    finished, failed = sorted(records(runs), key=lambda record: record.settings["projection"])
    assert (finished.status, len(finished.sessions)) == ("finished", 3)
    assert (failed.status, failed.error) == (
        "failed",
        "its node ran out of memory 4 times while it ran; lower --workers",
    )
    assert output.count(f"restarted a node ran out of memory, Ray ended {failed.trial};") == 4
    assert "Traceback" not in output
    assert not left_over(runs)


@pytest.fixture
def cluster(runs: Path) -> Iterator[tuple[str, dict[str, "subprocess.Popen[bytes]"]]]:
    """A head without room for trials and two nodes with room for one each: the address, and processes by name."""
    with tempfile.TemporaryDirectory(prefix="er-", ignore_cleanup_errors=True) as folder:
        environment = {**os.environ, **HEALTH, "EARSHOT_TEST_MARK": str(runs), "PYTHONUNBUFFERED": "1"}
        port, *ports = free_ports(6)
        common = "--block --disable-usage-stats --node-ip-address 127.0.0.1"
        commands = {
            "head": f"--head --port {port} --num-cpus 0 --include-dashboard false --temp-dir {folder}/r",
            "one": f"--address 127.0.0.1:{port} --num-cpus 1",
            "two": f"--address 127.0.0.1:{port} --num-cpus 1",
        }
        nodes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for (name, options), agent in zip(commands.items(), ports, strict=False):
                log = Path(folder) / name
                arguments = ["-m", "ray.scripts.scripts", "start", *f"{common} {options}".split()]
                nodes[name] = subprocess.Popen(
                    [sys.executable, *arguments, "--dashboard-agent-listen-port", str(agent)],
                    env=environment,
                    stdout=log.open("wb"),
                    stderr=subprocess.STDOUT,
                )
                wait_for(partial(_is_up, nodes[name], log), 60)
            yield f"127.0.0.1:{port}", nodes
        finally:
            for node in nodes.values():
                power_off(node)


def _is_up(node: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert node.poll() is None, log.read_text()
    return "Ray runtime started" in log.read_text()


def power_off(node: "subprocess.Popen[bytes]") -> None:
    """Kills all processes of a node at once."""
    family = [node.pid, *descendants(node.pid)]
    for process in family:
        if running([process]):
            os.kill(process, signal.SIGKILL)
    node.wait()


@pytest.mark.slow
def test_a_killed_node_and_then_the_whole_cluster(
    tones: Path, runs: Path, undisturbed: dict[str, str], cluster: tuple[str, dict[str, "subprocess.Popen[bytes]"]]
) -> None:
    address, nodes = cluster
    driver = start(command(tones, runs, "--address", address, epochs=EPOCHS), runs, **HEALTH)
    wait_for_stages(driver, runs, 3)
    before = stages(runs)
    power_off(nodes["two"])
    wait_for_stages(driver, runs, len(before) + 4)  # the other node continues
    before = stages(runs)
    for name in ("one", "head"):
        power_off(nodes[name])
    output, _ = driver.communicate(timeout=120)
    assert driver.returncode == 2, output
    assert "Traceback" not in output and output.endswith(f"--resume {runs / 'run'} --address {address}\n")
    wait_for(lambda: not processes_with(runs), 20)
    check_finishes(resume(runs, "--address", "local"), runs, undisturbed, before)
