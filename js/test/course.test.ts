import { expect, test } from "vitest";
import type { Panel, Token } from "../src/border";
import { column, courseWords, widened } from "../src/course";
import { numbers } from "../src/legend";
import { path } from "../src/line";

const TOKENS: Token[] = ["<s>", "·is"].map((text, index) => ({ index, id: index, text, kind: "text", bos: false }));
const panel = (over: Partial<Panel>): Panel => ({
  name: "lens", title: "", rows: { name: "layer", labels: ["0", "1", "2"], places: [] }, cols: { name: "position", labels: ["<s>", "·is"], places: [] },
  values: Float32Array.of(9, 0.25, 9, 0.75, 9, 0.5), scale: "sequential", range: [0, 1], unit: "probability", quantity: 'probability of " a"', sign: "", notes: [], toward: 0,
  spacing: "even", bright: "high", excluded: [0], causal: false, texts: null, top: null, vocabulary: null, thumbnails: null, pictured: [0, 1], grouped: 1, estimated: null, kind: "residual", part: "post", instrument: "lens", ...over,
});

test("a column goes through the rows", () => {
  expect(column(panel({}), 1)).toEqual([0.25, 0.75, 0.5]);
  expect(column(panel({}), 0)).toEqual([9, 9, 9]);
});

test("a path breaks where a number is missing", () => {
  expect(path([0, 1])).toBe("M58 102L408 10");
  expect(path([0, NaN, 1])).toBe("M58 102M408 10");
  expect(path([NaN, 0.5, 1])).toBe("M233 56L408 10");
  expect(path([0.5])).toBe("M233 56");
});

test("a line is told by where it begins, is best and ends; less is better where low is bright", () => {
  const plainly = (panels: Panel[]) => courseWords(panels, 1, TOKENS).replaceAll(/[\u2068\u2069]/g, "");
  expect(plainly([panel({})])).toBe('probability of " a", position 1 ‘·is’: 0.25 after layer 0, 0.75 after layer 1, 0.5 after layer 2.');
  expect(plainly([panel({ bright: "low" })])).toBe('probability of " a", position 1 ‘·is’: 0.25 after layer 0, 0.5 after layer 2.');
  const gap = panel({ name: "edited", values: Float32Array.of(9, NaN, 9, NaN, 9, NaN) });
  expect(plainly([panel({}), gap])).toContain("clean: 0.25 after layer 0");
  expect(plainly([panel({}), gap])).toMatch(/edited: not computed\.$/);
});

test("a column outside the colour scale is not cut off", () => {
  expect(widened(panel({}), [0.5, 9])).toEqual([0, 9]);
  expect(widened({ range: [-2, 2], scale: "signed" }, [-3, NaN])).toEqual([-3, 3]);
});

test("a legend's numbers stand where its colours are", () => {
  expect(numbers(panel({}))).toEqual(["0", "0.50", "1.00"]);
  expect(numbers(panel({ unit: "rank", range: [1, 10000], spacing: "log", bright: "low" }))).toEqual(["10,000", "100", "1"]);
  expect(numbers(panel({ scale: "signed", range: [-2, 2], toward: -1 }))).toEqual(["+2.00", "0", "−2.00"]);
});
