// Lines over labelled steps, such as a token's probability over the layers: a small drawing with its numbers.

import { svg } from "./dom";
import { labelStep } from "./geometry";

/** What is drawn: heights are shares of 0..1, from the bottom; NaN leaves a gap. */
export type Line = { heights: number[]; look: string };
export type Chart = {
  lines: Line[];
  steps: string[];
  ticks: { at: number; words: string }[];
  zero: number | null;
  mark: number | null;
  axis: string;
  words: string;
};

const SIZE = { width: 420, height: 132 };
const EDGE = { left: 58, right: 12, top: 10, bottom: 30 };
const LABEL = 22; // pixels that a step's label needs

export function chart({ lines, steps, ticks, zero, mark, axis, words }: Chart): SVGSVGElement {
  const level = (at: number) => svg("line", { class: "mi-band-axis", x1: EDGE.left, x2: SIZE.width - EDGE.right, y1: y(at), y2: y(at) });
  return svg(
    "svg",
    { class: "mi-line", viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": words },
    level(zero ?? 0),
    ...marked(mark, steps.length),
    ...lines.map(({ heights, look }) => svg("path", { class: `mi-line-path ${look}`, d: path(heights) })),
    ...(mark === null ? [] : lines.filter(({ heights }) => !Number.isNaN(heights[mark])).map(({ heights, look }) => svg("circle", { class: `mi-line-dot ${look}`, cx: x(mark, steps.length), cy: y(heights[mark]), r: 4 }))),
    ...ticks.map(({ at, words }) => svg("text", { class: "mi-band-zero", x: EDGE.left - 8, y: y(at) + 4, "text-anchor": "end" }, words)),
    ...labelled(steps),
    svg("text", { class: "mi-band-zero", x: (EDGE.left + SIZE.width - EDGE.right) / 2, y: SIZE.height - 2, "text-anchor": "middle" }, axis),
  );
}

/** The path through heights over as many steps, broken where one is missing. */
export function path(heights: number[]): string {
  return heights
    .map((height, i) => (Number.isNaN(height) ? "" : `${i && !Number.isNaN(heights[i - 1]) ? "L" : "M"}${round(x(i, heights.length))} ${round(y(height))}`))
    .join("");
}

const x = (step: number, steps: number) => EDGE.left + (steps > 1 ? step / (steps - 1) : 0.5) * (SIZE.width - EDGE.left - EDGE.right);
const y = (share: number) => SIZE.height - EDGE.bottom - share * (SIZE.height - EDGE.top - EDGE.bottom);
const round = (pixels: number) => Math.round(10 * pixels) / 10;

function marked(mark: number | null, steps: number): SVGElement[] {
  if (mark === null) return [];
  return [svg("line", { class: "mi-line-mark", x1: x(mark, steps), x2: x(mark, steps), y1: EDGE.top, y2: SIZE.height - EDGE.bottom })];
}

function labelled(steps: string[]): SVGElement[] {
  const every = labelStep(LABEL, (SIZE.width - EDGE.left - EDGE.right) / Math.max(1, steps.length - 1));
  return steps.flatMap((name, i) => (i % every ? [] : [svg("text", { class: "mi-band-zero", x: x(i, steps.length), y: SIZE.height - 16, "text-anchor": "middle" }, name)]));
}
