// The legend: which colour means what, in words, with the numbers at its ends.

import type { Panel } from "./border";
import { isAgainst, stroke } from "./against";
import { colormap, css, flips, middle } from "./color";
import { h } from "./dom";
import { plain, signed, whole } from "./format";
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
    if (isAgainst({ ...panel, range: [0, 1], toward: 1, spacing: "even" }, x / BAR.width)) stroke(brush, { x, y: BAR.height / 2 }, BAR, color(x / BAR.width));
  return canvas;
}

function ticks(panel: Panel): HTMLElement {
  return h("div", { class: "mi-ticks" }, ...numbers(panel).map((number) => h("span", {}, number)));
}

/**
 * Orange is always on the left and blue on the right, dark on the left and bright on the right; where negative supports
 * the answer, or less is better, the numbers change places.
 */
export function numbers(panel: Panel): string[] {
  const { scale, range, thumbnails, spacing } = panel;
  if (thumbnails) return ["0", "0.25", "1"];
  const log = spacing === "log";
  const found = scale === "sequential" ? [range[0], middle(range, log), range[1]].map(tick(panel)) : [signed(range[0]), "0", signed(range[1])];
  return flips(panel) ? found.reverse() : found;
}

const tick = ({ unit }: Panel) => (value: number) => (unit === "rank" ? whole(value) : plain(value));

function sides({ scale, toward, thumbnails }: Panel): HTMLElement | null {
  if (scale !== "signed" || thumbnails || toward === 0) return null;
  return h("div", { class: "mi-ticks" }, h("span", {}, "against the answer"), h("span", {}, "supports the answer"));
}

function sentences({ sign, unit, thumbnails, spacing }: Panel): string[] {
  const pictures = thumbnails ? "Pictures: where each head looks, brightest position of each block, square-root colours." : "";
  const spaced = spacing === "log" ? "Colours are spaced by the logarithm." : "";
  return [sign, pictures, unit && !thumbnails ? `Unit: ${unit}.` : "", spaced].filter(Boolean);
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
