import { expect, test } from "vitest";
import { decode, readPanel, sameAct, sameDraft, sameTray, samePicks, sortedPicks, type PanelWire, type Wire } from "../src/border";

/** Numbers as they arrive: a view somewhere inside a larger buffer. */
function floats(shape: number[], values: number[], shift = 3): Wire {
  const bytes = new Uint8Array(shift + values.length * 4);
  bytes.set(new Uint8Array(Float32Array.from(values).buffer), shift);
  return { shape, dtype: "float32", data: new DataView(bytes.buffer, shift) };
}

const PANEL: PanelWire = {
  name: "heads", title: "", rows: { name: "layer", labels: ["0", "1"], places: [] }, cols: { name: "head", labels: ["0", "1", "2"], places: [] },
  values: floats([2, 3], [0, 1, 2, 3, NaN, 5]), scale: "signed", range: [-5, 5], unit: "logits", quantity: "", sign: "", notes: [], toward: 1, spacing: "even", bright: "high",
  excluded: [], causal: false, texts: null, top: null, vocabulary: null, thumbnails: null, pictured: [0, 1], grouped: 1, estimated: null, kind: "", part: "", instrument: "",
};

test("an odd byteOffset shifts nothing", () => {
  expect([...decode(floats([3], [1.5, -2, 0]))]).toEqual([1.5, -2, 0]);
});

test("numbers that had to come as text are the same", () => {
  expect([...decode({ shape: [2], dtype: "float32", data: "AADAPwAAAMA=" })]).toEqual([1.5, -2]);
});

test("bytes that do not fit the shape are refused", () => {
  expect(() => decode({ ...floats([3], [1, 2, 3]), shape: [4] })).toThrow("12 bytes are not 4 of float32");
  expect(() => decode({ ...floats([1], [1]), dtype: "float64" as never })).toThrow("float64");
});

test("a panel keeps its zero and its NaN", () => {
  const { values } = readPanel(PANEL);
  expect(values[0]).toBe(0);
  expect(values[4]).toBeNaN();
});

test("a panel whose labels and numbers disagree is refused by name", () => {
  const transposed = { ...PANEL, rows: PANEL.cols, cols: PANEL.rows };
  expect(() => readPanel(transposed)).toThrow("panel heads: values are 2 × 3, labels 3 × 2");
});

test("picks are sorted by number and unique, and zero counts", () => {
  expect(sortedPicks([[0, 10, 0], [0, 9, 1], [0, 0, 0], [0, 9, 1]])).toEqual([[0, 0, 0], [0, 9, 1], [0, 10, 0]]);
  expect(samePicks([[0, 1, 2], [0, 0, 0]], [[0, 0, 0], [0, 1, 2]])).toBe(true);
  expect(samePicks([[0, 0, 0]], [])).toBe(false);
});

test("an act is the same whatever the order of its fields", () => {
  expect(sameAct({ verb: "scale", factor: 0 }, { factor: 0, verb: "scale" })).toBe(true);
  expect(sameAct({ verb: "scale", factor: 0 }, { verb: "scale", factor: 1 })).toBe(false);
  expect(sameDraft({ picks: [], act: { verb: "scale", factor: 1 }, tray: [] }, { picks: [[0, 0, 0]], act: { verb: "scale", factor: 1 }, tray: [] })).toBe(false);
});

test("a tray is another with another strength, whatever its words", () => {
  expect(sameTray([{ id: 0, label: "a", strength: 1 }], [{ id: 0, label: "b", strength: 1 }])).toBe(true);
  expect(sameTray([{ id: 0, label: "a", strength: 1 }], [{ id: 0, label: "a", strength: 0.5 }])).toBe(false);
});
