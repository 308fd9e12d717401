"""Write requirements.txt: every package of every extra in pyproject.toml but torch, with the hashes of its files.

Run it by `make freeze`, or as `python -m scripts.freeze` with any Python that pyproject.toml allows and a new pip.
Versions that requirements.txt has stay, unless `--upgrade` is given. The files are those for CPython 3.11 to 3.13 on
Linux (x86_64, aarch64) and macOS (arm64). pip resolves for its own Python and system alone: where another one needs
one package more, `pip check` says so, which the workflow runs on each.

torch has a file of its own, requirements-torch.txt, without a hash: which build of it fits depends on the machine.
To change its version, edit that file.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.txt"
TORCH = ROOT / "requirements-torch.txt"
HEADER = f"# Written by make freeze from pyproject.toml, with all extras. torch is in {TORCH.name}.\n"
PYTHONS = ("3.11", "3.12", "3.13")
# The oldest systems that every package has a file for. pip on a newer one takes the same files: it skips those whose
# hash is not in the lock.
SYSTEMS = (
    [*(f"manylinux_2_{glibc}_x86_64" for glibc in range(28, 4, -1)), "manylinux2014_x86_64"],
    [*(f"manylinux_2_{glibc}_aarch64" for glibc in range(35, 4, -1)), "manylinux2014_aarch64"],
    ["macosx_14_0_arm64"],
)
# torch, and what its build for GPUs brings by itself.
OF_TORCH = re.compile(r"torch|triton|nvidia-.*|cuda-.*", re.IGNORECASE)


def main() -> None:
    """Resolve once, then ask for the files of each Python and system."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--upgrade", action="store_true", help="take the newest versions, not those of requirements.txt"
    )
    kept = "" if parser.parse_args().upgrade or not LOCK.exists() else LOCK.read_text()
    versions = re.findall(r"^[\w.-]+==[\w.]+", kept + TORCH.read_text(), re.MULTILINE)

    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(versions))
        print("versions", flush=True)
        resolved = files([f"{ROOT}[all]"], "--constraint", str(constraints))
        packages = {pin: file for pin, file in resolved.items() if not OF_TORCH.fullmatch(pin.partition("==")[0])}
        # Source, and a wheel for any Python 3 on any system, is the same file everywhere.
        bound = [pin for pin, file in packages.items() if re.search(r"(?<!py3-none-any)\.whl$", file["url"])]
        hashes = {pin: set() if pin in bound else {sha256(file)} for pin, file in packages.items()}
        for python in PYTHONS:
            for system in SYSTEMS:
                print(f"files for Python {python}, {system[0]}", flush=True)
                # pip wants a target for a system that isn't its own; a dry run writes nothing there.
                where = ["--target", folder, "--implementation", "cp", "--python-version", python]
                tags = [word for tag in system for word in ("--platform", tag)]
                for pin, file in files(bound, "--no-deps", *where, *tags).items():
                    hashes[pin].add(sha256(file))

    lines = [
        " \\\n    ".join([pin, *(f"--hash=sha256:{digest}" for digest in sorted(hashes[pin]))])
        for pin in sorted(hashes, key=str.lower)
    ]
    LOCK.write_text(HEADER + "\n".join(lines) + "\n")
    print(f"{LOCK.name}: {len(hashes)} packages, {sum(map(len, hashes.values()))} files")


def files(requirements: list[str], *options: str) -> dict[str, dict[str, Any]]:
    """By `name==version`, the file that pip would install for each package."""
    with tempfile.NamedTemporaryFile() as report:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--report", report.name]
        done = subprocess.run([*command, *options, *requirements], capture_output=True, text=True)
        if done.returncode:
            print(done.stderr, *done.stdout.splitlines()[-12:], sep="\n", file=sys.stderr)
            sys.exit("error: pip can't resolve pyproject.toml with these versions (its reason is above); see --upgrade")
        found = [item for item in json.load(report)["install"] if "archive_info" in item["download_info"]]
    return {f"{item['metadata']['name']}=={item['metadata']['version']}": item["download_info"] for item in found}


def sha256(file: dict[str, Any]) -> str:
    """The hash in pip's record of a file."""
    return file["archive_info"]["hashes"]["sha256"]


if __name__ == "__main__":
    main()
