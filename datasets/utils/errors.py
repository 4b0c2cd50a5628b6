"""Errors that are meant for a person."""


class EarshotError(Exception):
    """Bad input, or a state that the user can fix.

    The message is one line: it names the file or key, what was expected, what was found and what to do. Command
    lines print it without a stack trace and exit with status 2.
    """


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with one line that says what is finished and how to continue."""


def error_line(error: EarshotError | OSError) -> str:
    """What a command line prints for an error: one line, also where the file system refused something."""
    if isinstance(error, OSError):
        return f"error: {error.filename or 'file system'}: {error.strerror or error}"
    return f"error: {error}"


def first_line(error: Exception) -> str:
    """The first line of an exception's message, at most 200 characters; the name of its type if it has no message."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
