"""How long a long prompt keeps the page busy: opening, zooming, scrolling, pointing. Prints; nothing is asserted.

.venv/bin/python -m js.harness.pace [scene ...]
"""

import sys

from playwright.sync_api import Page

from tests.browser.lab import chromium

from .fixture import SCENES
from .stage import Stage

WATCH = """() => {
  window.tasks = [];
  new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ entryTypes: ["longtask"] });
}"""
#: Do one thing a frame, so many times; the work of each frame in ms, its style and layout included.
FRAMES = """async ([what, times]) => {
  const grid = document.querySelector('[data-testid="grid-pattern"]');
  const marks = grid.querySelector(".mi-marks");
  const pieces = document.querySelectorAll(".mi-token");
  const box = marks.getBoundingClientRect();
  const at = (x, y) => ({ clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true, cancelable: true });
  const acts = {
    scroll: (i) => grid.scrollBy(37, 53),
    zoom: (i) => marks.dispatchEvent(new WheelEvent("wheel", { ...at(0.4, 0.6), deltaY: i < times / 2 ? -40 : 40, ctrlKey: true })),
    hover: (i) => marks.dispatchEvent(new PointerEvent("pointermove", at(((i * 7) % 100) / 100, ((i * 13) % 100) / 100))),
    token: (i) => pieces[(i * 31) % pieces.length].dispatchEvent(new PointerEvent("pointerover", { bubbles: true })),
    panel: (i) => model.set("pattern", { ...model.get("pattern") }),
    picture: (i) => model.set("panels", [...model.get("panels")]),
  };
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const spent = [];
  for (let i = 0; i < times; i++) {
    await frame();
    const began = performance.now();
    acts[what](i);
    await frame();
    document.body.offsetHeight;
    spent.push(performance.now() - began);
  }
  return spent;
}"""
ACTS = {"zoom": 24, "hover": 60, "scroll": 40, "token": 60, "panel": 5, "picture": 5}


def pace(page: Page, scene: str) -> None:
    """Print what each act costs in one scene, as the median and the longest of its frames."""
    page.add_init_script(f"({WATCH})()")
    Stage(page).show(SCENES[scene])
    print(f"{scene}: opens in {page.evaluate('opened'):.0f} ms")
    for what, times in ACTS.items():
        if what == "scroll":  # something to scroll: half way in
            page.locator('[data-testid="grid-pattern"]').focus()
            for _ in range(5):
                page.keyboard.press("+")
        page.evaluate("tasks.length = 0")
        spent = sorted(page.evaluate(FRAMES, [what, times]))
        longest = max(page.evaluate("tasks"), default=0)
        print(f"  {what:8} median {spent[len(spent) // 2]:5.0f} ms, longest {spent[-1]:5.0f} ms, longest task {longest:.0f} ms")


def main(scenes: list[str]) -> None:
    """Every scene that is asked for."""
    with chromium() as browser:
        for scene in scenes:
            pace(browser.new_page(viewport={"width": 1280, "height": 1000}), scene)


if __name__ == "__main__":
    main(sys.argv[1:] or ["attention", "attention-512", "attention-1024"])
