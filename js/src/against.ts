// The stroke that tells the orange side from the blue one where hue does not: in greyscale, in print, to any eye.

import type { Panel } from "./border";
import { ink, place, type Rgb } from "./color";
import type { Size } from "./geometry";

type Brush = CanvasRenderingContext2D;
type Point = { x: number; y: number };
const CLEAR = 0.2; // of the colour range: what is paler is hardly told from zero anyway
const LONGEST = 9;

/** Whether a value lies so far on the orange side that its cell is stroked. */
export function isAgainst({ scale, range, toward, spacing }: Pick<Panel, "scale" | "range" | "toward" | "spacing">, value: number): boolean {
  return scale === "signed" && place(value, range, toward === -1, spacing === "log") <= (1 - CLEAR) / 2;
}

/** A short stroke around a point, from upper left to lower right, the other way than the hatching of what is not computed. */
export function stroke(brush: Brush, { x, y }: Point, { width, height }: Size, on: Rgb): void {
  const half = Math.min(LONGEST, 0.6 * Math.min(width, height)) / 2;
  brush.strokeStyle = ink(on);
  brush.lineWidth = Math.max(1, half / 3);
  brush.beginPath();
  brush.moveTo(x - half, y - half);
  brush.lineTo(x + half, y + half);
  brush.stroke();
}
