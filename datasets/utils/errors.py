"""Errors that are reported to the user in one line."""


class EarshotError(Exception):
    """Bad input, or a problem that the user can fix.

    The message is one line: it names the file or key, what was expected, what was found and what to do. Commands
    print it without a traceback and exit with status 2.
    """


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with one line that says what is completed and how to resume."""


def error_line(error: EarshotError | OSError) -> str:
    """The line that a command prints for an error; an `OSError` names its file."""
    if isinstance(error, OSError):
        return f"error: {error.filename or 'file system'}: {error.strerror or error}"
    return f"error: {error}"


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, at most 200 characters; the name of its type if it has no message."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
