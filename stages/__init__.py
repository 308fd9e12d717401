"""One thin script per node of the DAG: read, call the library, write. Run by `dvc repro`."""

import sys

from finsentiment.errors import quiet_interrupt

sys.excepthook = quiet_interrupt
