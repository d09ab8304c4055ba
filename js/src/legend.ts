// The legend: which colour means what, in words, with the numbers at its ends.

import type { Panel } from "./border";
import { isAgainst, stroke } from "./against";
import { colormap, css } from "./color";
import { h } from "./dom";
import { plain, signed } from "./format";
import type { Look } from "./look";
import { fresh } from "./paint";

const BAR = { width: 232, height: 10 };
const STROKES = 14; // pixels from one stroke to the next

export function legend(panel: Panel, look: Look): HTMLElement {
  return h(
    "div",
    { class: "mi-legend", "data-testid": "legend" },
    h("div", { class: "mi-scale" }, bar(panel, look), ticks(panel), sides(panel)),
    h("div", { class: "mi-words" }, ...sentences(panel).map((words) => h("p", {}, words)), ...keys(panel)),
  );
}

function bar(panel: Panel, look: Look): HTMLCanvasElement {
  const canvas = h("canvas", { class: "mi-bar-scale", "aria-hidden": "true" });
  const brush = fresh(canvas, BAR);
  const color = colormap(panel.scale, look.theme);
  for (let x = 0; x < BAR.width; x++) {
    brush.fillStyle = css(color(x / (BAR.width - 1)));
    brush.fillRect(x, 0, 1.5, BAR.height);
  }
  for (let x = STROKES / 2; x < BAR.width; x += STROKES)
    if (isAgainst({ ...panel, range: [0, 1], toward: 1 }, x / BAR.width)) stroke(brush, { x, y: BAR.height / 2 }, BAR, color(x / BAR.width));
  return canvas;
}

function ticks(panel: Panel): HTMLElement {
  return h("div", { class: "mi-ticks" }, ...numbers(panel).map((number) => h("span", {}, number)));
}

/** Orange is always on the left and blue on the right; when negative supports the answer, the numbers change places. */
function numbers({ scale, range: [low, high], toward, thumbnails }: Panel): string[] {
  if (thumbnails) return ["0", "0.25", "1"];
  if (scale === "sequential") return [plain(low), plain((low + high) / 2), plain(high)];
  const ends = [signed(low), "0", signed(high)];
  return toward === -1 ? ends.reverse() : ends;
}

function sides({ scale, toward, thumbnails }: Panel): HTMLElement | null {
  if (scale !== "signed" || thumbnails || toward === 0) return null;
  return h("div", { class: "mi-ticks" }, h("span", {}, "against the answer"), h("span", {}, "supports the answer"));
}

function sentences({ sign, notes, unit, thumbnails }: Panel): string[] {
  const pictures = thumbnails ? "Pictures: where each head looks, brightest position of each block, square-root colours." : "";
  return [sign, pictures, [unit && !thumbnails ? `Unit: ${unit}.` : "", ...notes].filter(Boolean).join(" ")].filter(Boolean);
}

function keys(panel: Panel): HTMLElement[] {
  const cols = panel.cols.labels.length;
  const missing = panel.values.some((value, i) => Number.isNaN(value) && !(panel.causal && i % cols > i / cols));
  return [
    ...(missing ? [key("mi-hatched", "not computed")] : []),
    ...(panel.estimated ? [key("mi-estimate", "small: an estimate; full: exact")] : []),
    ...(panel.excluded.length ? [key("mi-dimmed", "BOS: outside the colour scale")] : []),
  ];
}

const key = (look: string, words: string) => h("p", { class: "mi-key" }, h("i", { class: look }), words);
