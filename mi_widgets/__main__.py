"""The package from a terminal: `python -m mi_widgets doctor`, `fetch` or `--version`.

`doctor` looks at everything a notebook needs and says what is there, what is missing and the command that brings it.
It runs the default model once, with the network refused, and takes about ten seconds.
"""

import argparse
import json
import platform
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter

from . import __version__, load, run
from .model import checkpoint

PACKAGES = ("torch", "transformer-lens", "transformers", "anywidget", "ipywidgets", "plotly")
LAB = ("jupyterlab", "notebook")
VIEWS = ("attention", "attribution", "heatmap", "lens", "workbench")
PROMPT = "The capital of France is"
COMFORTABLE = 1.5e9  # bytes: the default model, a cache of its activations and a kernel
FETCH = "python -m mi_widgets fetch"
REINSTALL = "python -m pip install --force-reinstall --no-deps mi-widgets (in a clone: make setup)"


@dataclass(frozen=True)
class Finding:
    """One line of doctor: what was looked for, what was found, and what brings it where it is missing."""

    what: str
    said: str
    remedy: str = ""
    essential: bool = True

    def __str__(self) -> str:
        mark = "ok" if not self.remedy else "MISSING" if self.essential else "note"
        return f"{mark:8} {self.what:18} {self.said}" + (f"\n{'':27} -> {self.remedy}" if self.remedy else "")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mi_widgets", description="Click on a model, and see what it does.")
    parser.add_argument("--version", action="version", version=f"mi_widgets {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="doctor | fetch")
    commands.add_parser("doctor", help="say what is installed and whether it works")
    fetching = commands.add_parser("fetch", help="get the default model; its folder is printed")
    fetching.add_argument("--verify", action="store_true", help="compare the checksum of every file, not only its size")
    chosen = parser.parse_args(arguments)
    return doctor() if chosen.command == "doctor" else fetch(chosen.verify)


def fetch(verify: bool) -> int:
    """Get the default model; progress goes to stderr and the folder to stdout."""
    try:
        folder = checkpoint.fetch(verify=verify, progress=lambda line: print(line, file=sys.stderr, flush=True))
    except checkpoint.FetchError as error:
        print(error, file=sys.stderr)
        return 1
    print(folder)
    return 0


def doctor() -> int:
    """Print every finding as it comes; 1 if something essential is missing."""
    healthy = True
    for finding in findings():
        print(finding, flush=True)
        healthy = healthy and not (finding.remedy and finding.essential)
    print("\nEverything that is needed is there." if healthy else "\nThe lines marked MISSING say what to run.")
    return 0 if healthy else 1


def findings() -> Iterator[Finding]:
    """Everything that doctor looks at, in the order in which one thing needs the other."""
    yield Finding("mi_widgets", f"{__version__} in {Path(__file__).parent}")
    yield Finding("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}")
    for name in PACKAGES:
        yield package(name)
    for name in LAB:
        yield package(name, extra="lab")
    yield widgets()
    yield labextension()
    yield memory()
    yield gpu()
    yield default_model()
    if checkpoint.damage(checkpoint.folder()) is None:
        yield forward()


def package(name: str, extra: str = "") -> Finding:
    """Whether a package is installed; those of an extra are not essential, since a kernel does without them."""
    wanted = f"mi-widgets[{extra}]" if extra else name
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "not installed here", f'python -m pip install "{wanted}"', essential=not extra)


def widgets() -> Finding:
    """Whether the built scripts of the widgets are in the package."""
    static = Path(__file__).parent / "static"
    missing = [view for view in VIEWS if not (static / f"{view}.js").is_file()]
    if missing:
        return Finding("widgets", f"no script for {', '.join(missing)}", REINSTALL)
    size = sum(file.stat().st_size for file in static.glob("*.js"))
    return Finding("widgets", f"{len(VIEWS)} scripts, {size / 1000:.0f} kB")


def labextension() -> Finding:
    """Whether JupyterLab would load our extension, in this package's version. The widgets work without it."""
    from jupyter_core.paths import jupyter_path

    folders = [folder for folder in jupyter_path("labextensions") if (Path(folder) / "mi-widgets").is_dir()]
    if not folders:
        return Finding("labextension", "not where Jupyter looks", REINSTALL, essential=False)
    there = json.loads((Path(folders[0]) / "mi-widgets" / "package.json").read_text(encoding="utf-8"))["version"]
    if there != __version__:
        return Finding("labextension", f"{there}, not the package's {__version__}", REINSTALL, essential=False)
    if is_disabled():
        return Finding("labextension", "disabled", "jupyter labextension enable mi-widgets", essential=False)
    return Finding("labextension", f"{there}, enabled, in {folders[0]}")


def is_disabled() -> bool:
    """Whether JupyterLab's own configuration switches the extension off; without JupyterLab nothing does."""
    try:
        from jupyterlab.commands import get_app_dir
        from jupyterlab_server.config import get_page_config
    except ImportError:
        return False
    from jupyter_core.paths import jupyter_path

    settings = Path(get_app_dir()) / "settings"
    page = get_page_config(jupyter_path("labextensions"), str(settings))
    return any(str(entry).split(":")[0] == "mi-widgets" for entry in page.get("disabledExtensions", ()))


def memory() -> Finding:
    """Free memory, and whether the default model has room in it."""
    import psutil

    free = psutil.virtual_memory().available
    said = f"{free / 1e9:.1f} GB free of {psutil.virtual_memory().total / 1e9:.1f} GB"
    remedy = "" if free >= COMFORTABLE else f"the default model wants {COMFORTABLE / 1e9:.1f} GB: close other kernels"
    return Finding("memory", said, remedy, essential=False)


def gpu() -> Finding:
    """The accelerators that PyTorch sees."""
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return Finding("GPU", f"{torch.cuda.get_device_name()}, {free / 1e9:.1f} GB free of {total / 1e9:.1f} GB")
    if torch.backends.mps.is_available():
        return Finding("GPU", "Apple's, through MPS")
    return Finding("GPU", f"none that PyTorch sees; {torch.get_num_threads()} CPU threads")


def default_model() -> Finding:
    """Whether the default model is there and whole."""
    folder = checkpoint.folder()
    fault = checkpoint.damage(folder)
    if fault is not None:
        return Finding("default model", f"{fault} in {folder}" if folder.exists() else f"not in {folder.parent}", FETCH)
    return Finding("default model", f"{checkpoint.NAME} in {folder}")


def forward() -> Finding:
    """One forward pass of the default model, timed, with every way to the network closed; its weights' short hash."""
    try:
        with no_network():
            start = perf_counter()
            model = load()
            loaded = perf_counter()
            token = run(model, PROMPT).top(1)[0][0]
            done = perf_counter()
            weights = model.weights
    except Exception as error:  # whatever it is, it belongs on this line
        return Finding("offline run", f"{type(error).__name__}: {error}", f"{FETCH} --verify")
    said = f"weights {weights}, loaded in {loaded - start:.1f} s, {PROMPT!r} -> {token!r} in {done - loaded:.2f} s"
    return Finding("offline run", said)


@contextmanager
def no_network() -> Iterator[None]:
    """Refuses every connection and look-up of this process."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("doctor tries whether this works without a network, and something asked for one")

    kept = socket.socket.connect, socket.getaddrinfo
    socket.socket.connect, socket.getaddrinfo = refuse, refuse  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        socket.socket.connect, socket.getaddrinfo = kept  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main())
