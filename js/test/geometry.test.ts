import { expect, test } from "vitest";
import { cellSize, labelStep, lines, nearestCell, rectangle, step } from "../src/geometry";

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

test("whole rows and columns of what two cells span", () => {
  const [a, b] = [{ row: 2, col: 1 }, { row: 1, col: 1 }];
  expect(lines("row", a, b, { rows: 3, cols: 2 })).toEqual([{ row: 1, col: 0 }, { row: 1, col: 1 }, { row: 2, col: 0 }, { row: 2, col: 1 }]);
  expect(lines("col", a, b, { rows: 3, cols: 2 })).toEqual([{ row: 0, col: 1 }, { row: 1, col: 1 }, { row: 2, col: 1 }]);
});

test("cells fill the room within bounds, in whole pixels", () => {
  const fit = { available: 500, tall: 480, least: LEAST, most: MOST };
  expect(cellSize({ rows: 30, cols: 16 }, fit)).toEqual({ width: 31, height: 16 });
  expect(cellSize({ rows: 3, cols: 4 }, fit)).toEqual(MOST);
  expect(cellSize({ rows: 64, cols: 512 }, fit)).toEqual({ width: 6, height: 7 });
  expect(cellSize({ rows: 5, cols: 4096 }, fit).width).toBe(1); // a canvas has a largest size
});

test("a pattern has square cells", () => {
  const fit = { available: 500, tall: Infinity, least: LEAST, most: { width: 30, height: 30 }, square: true };
  expect(cellSize({ rows: 16, cols: 16 }, fit)).toEqual({ width: 30, height: 30 });
  expect(cellSize({ rows: 50, cols: 50 }, fit)).toEqual({ width: 10, height: 10 });
});

test("labels are thinned to every 1st, 2nd, 5th, 10th …", () => {
  expect(labelStep(12, 12)).toBe(1);
  expect(labelStep(12, 7)).toBe(2);
  expect(labelStep(12, 3)).toBe(5);
  expect(labelStep(30, 1)).toBe(50);
});
