"""The house: a file imports only from floors below, views see no torch, and nothing runs data as code."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "mi_widgets"
VALUES = (
    "progress", "site", "grid", "selection", "task", "reference", "direction", "delta", "subspace", "intervention",
    "recipefile", "card",
)  # fmt: skip
FLOORS = (*((value,) for value in VALUES), ("tasks",), ("model",), ("run",), ("locate", "steer", "view"), ("improve",),
          ("workbench",), ("__init__",), ("__main__",))  # fmt: skip
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

#: The one-line delegations that may import from above, late: file, function, what.
DELEGATIONS = {
    ("grid", "select", "selection"),
    ("grid", "show", "view.heatmap"),
    ("grid", "figure", "view.figure"),
    ("selection", "switch_off", "steer"),
    *(("selection", verb, "steer") for verb in ("scale", "clamp", "replace", "knock_out")),
    ("direction", "add", "intervention"),
    ("direction", "project_out", "intervention"),
    ("subspace", "swap", "intervention"),
    ("intervention", "hash", "recipefile"),
    ("model", "load", "model.dictionaryfile"),
    ("intervention", "save", "recipefile"),
    ("intervention", "save_vectors", "recipefile"),
    ("intervention", "load", "recipefile"),
    ("intervention", "hooks", "model"),
    ("intervention", "code", "steer.code"),
    ("intervention", "to_vllm", "steer.remote"),
    ("card", "figure", "view.figure"),
}
BROWSER_SIDE = {"traitlets", "anywidget", "ipywidgets"}
RUNS_DATA = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}


@dataclass(frozen=True)
class Import:
    file: Path
    function: str  # "" at the top of a module
    target: str  # inside the house without "mi_widgets."; else the module's full name
    ours: bool
    typing: bool

    @property
    def room(self) -> str:
        return _room(self.file)


def _room(file: Path) -> str:
    return file.relative_to(HOUSE).parts[0].removesuffix(".py")


@cache
def files() -> tuple[Path, ...]:
    return tuple(sorted(HOUSE.rglob("*.py")))


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for file in files() for found in _imports(file, _tree(file)))


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def _imports(file: Path, node: ast.AST, function: str = "", typing: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(file, function, alias.name, alias.name.split(".")[0] == "mi_widgets", typing)
        elif isinstance(child, ast.ImportFrom):
            for target, ours in _targets(file, child):
                yield Import(file, function, target, ours, typing)
        else:
            inner = child.name if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
            guarded = typing or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
            yield from _imports(file, child, inner, guarded)


def _targets(file: Path, node: ast.ImportFrom) -> Iterator[tuple[str, bool]]:
    """`from ..a.b import c` as "a.b"; `from . import c` as the module c of that folder, where there is one."""
    if node.level == 0:
        yield str(node.module), str(node.module).split(".")[0] == "mi_widgets"
        return
    folder = file.parents[node.level - 1]
    for alias in node.names:
        path = folder.joinpath(*(node.module or "").split("."))
        if node.module is None and ((path / f"{alias.name}.py").exists() or (path / alias.name).is_dir()):
            path = path / alias.name
        yield ".".join(path.relative_to(HOUSE).parts) or "__init__", True


def test_every_room_has_its_floor() -> None:
    assert {_room(file) for file in files()} == set(FLOOR)


def climbs(found: Import) -> bool:
    """Whether it imports from its own floor or from above, and is no named delegation."""
    there = found.target.split(".")[0]
    if there == found.room or (found.room, found.function, found.target) in DELEGATIONS:
        return False
    return FLOOR[there] >= FLOOR[found.room]


def test_imports_go_down() -> None:
    climbing = [(found.room, found.target) for found in imports() if found.ours and not found.typing and climbs(found)]
    assert climbing == []


def test_the_only_late_imports_from_above_are_the_named_delegations() -> None:
    late = {(i.room, i.function, i.target) for i in imports() if i.ours and i.function and not i.typing}
    assert late == DELEGATIONS


def test_no_floor_is_skipped_by_an_absolute_import() -> None:
    assert [i for i in imports() if i.ours and i.target.startswith("mi_widgets")] == []


def test_neither_a_value_nor_a_view_reaches_torch() -> None:
    for room in (*VALUES, "view"):
        heavy = {i.target.split(".")[0] for i in _reached(room)} & {"torch", "transformers", "transformer_lens"}
        assert heavy == set(), f"{room} reaches {heavy}"


def _reached(room: str, seen: frozenset[str] = frozenset()) -> Iterator[Import]:
    """Everything a room imports when it is imported, through other rooms as well."""
    for found in imports():
        if found.room == room and not found.function and not found.typing:
            yield found
            onward = found.target.split(".")[0]
            if found.ours and onward not in seen | {room}:
                yield from _reached(onward, seen | {room})


def test_only_views_and_the_workbench_know_the_browser() -> None:
    rooms = {i.room for i in imports() if i.target.split(".")[0] in BROWSER_SIDE}
    assert rooms <= {"view", "workbench"} and rooms


def test_only_the_model_room_knows_transformer_lens() -> None:
    assert {i.room for i in imports() if i.target.split(".")[0] == "transformer_lens"} == {"model"}


def test_nothing_runs_data_as_code() -> None:
    found = [(file.name, what) for file in files() for what in _dangerous(_tree(file))]
    assert found == []
    assert {i.target.split(".")[0] for i in imports()} & RUNS_DATA == set()


def _dangerous(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("eval", "exec", "compile", "__import__", "os.system", "torch.load"):
                yield called
            if any(keyword.arg in ("allow_pickle", "shell", "trust_remote_code") for keyword in node.keywords):
                yield ast.unparse(node)
        if isinstance(node, (ast.Name, ast.Attribute)) and ast.unparse(node).split(".")[-1] in ("HTML", "Javascript"):
            yield ast.unparse(node)


def test_the_check_for_dangerous_code_finds_it() -> None:
    for code in ("eval('1')", "torch.load(f)", "display(HTML(text))", "np.load(f, allow_pickle=True)", "w.HTML(text)"):
        assert list(_dangerous(ast.parse(code)))


WITHOUT_TORCH = """
import sys, types
house = types.ModuleType("mi_widgets")
house.__path__ = [{house!r}]
sys.modules["mi_widgets"] = house
for heavy in ("torch", "transformers", "transformer_lens"):
    sys.modules[heavy] = None
import numpy as np
from mi_widgets.grid import Axis, Grid
from mi_widgets.intervention import Recipe
axes = Axis("layer", (0, 1)), Axis("head", (0, 1, 2))
grid = Grid(np.ma.masked_less(np.arange(6.0).reshape(2, 3), 1), axes, "head")
grid = Grid.load(grid.save({path!r}))
assert grid.show().panels[0].shape == (2, 3)
assert grid.figure().data and len(grid.to_dataframe()) == 5
"""


def test_a_saved_grid_is_shown_without_torch(tmp_path: Path) -> None:
    code = WITHOUT_TORCH.format(house=str(HOUSE), path=str(tmp_path / "grid.safetensors"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HOUSE.parent, check=False)
    assert done.returncode == 0, done.stderr


WITHOUT_NETWORK = """
import socket
def refused(*_, **__):
    raise AssertionError("the network was asked for")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused
import mi_widgets
assert mi_widgets.__all__ == sorted(mi_widgets.__all__) and all(hasattr(mi_widgets, n) for n in mi_widgets.__all__)
"""


@pytest.mark.slow
def test_importing_needs_no_network() -> None:
    code = [sys.executable, "-c", WITHOUT_NETWORK]
    done = subprocess.run(code, capture_output=True, text=True, cwd=HOUSE.parent, check=False)
    assert done.returncode == 0, done.stderr
