"""What another thread sees between two steps of a function, without threads."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any


@contextmanager
def between_steps(code: CodeType, action: Callable[[], object]) -> Iterator[None]:
    """Inside of the block, calls `action` before every instruction of the interpreter that a function executes.

    Args:
        code: of the function.
        action: what the other thread does.
    """

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code is not code:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            action()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
