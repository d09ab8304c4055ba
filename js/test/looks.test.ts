import { expect, test } from "vitest";
import type { Panel } from "../src/border";
import { looksOf, strongest, tint } from "../src/looks";

const LABELS = { name: "query_pos", labels: ["a", "b", "c"], places: [] };
const PATTERN = { rows: LABELS, cols: LABELS, values: Float32Array.of(1, NaN, NaN, 0.3, 0.7, NaN, 0.2, 0.5, 0.3) } as unknown as Panel;

test("a row is what a token looks at, a column what looks at it, and itself counts once", () => {
  const looks = looksOf(PATTERN, 1);
  expect([...looks.to]).toEqual([Math.fround(0.3), Math.fround(0.7), NaN]);
  expect([...looks.from]).toEqual([NaN, NaN, 0.5]);
  expect([...looksOf(PATTERN, 0).from].slice(1)).toEqual([Math.fround(0.3), Math.fround(0.2)]);
});

test("the strongest come first, ties in their order, and nothing is not among them", () => {
  const numbers = Float32Array.of(0.1, NaN, 0.5, -0.5, 0, 0.7);
  expect(strongest(numbers, 3).map(({ position }) => position)).toEqual([5, 2, 3]);
  expect(strongest(numbers, 9).map(({ position }) => position)).toEqual([5, 2, 3, 0]);
  expect(strongest(Float32Array.of(NaN, 0), 3)).toEqual([]);
});

test("a tint grows with the root, in few steps, and what could not be seen has none", () => {
  expect([1, 0.25, 0.26, 0.0049, -0.25, NaN].map((value) => tint(value, 1))).toEqual([100, 52, 52, 0, 52, 0]);
  expect([tint(2, 8), tint(9, 8)]).toEqual([52, 100]);
});
