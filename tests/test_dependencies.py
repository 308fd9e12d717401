"""What the stages depend on is declared whole: imports against `deps`, parameters read against `params`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from finsentiment.params import Params

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def imported(file: Path) -> set[Path]:
    """Files of this project that running `file` as a module imports; empty packages don't count.

    What the package `finsentiment` itself imports on first use (`load_reader`) no stage uses, so that does not count.
    """
    packages = [ROOT / "stages/__init__.py", ROOT / "finsentiment/__init__.py"]
    found, open_files = set(packages), [file, packages[0]]
    while open_files:
        for module in _modules(ast.parse(open_files.pop().read_text())):
            path = ROOT / (module.replace(".", "/") + ".py")
            if path.is_file() and path not in found:
                found.add(path)
                open_files.append(path)
    return found


def _modules(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.split(".")[0] in ("finsentiment", "stages")}


def leaves(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Dotted names of all leaves of a section of the parameters."""
    names = set()
    for name, field in model.model_fields.items():
        section = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        names |= leaves(field.annotation, f"{prefix}{name}.") if section else {prefix + name}
    return names


def read_parameters(file: Path) -> set[str]:
    """Leaves that a stage script reads through `params.…`, a section standing for all its leaves."""
    tree = ast.parse(file.read_text())
    inner = {node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    chains = set()
    for node in ast.walk(tree):
        parts = []
        outermost = node not in inner
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if outermost and parts and isinstance(node, ast.Name) and node.id == "params":
            chains.add(".".join(reversed(parts)))
    return {leaf for leaf in leaves(Params) for chain in chains if leaf == chain or leaf.startswith(chain + ".")}


@pytest.mark.parametrize("stage", STAGES)
def test_every_library_file_a_stage_imports_is_a_dependency_and_none_is_idle(stage: str) -> None:
    script = ROOT / "stages" / f"{stage}.py"
    declared = {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")}
    assert declared == {path.relative_to(ROOT).as_posix() for path in imported(script) | {script}}


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_a_stage_reads_is_declared_leaf_by_leaf_and_none_is_idle(stage: str) -> None:
    # A parameter that names an input file reaches the stage as a dependency too.
    assert set(STAGES[stage].get("params", [])) == read_parameters(ROOT / "stages" / f"{stage}.py")


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_says_what_it_does_and_depends_on_the_pinned_packages(stage: str) -> None:
    assert STAGES[stage]["desc"] and {"requirements.txt", "requirements-torch.txt"} <= set(STAGES[stage]["deps"])


def test_packages_hold_no_code_so_that_leaving_them_out_of_the_dependencies_is_safe() -> None:
    for package in (ROOT / "finsentiment").rglob("__init__.py"):
        body = ast.parse(package.read_text()).body
        assert package.parent.name == "finsentiment" or (len(body) == 1 and isinstance(body[0], ast.Expr)), (
            f"{package} holds code"
        )


def test_params_yaml_holds_exactly_the_known_parameters() -> None:
    def names(tree: dict, prefix: str = "") -> set[str]:
        return {
            name
            for key, value in tree.items()
            for name in (names(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {prefix + key})
        }

    assert names(yaml.safe_load((ROOT / "params.yaml").read_text())) == leaves(Params)


def test_every_parameter_is_read_by_some_stage() -> None:
    assert set().union(*(STAGES[stage].get("params", []) for stage in STAGES)) == leaves(Params)


def test_every_other_file_in_the_library_is_a_dependency_of_some_stage() -> None:
    others = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "finsentiment").rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc") and file.name != "store.html"  # of the daily job
    }
    assert others and others <= {dep for stage in STAGES.values() for dep in stage["deps"]}


def test_the_backtest_does_not_depend_on_a_language_model() -> None:
    for stage in ("build_features", "backtest"):
        assert not [dep for dep in STAGES[stage]["deps"] if "/llm/" in dep or "/readers/" in dep]


def test_every_file_of_the_library_is_a_dependency_of_some_stage_but_what_no_stage_uses() -> None:
    deps = {dep for stage in STAGES.values() for dep in stage["deps"]}
    code = {file.relative_to(ROOT).as_posix() for file in (ROOT / "finsentiment").rglob("*.py")}
    idle = {file for file in code - deps if not file.endswith("__init__.py")}
    idle = {file for file in idle if file.split("/")[1] not in ("check", "daily")}
    others = {"cli.py", "backtest/movement.py", "features/export.py", "features/live.py"}
    others |= {"llm/registry.py", "reporting/store_page.py"}
    assert idle == {f"finsentiment/{file}" for file in others}, "is it in its table?"


def test_every_parameter_is_used_beyond_its_declaration() -> None:
    code = [*(ROOT / "finsentiment").rglob("*.py"), *(ROOT / "stages").glob("*.py")]
    text = "".join(file.read_text() for file in code if file.name != "params.py")
    assert not [leaf for leaf in leaves(Params) if f".{leaf.rpartition('.')[2]}" not in text]
