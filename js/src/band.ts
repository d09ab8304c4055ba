// The control band: the effect among the effects of the same edit on random other cells.

import type { Control } from "./border";
import { h, svg } from "./dom";
import { signed } from "./format";
import { scaled } from "./geometry";

const WIDTH = 360;
const HEIGHT = 74;
const EDGE = 26;
const MIDDLE = 34;

/** A strip of dots (controls) over their range, the effect as a diamond, and a line at zero. */
export function controlBand(effect: number, control: Control): SVGSVGElement {
  const x = scaled([0, effect, ...control.values], EDGE, WIDTH - EDGE);
  return svg(
    "svg",
    { class: "mi-band", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": bandWords(effect, control), "data-testid": "control-band" },
    range(control.values, x),
    zero(x),
    ...control.values.map((value, i) => dot(x(value), i)),
    diamond(x(effect)),
    caption(x(effect), signed(effect), "mi-band-effect", 12),
    caption(x(0), "0", "mi-band-zero", HEIGHT - 6),
    ...ends(control.values, x),
  );
}

/** The band with what it comes to above it, and what the controls are below. */
export function amongControls(effect: number, control: Control): HTMLElement {
  const { label, values, beats } = control;
  if (!values.length) return h("p", { class: "mi-evidence mi-fine" }, label);
  const verdict = h("p", { class: "mi-verdict" }, "Stronger than ", h("b", {}, `${beats} of ${values.length}`), ` random controls`);
  return h("div", { class: "mi-evidence" }, verdict, controlBand(effect, control), h("p", { class: "mi-fine" }, label));
}

/** The band in one sentence. */
export function bandWords(effect: number, { values, beats }: Control): string {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `The effect ${signed(effect)} is stronger than ${beats} of ${values.length} random controls, which range from ${signed(low)} to ${signed(high)}.`;
}

function range(values: number[], x: (value: number) => number): SVGElement {
  const [left, right] = [x(Math.min(...values)) - 6, x(Math.max(...values)) + 6];
  return svg("rect", { class: "mi-band-range", x: left, y: MIDDLE - 12, width: right - left, height: 24, rx: 6 });
}

function zero(x: (value: number) => number): SVGElement {
  return svg("line", { class: "mi-band-axis", x1: x(0), x2: x(0), y1: MIDDLE - 17, y2: MIDDLE + 19 });
}

/** Dots of one strip are spread a little up and down, always in the same way, so that they can be counted. */
function dot(x: number, i: number): SVGElement {
  return svg("circle", { class: "mi-band-dot", cx: x, cy: MIDDLE + ((i * 7) % 5 - 2) * 3.4, r: 3 });
}

function diamond(x: number): SVGElement {
  return svg("path", { class: "mi-band-mark", d: `M${x} ${MIDDLE - 12}l8 12l-8 12l-8 -12z` });
}

function caption(x: number, words: string, look: string, y: number): SVGElement {
  const anchor = x > WIDTH - 60 ? "end" : x < 60 ? "start" : "middle";
  const shift = anchor === "end" ? 10 : anchor === "start" ? -10 : 0;
  return svg("text", { class: look, x: x + shift, y, "text-anchor": anchor }, words);
}

/** The controls' ends as small numbers, where they are clear of the zero. */
function ends(values: number[], x: (value: number) => number): SVGElement[] {
  return [Math.min(...values), Math.max(...values)]
    .filter((value) => Math.abs(x(value) - x(0)) > 44)
    .map((value) => caption(x(value), signed(value), "mi-band-zero", HEIGHT - 6));
}
