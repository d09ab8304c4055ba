// The legend: which colour means what, in words, with the numbers at its ends.

import type { Panel } from "./border";
import { isAgainst, stroke } from "./against";
import { colormap, css, flips, middle } from "./color";
import { h } from "./dom";
import { plain, signed, whole } from "./format";
import type { Look } from "./look";
import { fresh, pictureScale } from "./paint";
import { isPattern } from "./reading";

const BAR = { width: 232, height: 10 };
const STROKES = 14; // pixels from one stroke to the next

/** dots: the map's own sentence about cells that are smaller than pixels. */
export function legend(panel: Panel, look: Look, dots: HTMLElement): HTMLElement {
  return h(
    "div",
    { class: "mi-legend", "data-testid": "legend" },
    h("div", { class: "mi-scale" }, bar(panel, look), ticks(panel), sides(panel)),
    h("div", { class: "mi-words" }, ...sentences(panel).map((words) => h("p", {}, words)), dots, ...keys(panel)),
  );
}

function bar(panel: Panel, look: Look): HTMLCanvasElement {
  const canvas = h("canvas", { class: "mi-bar-scale", "aria-hidden": "true" });
  const brush = fresh(canvas, BAR);
  const color = colormap(panel.thumbnails ? pictureScale(panel) : panel.scale, look);
  for (let x = 0; x < BAR.width; x++) {
    brush.fillStyle = css(color(x / (BAR.width - 1)));
    brush.fillRect(x, 0, 1.5, BAR.height);
  }
  for (let x = STROKES / 2; x < BAR.width && !panel.thumbnails; x += STROKES)
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
  const { scale, range, thumbnails, spacing, pictured: [least, most] } = panel;
  if (thumbnails) return least < 0 ? [signed(least), "0", signed(most)] : ["0", plain(most / 4), plain(most)];
  const log = spacing === "log";
  const found = scale === "sequential" ? [range[0], middle(range, log), range[1]].map(tick(panel)) : [signed(range[0]), "0", signed(range[1])];
  return flips(panel) ? found.reverse() : found;
}

const tick = ({ unit }: Panel) => (value: number) => (unit === "rank" ? whole(value) : plain(value));

function sides({ scale, toward, thumbnails }: Panel): HTMLElement | null {
  if (scale !== "signed" || thumbnails || toward === 0) return null;
  return h("div", { class: "mi-ticks" }, h("span", {}, "against the answer"), h("span", {}, "supports the answer"));
}

function sentences(panel: Panel): string[] {
  const { sign, notes, unit, thumbnails, spacing } = panel;
  const spaced = spacing === "log" ? "Colours are spaced by the logarithm." : "";
  const read = thumbnails ? [meter(panel), pictures(panel), brackets(panel), ...notes] : [[unit ? `Unit: ${unit}.` : "", spaced, ...notes].filter(Boolean).join(" ")];
  return [sign, ...read].filter(Boolean);
}

/** What the bar under a picture says. */
function meter({ scale, range: [low, high], toward }: Panel): string {
  if (scale === "sequential") return `Bar under a picture: that number, from ${plain(low)} to ${plain(high)}.`;
  return `Bar under a picture: that number, up to ${plain(high)} to either side; ${toward ? "blue supports the answer" : "blue is positive"}.`;
}

function pictures({ pictured: [least, most] }: Panel): string {
  const what = least < 0 ? "the largest difference" : "the largest number";
  return `Pictures: ${what} of each block, square-root colours up to ${plain(most)} in all heads.`;
}

const brackets = ({ grouped }: Panel) => (grouped > 1 ? `Brackets: ${grouped} heads each that share a key-value head.` : "");

function keys(panel: Panel): HTMLElement[] {
  return [
    ...(lacks(panel) ? [key("mi-hatched", "not computed")] : []),
    ...(panel.estimated ? [key("mi-estimate", "small: an estimate; full: exact")] : []),
    ...(panel.excluded.length ? [key("mi-dimmed", "BOS: outside the colour scale")] : []),
  ];
}

/** Whether a cell that can exist was not computed. */
function lacks(panel: Panel): boolean {
  const { values, cols, rows } = panel;
  const width = cols.labels.length;
  for (let row = 0; row < rows.labels.length; row++)
    for (let col = 0; col < (isPattern(panel) ? Math.min(row + 1, width) : width); col++) if (Number.isNaN(values[row * width + col])) return true;
  return false;
}

const key = (look: string, words: string) => h("p", { class: "mi-key" }, h("i", { class: look }), words);
