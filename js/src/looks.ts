// What one token looks at, and what looks at it: a row and a column of a pattern, without a page.

import type { Panel } from "./border";

export type Share = { position: number; value: number };
/** Numbers by position, NaN where there is none. `to`: from this token to each; `from`: from each other token to it. */
export type Looks = { at: number; to: Float32Array; from: Float32Array };

export function looksOf({ values, cols }: Panel, at: number): Looks {
  const width = cols.labels.length;
  const from = new Float32Array(width);
  for (let row = 0; row < width; row++) from[row] = row === at ? NaN : values[row * width + at];
  return { at, to: values.slice(at * width, (at + 1) * width), from };
}

/** The positions with the numbers furthest from 0, the first of them first, and none that is 0. */
export function strongest(numbers: Float32Array, count: number): Share[] {
  const best: Share[] = [];
  numbers.forEach((value, position) => {
    const size = Math.abs(value);
    if (!size || (best.length === count && size <= Math.abs(best[count - 1].value))) return;
    const place = best.findIndex((other) => Math.abs(other.value) < size);
    best.splice(place < 0 ? best.length : place, 0, { position, value });
    best.length = Math.min(best.length, count);
  });
  return best;
}

const FAINTEST = 0.005; // of a full tint's value: less could not be seen
const STEP = 4;

/** How strong a tint is, 0 to 100: square-root, as in the pictures of heads, in steps that can be told apart. */
export function tint(value: number, most: number): number {
  const share = Math.min(1, Math.abs(value) / most);
  return share >= FAINTEST ? STEP * Math.round((100 / STEP) * Math.sqrt(share)) : 0;
}
