"""Errors that are meant for a person."""


class EarshotError(Exception):
    """Bad input or a state that the user can mend.

    The message is one line: it names the file or key, what was expected, what was found and what to do. Command
    lines print it without a stack trace and exit with status 2.
    """


def told(error: EarshotError | OSError) -> str:
    """What a command line says of an error: one line, also where the file system refused something."""
    if isinstance(error, OSError):
        return f"error: {error.filename or 'file system'}: {error.strerror or error}"
    return f"error: {error}"
