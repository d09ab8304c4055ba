"""Photograph every scene of the fixture: light and dark, wide and narrow, without Jupyter. A development tool.

.venv/bin/python -m js.harness.shots OUT [scene ...]
"""

import sys
from pathlib import Path

from tests.browser.lab import chromium

from .fixture import SCENES
from .stage import Stage


def main(out: Path, scenes: list[str]) -> None:
    """Write one picture a scene, theme and width."""
    out.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for width in (1200, 390):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("pageerror", lambda error: print("page error:", error))
            page.on("console", lambda said: print("console:", said.text) if said.type == "error" else None)
            stage = Stage(page)
            for scene in scenes:
                for theme in ("light", "dark"):
                    stage.show(SCENES[scene], theme=theme)
                    page.screenshot(path=out / f"{scene}-{width}-{theme}.png", full_page=True, animations="disabled")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or list(SCENES))
