// Many cells in few pixels, without a page.

import type { Run } from "./geometry";

/**
 * For each pixel of a picture [height, width] of some rows and columns, the index of the cell in it that is furthest
 * from 0, or, where `least`, the least; -1 where no cell has a number. Where there is a pixel for each cell, that is the
 * cell.
 *
 * The largest and not the mean: a head that looks at one position keeps its bright line however small it is drawn.
 */
export function heaviest(values: Float32Array, cols: number, rowRun: Run, colRun: Run, height: number, width: number, least = false): Int32Array {
  const best = new Int32Array(height * width).fill(-1);
  const [down, across] = [height / (rowRun.to - rowRun.from), width / (colRun.to - colRun.from)];
  const weigh = least ? (value: number) => -value : Math.abs;
  const places = Int32Array.from({ length: colRun.to - colRun.from }, (_, i) => Math.floor(i * across));
  for (let row = rowRun.from; row < rowRun.to; row++) {
    const line = Math.floor((row - rowRun.from) * down) * width;
    for (let col = colRun.from; col < colRun.to; col++) {
      const index = row * cols + col;
      const at = line + places[col - colRun.from];
      const size = weigh(values[index]);
      if (best[at] < 0 ? size === size : size > weigh(values[best[at]])) best[at] = index;
    }
  }
  return best;
}
