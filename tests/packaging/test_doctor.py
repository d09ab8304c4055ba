"""What doctor says when something is missing, and that everything is there after the set-up."""

import json
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from mi_widgets import __main__ as terminal
from mi_widgets.model import checkpoint


def test_a_missing_model_is_named_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MI_WIDGETS_CACHE", str(tmp_path))
    assert terminal.main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("MISSING  default model"))
    assert str(tmp_path) in lines[place]
    assert lines[place + 1].split("-> ")[1] == "python -m mi_widgets fetch"
    assert "offline run" not in "".join(lines)


def test_what_a_kernel_does_without_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(terminal, "version", version)
    assert str(terminal.package("jupyterlab", extra="lab")).startswith("note ")
    assert 'pip install "mi-widgets[lab]"' in str(terminal.package("jupyterlab", extra="lab"))
    assert str(terminal.package("torch")).startswith("MISSING ")


@pytest.mark.parametrize("healthy", [True, False])
def test_only_what_is_essential_decides(healthy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [terminal.Finding("a", "there"), terminal.Finding("b", "gone", "bring b", essential=not healthy)]
    monkeypatch.setattr(terminal, "findings", lambda: iter(found))
    assert terminal.main(["doctor"]) == (0 if healthy else 1)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Jupyter looks for extensions first."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    folder = tmp_path / "labextensions" / "mi-widgets"
    folder.mkdir(parents=True)
    return folder


def test_an_extension_of_another_version_is_noticed(shelf: Path) -> None:
    (shelf / "package.json").write_text(json.dumps({"version": "0.0.1"}))
    finding = terminal.labextension()
    assert finding.said == f"0.0.1, not the package's {terminal.__version__}"
    assert finding.remedy


def test_an_extension_that_is_switched_off_is_noticed(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = {"load": "static/remoteEntry.js", "extension": "./extension"}
    package = {"name": "mi-widgets", "version": terminal.__version__, "jupyterlab": {"_build": build}}
    (shelf / "package.json").write_text(json.dumps(package))
    monkeypatch.setenv("JUPYTERLAB_DIR", str(shelf.parent))
    assert terminal.labextension().remedy == ""
    settings = shelf.parent / "settings"
    settings.mkdir()
    (settings / "page_config.json").write_text(json.dumps({"disabledExtensions": {"mi-widgets": True}}))
    assert terminal.labextension().remedy == "jupyter labextension enable mi-widgets"


def test_the_offline_run_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "load", lambda: socket.create_connection(("localhost", 9)))
    finding = terminal.forward()
    assert "without a network" in finding.said
    assert finding.remedy
    with socket.create_server(("localhost", 0)) as server:
        socket.create_connection(server.getsockname()).close()  # and the network is back


def test_fetch_prints_the_folder_or_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fetch(verify: bool, progress: checkpoint.Progress) -> Path:
        progress("working")
        if verify:
            raise checkpoint.FetchError("bring it by hand")
        return Path("there")

    monkeypatch.setattr(checkpoint, "fetch", fetch)
    assert terminal.main(["fetch"]) == 0
    assert capsys.readouterr() == ("there\n", "working\n")
    assert terminal.main(["fetch", "--verify"]) == 1
    assert capsys.readouterr().err.splitlines() == ["working", "bring it by hand"]


@pytest.mark.slow
@pytest.mark.model
def test_after_the_set_up_nothing_is_missing() -> None:
    done = subprocess.run([sys.executable, "-m", "mi_widgets", "doctor"], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(line.startswith("ok") and checkpoint.NAME in line for line in lines)
    assert any(line.startswith("ok       labextension") and "enabled" in line for line in lines)
    assert any(line.startswith("ok       offline run") and "Paris" in line for line in lines)
