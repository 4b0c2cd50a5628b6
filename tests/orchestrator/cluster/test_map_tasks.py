"""Distributing work over Ray tasks: results as they finish, errors as one line."""

import os
import signal
from pathlib import Path

import pytest

from datasets.utils.errors import EarshotError
from orchestrator.cluster.map_tasks import map_tasks
from tests.support.processes import wait_for

ADVICE = "run the same command to resume"

pytestmark = pytest.mark.usefixtures("ray_up")


def add(first: int, second: int, item: int) -> int:
    return first + second + item


def wait_for_file(file: Path, item: str) -> str:
    if item == "blocked":
        wait_for(file.exists, 60)
    return item.upper()


def name_of_task(item: str) -> str:
    import ray

    return str(ray.get_runtime_context().get_task_name())


def fail(kind: str) -> str:
    if kind == "ours":
        raise EarshotError("x.parquet: expected a shard, found none; prepare it again")
    if kind == "foreign":
        raise ValueError("first line\nlast line")
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return kind


def test_every_item_is_processed_with_the_shared_arguments() -> None:
    tasks = list(map_tasks(add, range(5), 100, 10, advice=ADVICE))
    assert {task.item: task.result for task in tasks} == {item: 110 + item for item in range(5)}


def test_a_task_has_the_name_of_its_item() -> None:
    tasks = map_tasks(name_of_task, ["a", "b\n"], advice=ADVICE, name=lambda item: f"unit {item}")
    assert {task.item: task.result for task in tasks} == {"a": "unit a", "b\n": "unit b\\n"}


def test_no_items_give_no_tasks() -> None:
    assert list(map_tasks(add, [], 1, 2, advice=ADVICE)) == []


def test_tasks_are_yielded_in_the_order_in_which_they_end(tmp_path: Path) -> None:
    tasks = map_tasks(wait_for_file, ["blocked", "free"], tmp_path / "file", advice=ADVICE)
    first = next(tasks)
    (tmp_path / "file").touch()
    (second,) = tasks
    assert [(task.item, task.result) for task in (first, second)] == [("free", "FREE"), ("blocked", "BLOCKED")]


def test_items_are_consumed_as_tasks_end() -> None:
    """Two CPUs with two tasks each at most."""
    items = iter(range(10))
    tasks = map_tasks(add, items, 0, 0, advice=ADVICE, per_cpu=2, num_cpus=1)
    finished = [next(tasks).item, next(tasks).item]
    assert list(items) == [6, 7, 8, 9]  # two have ended, four are submitted
    finished += [task.item for task in tasks]
    assert sorted(finished) == [0, 1, 2, 3, 4, 5]


def test_errors_are_one_line_and_do_not_stop_the_other_tasks() -> None:
    kinds = ["ours", "foreign", "killed", "fine"]
    tasks = {task.item: task for task in map_tasks(fail, kinds, advice=ADVICE, max_retries=0)}
    assert tasks["fine"].result == "fine" and tasks["fine"].error is None
    assert str(tasks["ours"].error) == "x.parquet: expected a shard, found none; prepare it again"
    assert str(tasks["foreign"].error) == f"a worker failed: last line; {ADVICE}"
    assert str(tasks["killed"].error).startswith("a worker failed: ")
    assert [kind for kind in kinds if tasks[kind].worker_died] == ["killed"]
    for kind in ("ours", "foreign", "killed"):
        assert "\n" not in str(tasks[kind].error)
        with pytest.raises(EarshotError) as caught:
            tasks[kind].result  # noqa: B018
        assert caught.value is tasks[kind].error
