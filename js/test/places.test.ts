import { expect, test } from "vitest";
import { cellOf, keyOf } from "../src/places";

const axis = (name: string, places: number[][]) => ({ name, places, labels: places.map(String) });
const layers = axis("layer", [[0], [1], [2]]);
const heads = { kind: "head", part: "z", rows: layers, cols: axis("head", [[0], [1], [2], [3]]) };
const after = { kind: "residual", part: "post", rows: layers, cols: axis("position", [[0], [1]]) };
const before = { ...after, part: "pre" };
const spread = { kind: "head", part: "z", rows: axis("layer·head", [[0, 0], [0, 1], [1, 0], [1, 1]]), cols: axis("position", [[0], [1]]) };

test("a key finds its own cell again, the first and the last included", () => {
  for (const panel of [heads, after, before, spread])
    for (const [row, col] of [[0, 0], [panel.rows.labels.length - 1, panel.cols.labels.length - 1]])
      expect(cellOf(panel, keyOf(panel, { row, col }))).toEqual({ row, col });
});

test("what leaves a block is what the next one reads", () => {
  expect(cellOf(before, keyOf(after, { row: 0, col: 1 }))).toEqual({ row: 1, col: 1 });
  expect(cellOf(after, keyOf(before, { row: 2, col: 0 }))).toEqual({ row: 1, col: 0 });
  expect(cellOf(before, keyOf(after, { row: 2, col: 0 }))).toBeNull();
});

test("axes that change places hold the same sites", () => {
  const turned = { ...heads, rows: heads.cols, cols: heads.rows };
  expect(cellOf(turned, keyOf(heads, { row: 1, col: 3 }))).toEqual({ row: 3, col: 1 });
});

test("another kind, another part or a position is another place", () => {
  expect(cellOf(after, keyOf(heads, { row: 0, col: 0 }))).toBeNull();
  expect(cellOf({ ...heads, part: "q" }, keyOf(heads, { row: 0, col: 0 }))).toBeNull();
  expect(cellOf(heads, keyOf(spread, { row: 0, col: 0 }))).toBeNull();
});

test("several numbers of one place have its key", () => {
  const places = axis("layer·neuron", [[2, 7], [0, 0]]);
  const table = { kind: "neuron", part: "post", rows: places, cols: { name: "effect", labels: ["estimate", "exact"], places: [] } };
  const map = { kind: "neuron", part: "post", rows: layers, cols: axis("neuron", [[0], [7]]) };
  for (const col of [0, 1]) expect(cellOf(map, keyOf(table, { row: 0, col }))).toEqual({ row: 2, col: 1 });
  expect(cellOf(table, keyOf(map, { row: 0, col: 0 }))).toEqual({ row: 1, col: 0 });
});

test("cells that are no places have no key", () => {
  expect(keyOf({ ...heads, kind: "" }, { row: 0, col: 0 })).toBe("");
  expect(cellOf({ ...heads, kind: "" }, "")).toBeNull();
});
