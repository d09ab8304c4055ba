// Where cells are, without a page: sizes, pixel to cell, rectangles, keyboard steps, which labels fit.

export type Cell = { row: number; col: number };
export type Shape = { rows: number; cols: number };
export type Size = { width: number; height: number };
export type Fit = { available: number; tall: number; least: Size; most: Size; square?: boolean };

const WIDEST = 3072; // a canvas much larger than this is refused or blurred by some browsers

/** The size of one cell, in whole pixels, so that edges are crisp: as large as the room allows, within bounds. */
export function cellSize({ rows, cols }: Shape, { available, tall, least, most, square }: Fit): Size {
  const width = bounded(Math.floor(available / cols), floorFor(cols, least.width), most.width);
  const height = bounded(Math.floor(tall / rows), floorFor(rows, least.height), most.height);
  if (!square) return { width, height };
  const side = Math.min(width, Math.max(width, height), most.height);
  return { width: side, height: side };
}

const bounded = (x: number, low: number, high: number) => Math.max(low, Math.min(high, x));
const floorFor = (count: number, least: number) => Math.max(1, Math.min(least, Math.floor(WIDEST / count)));

/** The cell under a point, or the nearest one outside. The first cell begins at 0 and owns its left and top edge. */
export function nearestCell(x: number, y: number, { width, height }: Size, { rows, cols }: Shape): Cell {
  return { row: bounded(Math.floor(y / height), 0, rows - 1), col: bounded(Math.floor(x / width), 0, cols - 1) };
}

/** All cells of the rectangle with these two corners, whichever they are, row by row. */
export function rectangle(a: Cell, b: Cell): Cell[] {
  const [top, bottom] = [Math.min(a.row, b.row), Math.max(a.row, b.row)];
  const [left, right] = [Math.min(a.col, b.col), Math.max(a.col, b.col)];
  const cells: Cell[] = [];
  for (let row = top; row <= bottom; row++) for (let col = left; col <= right; col++) cells.push({ row, col });
  return cells;
}

/** All cells of the rows, or of the columns, that these two cells lie in or between. */
export function lines(axis: "row" | "col", a: Cell, b: Cell, { rows, cols }: Shape): Cell[] {
  return axis === "row" ? rectangle({ ...a, col: 0 }, { ...b, col: cols - 1 }) : rectangle({ ...a, row: 0 }, { ...b, row: rows - 1 });
}

const PAGE = 5;
const STEPS: Record<string, [rows: number, cols: number]> = {
  ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
  PageUp: [-PAGE, 0], PageDown: [PAGE, 0], Home: [0, -Infinity], End: [0, Infinity],
};

/** Where a key leads from a cell, or null if the key does not move. With Ctrl, Home and End go to the map's corners. */
export function step(key: string, from: Cell, { rows, cols }: Shape, ctrl = false): Cell | null {
  const move = STEPS[key];
  if (!move) return null;
  const [down, right] = ctrl && Number.isFinite(move[1]) === false ? [move[1], move[1]] : move;
  return { row: bounded(from.row + down, 0, rows - 1), col: bounded(from.col + right, 0, cols - 1) };
}

/** Every how many labels fit when one needs `room` pixels and the next starts `pitch` pixels on: 1, 2, 5, 10, 20 … */
export function labelStep(room: number, pitch: number): number {
  for (let ten = 1; ; ten *= 10) for (const digit of [1, 2, 5]) if (digit * ten * pitch >= room) return digit * ten;
}
