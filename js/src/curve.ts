// The dose and its response: the effect of what was run, times a factor, with the range of the controls behind it.

import type { Control, Curve } from "./border";
import { h, svg } from "./dom";
import { plain, signed } from "./format";
import { scaled } from "./geometry";

const SIZE = { width: 360, height: 150 };
const EDGE = { left: 44, right: 14, top: 12, bottom: 30 };

/** The curve as a figure with its caption. */
export function doseCurve(curve: Curve, control: Control | null): HTMLElement {
  return h(
    "div",
    { class: "mi-response", "data-testid": "curve" },
    h("h4", {}, "Less and more of it"),
    drawing(curve, control),
    h("p", { class: "mi-fine" }, caption(curve)),
  );
}

/** The curve in one sentence. */
export function curveWords({ strengths, differences }: Curve): string {
  const points = strengths.map((strength, i) => `${plain(strength)}: ${numberOr(differences[i])}`);
  return `Effect of all that was run, times a factor. ${points.join("; ")}.`;
}

const numberOr = (value: number | null) => (value === null ? "broken" : signed(value));

function caption({ collapsed }: Curve): string {
  const broken = collapsed.some(Boolean) ? " A cross: the output says nothing any more." : "";
  return `0: no edit. 1: as run, each kept edit at its own strength. 2: twice that.${broken}`;
}

function drawing(curve: Curve, control: Control | null): SVGSVGElement {
  const { strengths, differences, collapsed } = curve;
  const known = differences.filter((value) => value !== null);
  const x = scaled([0, ...strengths], EDGE.left, SIZE.width - EDGE.right);
  const y = scaled([0, ...known, ...(control?.values ?? [])], SIZE.height - EDGE.bottom, EDGE.top);
  const points = strengths.flatMap((strength, i) => (differences[i] === null ? [] : [{ x: x(strength), y: y(differences[i]), broken: collapsed[i], full: strength === 1 }]));
  return svg(
    "svg",
    { class: "mi-band mi-curve", viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": curveWords(curve) },
    ...band(control, y),
    svg("line", { class: "mi-band-axis", x1: EDGE.left, x2: SIZE.width - EDGE.right, y1: y(0), y2: y(0) }),
    svg("path", { class: "mi-curve-line", d: points.map((point, i) => `${i ? "L" : "M"}${point.x} ${point.y}`).join("") }),
    ...points.map(mark),
    ...strengths.filter((strength) => strength % 0.5 === 0).map((strength) => svg("text", { class: "mi-band-zero", x: x(strength), y: SIZE.height - 14, "text-anchor": "middle" }, plain(strength))),
    ...heights(known, y).map(([value, at]) => svg("text", { class: "mi-band-zero", x: EDGE.left - 8, y: at + 4, "text-anchor": "end" }, signed(value))),
    svg("text", { class: "mi-band-zero", x: (EDGE.left + SIZE.width - EDGE.right) / 2, y: SIZE.height - 2, "text-anchor": "middle" }, "times what was run"),
  );
}

/** The range of the controls, as run. */
function band(control: Control | null, y: (value: number) => number): SVGElement[] {
  if (!control?.values.length) return [];
  const [high, low] = [y(Math.max(...control.values)), y(Math.min(...control.values))];
  return [svg("rect", { class: "mi-band-range", x: EDGE.left, y: high, width: SIZE.width - EDGE.left - EDGE.right, height: Math.max(1, low - high), rx: 3 })];
}

function mark({ x, y, broken, full }: { x: number; y: number; broken: boolean; full: boolean }): SVGElement {
  if (broken) return svg("path", { class: "mi-curve-cross", d: `M${x - 4} ${y - 4}l8 8m0 -8l-8 8` });
  if (full) return svg("path", { class: "mi-band-mark", d: `M${x} ${y - 8}l6 8l-6 8l-6 -8z` });
  return svg("circle", { class: "mi-curve-dot", cx: x, cy: y, r: 3 });
}

/** Zero and the far ends, where they are clear of each other. */
function heights(values: number[], y: (value: number) => number): [number, number][] {
  const ends = [Math.max(0, ...values), Math.min(0, ...values), 0].map((value): [number, number] => [value, y(value)]);
  return ends.filter(([, at], i) => ends.slice(i + 1).every(([, other]) => Math.abs(at - other) > 12) || i === 2);
}
