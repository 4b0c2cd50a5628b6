"""Distributes work over Ray tasks and returns results as they finish, errors as one line."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from datasets.utils.errors import EarshotError
from datasets.utils.text import printable
from orchestrator.cluster.session import last_line, worker_options

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class FinishedTask(Generic[Item, Result]):
    """A task that has ended.

    Attributes:
        item: that it processed.
        error: why it failed, in one line; None if it succeeded.
        worker_died: whether its worker process died in every attempt, as native code or the kernel ends processes.
    """

    item: Item
    error: EarshotError | None = None
    worker_died: bool = False
    _result: Result | None = None

    @property
    def result(self) -> Result:
        """What the function returned.

        Raises:
            EarshotError: the task failed.
        """
        if self.error is not None:
            raise self.error
        return self._result  # type: ignore[return-value]


def map_tasks(
    function: Callable[..., Result],
    items: Iterable[Item],
    *arguments: Any,
    advice: str,
    name: Callable[[Item], str] | None = None,
    per_cpu: int | None = None,
    **options: Any,
) -> Iterator[FinishedTask[Item, Result]]:
    """Calls `function(*arguments, item)` in a Ray task for each item; yields tasks in the order in which they end.

    An `EarshotError` that the function raises becomes the task's error as it is. Any other failure becomes an
    `EarshotError` with the last line of Ray's message, followed by `advice`. Ray must have been started.

    Args:
        function: runs in the workers.
        items: consumed as tasks are submitted.
        arguments: the same for all tasks.
        advice: for the user whose worker failed, as "run the same command to resume".
        name: of the task of an item, in Ray's dashboard and in the title of its process (default: the function's).
        per_cpu: how many tasks per CPU of the cluster are submitted at a time (default: all tasks at once). A few keep
            the workers busy; each submitted task takes memory in Ray.
        options: of `ray.remote`, such as `num_cpus`, `num_gpus` and `max_retries`.
    """
    import ray

    options |= worker_options()
    task = ray.remote(**options)(function) if options else ray.remote(function)

    def submit(item: Item) -> Any:
        return (task if name is None else task.options(name=printable(name(item)))).remote(*arguments, item)

    pending = iter(items)
    at_once = None if per_cpu is None else per_cpu * max(1, int(ray.cluster_resources().get("CPU", 1)))
    running = {submit(item): item for item in islice(pending, at_once)}
    while running:
        for reference in ray.wait(list(running))[0]:
            item = running.pop(reference)
            running.update((submit(following), following) for following in islice(pending, 1))
            yield _finished(item, reference, advice)


def _finished(item: Item, reference: Any, advice: str) -> FinishedTask[Item, Any]:
    import ray

    try:
        return FinishedTask(item, _result=ray.get(reference))
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, EarshotError):
            return FinishedTask(item, cause)
        failure = EarshotError(f"a worker failed: {last_line(error)}; {advice}")
        failure.__cause__ = error
        return FinishedTask(item, failure, isinstance(error, ray.exceptions.WorkerCrashedError))
