"""Opens JupyterLab from .venv on the quickstart, in a browser where there is a display to show one on."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "notebooks/quickstart.ipynb"


def command() -> list[str]:
    """JupyterLab with what this machine needs said to it."""
    words = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url=/lab/tree/{NOTEBOOK}"]
    if not has_display():
        words.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")
    return words


def has_display() -> bool:
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return platform.system() != "Linux" or bool(shown)


if __name__ == "__main__":
    os.chdir(ROOT)
    print(f"Opening {NOTEBOOK}; its address stands below, Ctrl-C stops it.", flush=True)
    os.execv(sys.executable, command())
