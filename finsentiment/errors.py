"""Errors that are the user's to mend, and how a command shows them: one line, no traceback."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable


class InputError(Exception):
    """Something given to the pipeline is wrong.

    The message is one line that says what is wrong, where (file, row, column or parameter), what was
    expected and what to do.
    """


def command(main: Callable[[], None]) -> None:
    """Run a script's `main`, turning what a user can mend into one line on standard error.

    Exits with 1 after an `InputError` or a full disk, with 130 after Ctrl-C. Everything else is a
    defect of this project and keeps its traceback.
    """
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("error: interrupted; the next run goes on from what is complete", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        sys.exit(f"error: the disk is full{where}; nothing was half-written; free some space and run again")
