"""One thin script per node of the DAG: read, call the library, write. Run by `dvc repro`."""
