import { expect, test } from "vitest";
import { cellsOf, picked } from "../src/selection";

const FIRST = { row: 0, col: 0 };
const OTHER = { row: 2, col: 1 };

test("a click picks only this cell, whatever was picked in other panels", () => {
  expect(picked([[1, 3, 3], [0, 5, 5]], 0, [FIRST], "only")).toEqual([[0, 0, 0]]);
});

test("a click on the only picked cell lets it go", () => {
  expect(picked([[0, 0, 0]], 0, [FIRST], "only")).toEqual([]);
  expect(picked([[0, 0, 0], [0, 2, 1]], 0, [FIRST], "only")).toEqual([[0, 0, 0]]);
});

test("replacing never lets go", () => expect(picked([[0, 0, 0]], 0, [FIRST], "replace")).toEqual([[0, 0, 0]]));

test("toggling takes and gives, in one panel", () => {
  expect(picked([[0, 0, 0]], 0, [OTHER], "toggle")).toEqual([[0, 0, 0], [0, 2, 1]]);
  expect(picked([[0, 0, 0], [1, 0, 0]], 0, [FIRST], "toggle")).toEqual([[1, 0, 0]]);
});

test("adding what is there already changes nothing", () => {
  expect(picked([[0, 0, 0]], 0, [FIRST, OTHER], "add")).toEqual([[0, 0, 0], [0, 2, 1]]);
});

test("a panel finds its own cells", () => expect(cellsOf([[0, 1, 1], [1, 0, 0]], 1)).toEqual([FIRST]));
