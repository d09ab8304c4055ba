// The labels of an axis: how wide they are, measured once for every zoom, and which of them there is room for.

import type { Axis, Token } from "./border";
import { labelStep, type Run } from "./geometry";
import { label, onTokens } from "./reading";

type Brush = CanvasRenderingContext2D;

export const LABEL = 11;
const LINE = 13; // the least distance between the baselines of two labels
const LONGEST = 78;
export const SLANT = Math.PI / 4;

/** How the labels of an axis stand: in a band so high or wide, leaning or not, every step-th of them. */
export type Header = { length: number; slanted: boolean; step: number };

export class Lettering {
  readonly count: number;
  /** The widest of the labels as they are written on the axis, in pixels. */
  readonly longest: number;
  private readonly onTokens: boolean;
  private readonly labels: string[];
  private readonly widths: Float64Array;

  constructor(brush: Brush, axis: Axis, tokens: Token[], font: string) {
    this.onTokens = onTokens(axis, tokens);
    this.labels = axis.labels.map((_, i) => (this.onTokens && tokens[i].bos ? "BOS" : label(axis, i, tokens)));
    this.count = this.labels.length;
    brush.font = `${LABEL}px ${font}`;
    const known = new Map<string, number>();
    for (const text of this.labels) if (!known.has(text)) known.set(text, brush.measureText(text).width);
    this.widths = Float64Array.from(this.labels, (text) => known.get(text)!);
    this.longest = Math.min(LONGEST, this.widths.reduce((most, width) => Math.max(most, width), 0));
  }

  /** The label of one place, whole; the long name of the first token is said in the token strip. */
  whole(index: number): string {
    return this.labels[index];
  }

  /** The same, cut where it is too long for the axis. */
  written(brush: Brush, index: number): string {
    return this.isCut(index) ? ellipsis(brush, this.labels[index], LONGEST) : this.labels[index];
  }

  isCut(index: number): boolean {
    return this.widths[index] > LONGEST;
  }

  /** As labels of rows. */
  beside(pitch: number): Header {
    return { length: Math.ceil(this.longest) + 12, slanted: false, step: this.step(LINE, pitch) };
  }

  /** As labels of columns: upright where they fit, numbers thinned out, else leaning. */
  above(pitch: number): Header {
    if (this.longest + 5 <= pitch) return { length: 18, slanted: false, step: 1 };
    if (!this.onTokens && this.longest < 30) return { length: 18, slanted: false, step: labelStep(this.longest + 6, pitch) };
    return { length: Math.ceil(this.longest * Math.sin(SLANT)) + 16, slanted: true, step: this.step(LINE, pitch * Math.sin(SLANT)) };
  }

  /** How far leaning labels reach beyond the last column. */
  overhang(pitch: number, { slanted }: Header): number {
    if (!slanted) return 2;
    const last = Math.max(0, this.count - Math.ceil(LONGEST / pitch) - 1);
    let most = 0;
    for (let i = last; i < this.count; i++)
      most = Math.max(most, Math.min(LONGEST, this.widths[i]) * Math.cos(SLANT) - (this.count - i - 0.5) * pitch);
    return Math.ceil(most) + 8;
  }

  private step(room: number, pitch: number): number {
    return this.onTokens ? Math.max(1, Math.ceil(room / pitch)) : labelStep(room, pitch);
  }
}

/** Which labels of a stretch are written: every step-th, and the lit one, which pushes its close neighbours aside. */
export function chosen({ from, to }: Run, step: number, lit: number | null): number[] {
  const places: number[] = [];
  for (let i = Math.ceil(from / step) * step; i < to; i += step) if (lit === null || i === lit || Math.abs(i - lit) >= step) places.push(i);
  if (lit !== null && lit % step && lit >= from && lit < to) places.push(lit);
  return places;
}

/** Text cut so that it fits, with "…" for what is missing. */
export function ellipsis(brush: Brush, text: string, room: number): string {
  if (brush.measureText(text).width <= room) return text;
  const letters = [...text];
  let low = 0;
  let high = letters.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (brush.measureText(letters.slice(0, middle).join("") + "…").width <= room) low = middle;
    else high = middle - 1;
  }
  return letters.slice(0, low).join("") + "…";
}

