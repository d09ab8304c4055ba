import { expect, test } from "vitest";
import { anchored, cellSize, enlarged, labelStep, lines, nearestCell, rectangle, shown, step, zoomed, zoomRange } from "../src/geometry";

const SIZE = { width: 20, height: 10 };
const SHAPE = { rows: 3, cols: 4 }; // rows and columns differ, so that a transposition cannot pass

test("the first cell begins at 0 and owns its left and top edge", () => {
  expect(nearestCell(0, 0, SIZE, SHAPE)).toEqual({ row: 0, col: 0 });
  expect(nearestCell(19.99, 9.99, SIZE, SHAPE)).toEqual({ row: 0, col: 0 });
  expect(nearestCell(20, 10, SIZE, SHAPE)).toEqual({ row: 1, col: 1 });
  expect(nearestCell(79.9, 29.9, SIZE, SHAPE)).toEqual({ row: 2, col: 3 });
});

test("outside, the nearest cell counts", () => {
  expect(nearestCell(-5, -5, SIZE, SHAPE)).toEqual({ row: 0, col: 0 });
  expect(nearestCell(500, 11, SIZE, SHAPE)).toEqual({ row: 1, col: 3 });
  expect(nearestCell(21, 500, SIZE, SHAPE)).toEqual({ row: 2, col: 1 });
});

test("a rectangle has the same cells from whichever corner it is drawn", () => {
  const cells = [[0, 1], [0, 2], [1, 1], [1, 2]].map(([row, col]) => ({ row, col }));
  expect(rectangle({ row: 0, col: 1 }, { row: 1, col: 2 })).toEqual(cells);
  expect(rectangle({ row: 1, col: 1 }, { row: 0, col: 2 })).toEqual(cells);
  expect(rectangle({ row: 0, col: 0 }, { row: 0, col: 0 })).toEqual([{ row: 0, col: 0 }]);
});

test.each([
  ["ArrowRight", false, { row: 1, col: 2 }],
  ["ArrowLeft", false, { row: 1, col: 0 }],
  ["ArrowUp", false, { row: 0, col: 1 }],
  ["ArrowDown", false, { row: 2, col: 1 }],
  ["PageDown", false, { row: 2, col: 1 }],
  ["PageUp", false, { row: 0, col: 1 }],
  ["Home", false, { row: 1, col: 0 }],
  ["End", false, { row: 1, col: 3 }],
  ["Home", true, { row: 0, col: 0 }],
  ["End", true, { row: 2, col: 3 }],
])("%s (ctrl %s)", (key, ctrl, to) => expect(step(key, { row: 1, col: 1 }, SHAPE, ctrl)).toEqual(to));

test("the edge holds, and other keys do not move", () => {
  expect(step("ArrowUp", { row: 0, col: 0 }, SHAPE)).toEqual({ row: 0, col: 0 });
  expect(step("a", { row: 0, col: 0 }, SHAPE)).toBeNull();
});

const LEAST = { width: 6, height: 6 };
const MOST = { width: 52, height: 28 };
const FIT = { available: 500, tall: 480, least: LEAST, most: MOST, closest: { width: 64, height: 28 } };
const PATTERN = { available: 500, tall: Infinity, least: { width: 0, height: 0 }, most: { width: 30, height: 30 }, closest: { width: 48, height: 48 }, square: true };

test("whole rows and columns of what two cells span", () => {
  const [a, b] = [{ row: 2, col: 1 }, { row: 1, col: 1 }];
  expect(lines("row", a, b, { rows: 3, cols: 2 })).toEqual([{ row: 1, col: 0 }, { row: 1, col: 1 }, { row: 2, col: 0 }, { row: 2, col: 1 }]);
  expect(lines("col", a, b, { rows: 3, cols: 2 })).toEqual([{ row: 0, col: 1 }, { row: 1, col: 1 }, { row: 2, col: 1 }]);
});

test("cells fill the room within bounds, in whole pixels", () => {
  expect(cellSize({ rows: 30, cols: 16 }, FIT)).toEqual({ width: 31, height: 16 });
  expect(cellSize({ rows: 3, cols: 4 }, FIT)).toEqual(MOST);
  expect(cellSize({ rows: 64, cols: 512 }, FIT)).toEqual({ width: 6, height: 7 });
  expect(cellSize({ rows: 5, cols: 4096 }, FIT).width).toBe(6); // only what is seen is painted
});

test("a pattern has square cells, and all of it is seen however long it is", () => {
  expect(cellSize({ rows: 16, cols: 16 }, PATTERN)).toEqual({ width: 30, height: 30 });
  expect(cellSize({ rows: 48, cols: 48 }, PATTERN)).toEqual({ width: 10, height: 10 });
  expect(cellSize({ rows: 1000, cols: 1000 }, PATTERN)).toEqual({ width: 0.5, height: 0.5 });
});

test("with the page to itself a pattern is seen whole, a map in cells that may be twice as large", () => {
  const page = { ...PATTERN, available: 1200 };
  expect(cellSize({ rows: 16, cols: 16 }, enlarged({ rows: 16, cols: 16 }, page, 640))).toEqual({ width: 40, height: 40 });
  expect(cellSize({ rows: 4, cols: 4 }, enlarged({ rows: 4, cols: 4 }, page, 640))).toEqual({ width: 60, height: 60 });
  expect(cellSize({ rows: 30, cols: 9 }, enlarged({ rows: 30, cols: 9 }, { ...FIT, available: 1200 }, 640))).toEqual({ width: 104, height: 21 });
  const pictures = { ...page, least: { width: 28, height: 28 }, most: { width: 46, height: 46 } };
  expect(cellSize({ rows: 30, cols: 9 }, enlarged({ rows: 30, cols: 9 }, pictures, 640)).width).toBe(92); // a row is seen whole
});

test("zoom goes out until all is seen and in until cells are close, and no further", () => {
  const [long, wide] = [{ rows: 1000, cols: 1000 }, { rows: 30, cols: 500 }];
  expect(zoomRange(long, PATTERN)).toEqual({ least: 1, most: 96 });
  expect(zoomed(long, PATTERN, 96)).toEqual({ width: 48, height: 48 });
  expect(zoomed(long, PATTERN, 500)).toEqual({ width: 48, height: 48 });
  expect(zoomed(long, PATTERN, 10.5)).toEqual({ width: 5, height: 5 });
  const { least, most } = zoomRange(wide, FIT);
  expect(zoomed(wide, FIT, least).width * 500).toBeLessThanOrEqual(500);
  expect(zoomed(wide, FIT, most)).toEqual({ width: 64, height: 28 });
  expect(zoomRange({ rows: 3, cols: 4 }, FIT)).toEqual({ least: 1, most: 64 / 52 });
});

test("what lies under the pointer stays there when cells change size", () => {
  const scroll = anchored(100, 50, 2, 6);
  expect((scroll + 50) / 6).toBe((100 + 50) / 2);
  expect(anchored(0, 50, 6, 2)).toBe(0); // there is nothing before the first cell
});

test("a window shows the cells that reach into it", () => {
  expect(shown(0, 100, 10, 40)).toEqual({ from: 0, to: 10 });
  expect(shown(15, 100, 10, 40)).toEqual({ from: 1, to: 12 });
  expect(shown(-3, 100, 0.5, 150)).toEqual({ from: 0, to: 150 });
  expect(shown(380, 100, 10, 40)).toEqual({ from: 38, to: 40 });
});

test("labels are thinned to every 1st, 2nd, 5th, 10th …", () => {
  expect(labelStep(12, 12)).toBe(1);
  expect(labelStep(12, 7)).toBe(2);
  expect(labelStep(12, 3)).toBe(5);
  expect(labelStep(30, 1)).toBe(50);
});
