"""One thin script per node of the DAG: read, call the library, write. Run by `dvc repro`."""

import sys

from finsentiment.errors import report_interrupt

sys.excepthook = report_interrupt
