"""The set-up of a fresh machine: steps that are done once, again when something changed, and named when they fail."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_tool", ROOT / "tools" / "setup.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "setup_tool", module)  # where dataclasses look up their annotations
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "STATE", tmp_path / ".make")
    (tmp_path / ".make").mkdir()
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "lens.ts").write_text("1")
    return module


class Baker:
    """Makes one file, and counts how often."""

    def __init__(self, setup: ModuleType, place: Path) -> None:
        self.cake = place / "cake"
        self.times = 0
        self.step = setup.Step("cake", "Cake", 1, ("js", "recipe.txt"), self.cake.is_file, self.bake)

    def bake(self) -> None:
        self.times += 1
        self.cake.write_text("cake")


@pytest.fixture
def baker(setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Baker:
    baker = Baker(setup, tmp_path)
    monkeypatch.setattr(setup, "STEPS", [baker.step])
    monkeypatch.setenv("PATH", os.environ["PATH"])  # main() puts .venv in front
    return baker


def test_what_is_done_is_not_done_again(setup: ModuleType, baker: Baker, capsys: pytest.CaptureFixture[str]) -> None:
    setup.main([])
    assert "[1/1] Cake: about 1 s" in capsys.readouterr().out
    setup.main([])
    assert capsys.readouterr().out == "Everything is set up.\n"
    assert baker.times == 1


@pytest.mark.parametrize("changed", ["js/lens.ts", "js/new.ts", "recipe.txt", "cake"])
def test_what_changed_or_went_away_is_done_again(setup: ModuleType, baker: Baker, tmp_path: Path, changed: str) -> None:
    setup.main([])
    if changed == "cake":
        baker.cake.unlink()
    else:
        (tmp_path / changed).write_text("2")
    setup.main([])
    assert baker.times == 2


def test_a_step_that_fails_is_not_done(setup: ModuleType, baker: Baker, monkeypatch: pytest.MonkeyPatch) -> None:
    setup.main([])
    broken = setup.Step("cake", "Cake", 1, (), lambda: True, lambda: setup.fail("flour", "Buy some."))
    monkeypatch.setattr(setup, "STEPS", [broken])
    with pytest.raises(SystemExit, match=r"Missing: flour\nBuy some\."):
        setup.main([])
    assert not broken.is_done()


def test_a_command_that_fails_shows_the_end_of_what_it_said(
    setup: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "print('first'); print('last'); raise SystemExit(2)"
    with pytest.raises(SystemExit, match=r"Missing: flour .*\.make/cake\.log.*\nBuy some\."):
        setup.run("cake", [sys.executable, "-c", script], "flour", "Buy some.")
    assert capsys.readouterr().out.splitlines() == ["first", "last"]


def test_an_old_python_is_named(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    old = SimpleNamespace(version_info=(3, 9, 2), executable="/usr/bin/python3", exit=sys.exit)
    monkeypatch.setattr(setup, "sys", old)
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer .*/usr/bin/python3.*\n.*PYTHON="):
        setup.check_python()


@pytest.mark.skipif(os.name == "nt", reason="the stand-ins for browsers are shell scripts")
def test_a_browser_counts_only_if_it_starts(setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "my-browser"
    there = tmp_path / "google-chrome"
    for path, code in ((named, 1), (there, 0)):
        path.write_text(f"#!/bin/sh\nexit {code}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(setup, "MAC_BROWSER", "")
    monkeypatch.setenv("CHROMIUM", str(named))
    assert setup.find_browser() == str(there)
    named.write_text("#!/bin/sh\nexit 0\n")
    assert setup.find_browser() == str(named)


def test_make_help_lists_what_people_run() -> None:
    said = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[1] for line in said.splitlines()} == {
        "help", "lab", "setup", "test", "test-quick", "lint", "screenshots", "clean", "galata",
    }  # fmt: skip
