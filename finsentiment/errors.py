"""Errors that are the user's to mend, and how a script shows them: one line, no traceback."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

INTERRUPTED = "error: interrupted; the next run goes on from what is complete"


class InputError(Exception):
    """Something given to the pipeline is wrong.

    The message is one line that says what is wrong, where (file, row, column or parameter), what was
    expected and what to do.

    remedy : parameters that would mend it, by name, where they are known; what is None can't be told from the file.
        `finsentiment check` tries them
    """

    def __init__(self, message: str, remedy: Mapping[str, Any] | None = None) -> None:
        one_line = " ".join(message.splitlines())  # a value that it shows may hold line breaks
        super().__init__("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in one_line))
        self.remedy = dict(remedy or {})


def run_main(main: Callable[[], None]) -> None:
    """Run a script's `main`, turning what a user can mend into one line on standard error.

    Exits with 1 after an `InputError` or a full disk, with 130 after Ctrl-C. Everything else is a
    defect of this project and keeps its traceback.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a kill cleans up as Ctrl-C does
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # whoever read the output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        where = f" while writing {error.filename}" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sys.exit(f"error: the disk is full{where}; nothing was half-written; free some space and run again")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            sys.exit(f"error: {error.strerror}{where}; make that place writable and run again")
        raise


def report_interrupt(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """For `sys.excepthook`: Ctrl-C while a script still imports its libraries is one line too."""
    if issubclass(kind, KeyboardInterrupt):
        print(INTERRUPTED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
