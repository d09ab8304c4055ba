import { expect, test } from "vitest";
import { heaviest } from "../src/pool";

// 3 rows × 4 columns
const VALUES = Float32Array.of(0, 1, 2, NaN, 0.5, -7, NaN, NaN, 3, 0, 0, 9);
const all = (count: number) => ({ from: 0, to: count });

test("with a pixel for each cell, each is its cell, and none where there is no number", () => {
  expect([...heaviest(VALUES, 4, all(3), all(4), 3, 4)]).toEqual([0, 1, 2, -1, 4, 5, -1, -1, 8, 9, 10, 11]);
});

test("a pixel keeps the cell furthest from zero, so that a thin line stays bright", () => {
  expect([...heaviest(VALUES, 4, all(3), all(4), 1, 2)]).toEqual([5, 11]);
  expect([...heaviest(VALUES, 4, all(3), all(4), 3, 1)]).toEqual([2, 5, 11]);
});

test("only the stretch that is seen is drawn", () => {
  expect([...heaviest(VALUES, 4, { from: 1, to: 3 }, { from: 1, to: 4 }, 2, 3)]).toEqual([5, -1, -1, 9, 10, 11]);
});

test("where less is better a pixel keeps the least", () => {
  expect([...heaviest(VALUES, 4, all(3), all(4), 1, 2, true)]).toEqual([5, 10]);
});
