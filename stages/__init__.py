"""One thin script per node of the DAG: read, call the library, write. Run by `dvc repro`."""

import logging
import sys

from finsentiment.errors import report_interrupt

sys.excepthook = report_interrupt
# It looks for kernels on the model hub as soon as it is imported, and warns of every processor that could use them.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
