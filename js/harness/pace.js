// What `pace.py` does to a page: one act a frame, and the time of each frame with its style and layout.

window.tasks = [];
new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ entryTypes: ["longtask"] });

window.pace = async (what, times) => {
  const grid = document.querySelector('[data-testid="grid-pattern"]');
  const marks = grid.querySelector(".mi-marks");
  const pieces = document.querySelectorAll(".mi-token");
  const box = marks.getBoundingClientRect();
  const at = (x, y) => ({ clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true, cancelable: true });
  const { model } = window;
  const acts = {
    scroll: () => grid.scrollBy(37, 53),
    zoom: (i) => marks.dispatchEvent(new WheelEvent("wheel", { ...at(0.4, 0.6), deltaY: i < times / 2 ? -40 : 40, ctrlKey: true })),
    hover: (i) => marks.dispatchEvent(new PointerEvent("pointermove", at(((i * 7) % 100) / 100, ((i * 13) % 100) / 100))),
    token: (i) => pieces[(i * 31) % pieces.length].dispatchEvent(new PointerEvent("pointerover", { bubbles: true })),
    panel: () => model.set("pattern", { ...model.get("pattern") }),
    picture: () => model.set("panels", [...model.get("panels")]),
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
};
