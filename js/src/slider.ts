// Sliders with a number beside them and named ticks on the track.

import { h } from "./dom";

type Tick = { at: number; name: string; after?: boolean };
type Span = { low: number; high: number; step: number };

/** A factor from -2 to 3: 0 switches off, 1 changes nothing. */
export function scaleSlider(factor: number, change: (factor: number) => void): HTMLElement[] {
  const ticks = [0, 1, 2].map((at) => ({ at, name: String(at) }));
  return slider("Factor", "factor", factor, { low: -2, high: 3, step: 0.05 }, ticks, "×", change);
}

/** A strength in median residual norms, with a mark where the direction is as strong as in the texts it was made from. */
export function strengthSlider(strength: number, natural: number, change: (strength: number) => void): HTMLElement[] {
  const reach = Math.max(0.6, 3 * Math.abs(natural));
  const ticks = [{ at: 0, name: "0" }, ...(natural ? [{ at: natural, name: `natural ${Number(natural.toPrecision(2))}`, after: true }] : [])];
  return slider("Strength", "strength", strength, { low: -reach, high: reach, step: 0.01 }, ticks, "median norms", change);
}

/** A strength in median norms of what is added to a reading; no mark, since each token has its own natural one. */
export function readingSlider(strength: number, change: (strength: number) => void): HTMLElement[] {
  const ticks = [{ at: 0, name: "0" }, { at: 1, name: "1" }];
  return slider("Strength", "strength", strength, { low: -1, high: 1, step: 0.05 }, ticks, "median norms", change);
}

/** How much of a kept edit is in force: 0 nothing, 1 as it was kept. */
export function doseSlider(name: string, strength: number, change: (strength: number) => void): HTMLElement[] {
  const ticks = [{ at: 0, name: "0" }, { at: 1, name: "1" }, { at: 2, name: "2" }];
  return slider(name, "dose", strength, { low: 0, high: 2, step: 0.05 }, ticks, "×", change);
}

function slider(name: string, id: string, value: number, { low, high, step }: Span, ticks: Tick[], unit: string, change: (x: number) => void): HTMLElement[] {
  const bounds = { min: low, max: high, step, value, "data-act": true };
  const range = h("input", { type: "range", ...bounds, "aria-label": name, "data-testid": id });
  const number = h("input", { type: "number", ...bounds, "aria-label": `${name}, exact`, "data-testid": `${id}-number` });
  const said = (from: HTMLInputElement, to: HTMLInputElement) => () => {
    from.setAttribute("aria-invalid", String(!Number.isFinite(from.valueAsNumber)));
    if (!Number.isFinite(from.valueAsNumber)) return;
    to.value = from.value;
    change(from.valueAsNumber);
  };
  range.addEventListener("input", said(range, number));
  number.addEventListener("input", said(number, range));
  const marks = ticks.map(({ at, ...words }) => tick((at - low) / (high - low), words));
  return [h("div", { class: "mi-slider" }, range, h("div", { class: "mi-slider-ticks", "aria-hidden": "true" }, ...marks)), h("label", { class: "mi-number" }, number, unit)];
}

function tick(share: number, { name, after }: Omit<Tick, "at">): HTMLElement {
  const mark = h("span", { class: after ? "mi-after" : null }, name);
  mark.style.setProperty("--at", String(share));
  return mark;
}
