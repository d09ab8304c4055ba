// Where cells are, without a page: sizes, zoom, pixel to cell, what a window shows, keyboard steps, which labels fit.

export type Cell = { row: number; col: number };
export type Shape = { rows: number; cols: number };
export type Size = { width: number; height: number };
/** The places of an axis from the first to before the last. */
export type Run = { from: number; to: number };
/** How large cells want to be: `least` and `most` before any zoom, `closest` at the end of it. */
export type Fit = { available: number; tall: number; least: Size; most: Size; closest: Size; square?: boolean };

const LARGER = 2;

/** The size of one cell before any zoom: as large as the room allows, within bounds. */
export function cellSize({ rows, cols }: Shape, { available, tall, least, most, square }: Fit): Size {
  const width = crisp(bounded(available / cols, least.width, most.width));
  const height = crisp(bounded(tall / rows, least.height, most.height));
  if (!square) return { width, height };
  const side = Math.min(width, Math.max(width, height), most.height);
  return { width: side, height: side };
}

/** The same for a map that has the page to itself: larger cells, of a pattern as large as lets it be seen whole. */
export function enlarged({ rows, cols }: Shape, fit: Fit, tall: number): Fit {
  const most = { width: LARGER * fit.most.width, height: LARGER * fit.most.height };
  const closest = { width: Math.max(most.width, fit.closest.width), height: Math.max(most.height, fit.closest.height) };
  const whole = fit.least.width ? Infinity : tall;
  return { ...fit, available: Math.min(fit.available, (whole * cols) / rows), tall, most, closest };
}

/** How far a map can be zoomed: out until all of it is seen, in until its cells are as close as they get. */
export function zoomRange(shape: Shape, fit: Fit): { least: number; most: number } {
  const size = cellSize(shape, fit);
  const all = allSeen(shape, fit, size);
  return {
    least: Math.min(all.width / size.width, all.height / size.height),
    most: Math.max(1, fit.closest.width / size.width, fit.closest.height / size.height),
  };
}

/** The size of one cell under a zoom: neither smaller than it has to be nor larger than it may be. */
export function zoomed(shape: Shape, fit: Fit, zoom: number): Size {
  const size = cellSize(shape, fit);
  const all = allSeen(shape, fit, size);
  const along = (side: keyof Size) => crisp(bounded(size[side] * zoom, all[side], Math.max(size[side], fit.closest[side])));
  return { width: along("width"), height: along("height") };
}

/** The size at which the whole map is in the window; that before any zoom where it is already. */
function allSeen({ rows, cols }: Shape, { available, tall, square }: Fit, { width, height }: Size): Size {
  if (square) return { width, height };
  return { width: Math.min(width, available / cols), height: Math.min(height, tall / rows) };
}

/** Where to scroll so that what lies under a point, `at` pixels into the window, stays there when cells change size. */
export function anchored(scroll: number, at: number, before: number, after: number): number {
  return Math.max(0, ((scroll + at) / before) * after - at);
}

/** The places that a window of `extent` pixels shows, `shift` pixels into an axis. */
export function shown(shift: number, extent: number, pitch: number, count: number): Run {
  return { from: bounded(Math.floor(shift / pitch), 0, count), to: bounded(Math.ceil((shift + extent) / pitch), 0, count) };
}

const bounded = (x: number, low: number, high: number) => Math.max(low, Math.min(high, x));
/** Edges are crisp where cells are whole pixels; below two, a whole pixel more or less would be too much. */
const crisp = (x: number) => (x < 2 ? x : Math.floor(x));

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

/** From values to pixels: the least of them at `from`, the largest at `to`. */
export function scaled(values: number[], from: number, to: number): (value: number) => number {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const span = high - low || 1;
  return (value) => from + ((value - low) / span) * (to - from);
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
