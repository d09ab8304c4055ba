import { expect, test } from "vitest";
import type { Panel, Token } from "../src/border";
import { deed, promise } from "../src/deed";
import { count, percent, plain, signed, wait } from "../src/format";
import { Ranking } from "../src/rank";
import { amount, label, positions, readout, short, spoken } from "../src/reading";

const token = (index: number, text: string): Token => ({ index, id: index, text, kind: "text", bos: index === 0 });
const TOKENS = [token(0, "<s>"), token(1, "·Mary"), token(2, "·to")];
const panel = (over: Partial<Panel>): Panel => ({
  name: "p", title: "", rows: { name: "layer", labels: ["0", "1"], places: [] }, cols: { name: "position", labels: ["a", "b", "c"], places: [] },
  values: Float32Array.of(9, 0.42, NaN, -3, 1, 0), scale: "signed", range: [-3, 3], unit: "logits", sign: "", toward: 1,
  excluded: [0], causal: false, texts: null, top: null, vocabulary: null, thumbnails: null, estimated: null, kind: "", part: "", instrument: "", ...over,
});
const standing = (of: Panel, index: number) => ({ rank: new Ranking(of).of(index), total: new Ranking(of).total });

test("numbers have a real minus sign and few figures", () => {
  expect([0, -0, 0.42, -3.414, 12.34, 1234.5, 0.0421, 0.000021, NaN].map(plain)).toEqual(
    ["0", "0", "0.42", "−3.41", "12.3", "1235", "0.042", "2.1e−5", "not computed"]);
  expect([1.5, -1.5, 0].map(signed)).toEqual(["+1.50", "−1.50", "0"]);
  expect([0, 0.0004, 0.034, 0.61, 1].map(percent)).toEqual(["0.0 %", "<0.1 %", "3.4 %", "61 %", "100 %"]);
  expect([0.2, 7.4, 200].map(wait)).toEqual(["about 1 s left", "about 7 s left", "about 3 min left"]);
  expect([count(1, "cell"), count(2, "cell")]).toEqual(["1 cell", "2 cells"]);
});

test("ranks go by size, without the excluded column and what is not computed", () => {
  const ranking = new Ranking(panel({}));
  expect([...Array(6).keys()].map((i) => ranking.of(i))).toEqual([0, 2, 0, 0, 1, 3]);
  expect([ranking.total, ranking.first()]).toEqual([3, 4]);
  expect(new Ranking(panel({ values: new Float32Array(6).fill(NaN) })).first()).toBe(-1);
});

test("the leaders are the largest, the largest first, without those that take no part", () => {
  expect(new Ranking(panel({})).leaders(2)).toEqual([4, 1]);
  expect(new Ranking(panel({})).leaders(9)).toEqual([4, 1, 5]);
  const many = Float32Array.from({ length: 600 }, (_, i) => Math.sin(i * i));
  const sorted = [...many.keys()].sort((a, b) => Math.abs(many[b]) - Math.abs(many[a]));
  expect(new Ranking(panel({ values: many, excluded: [] })).leaders(50)).toEqual(sorted.slice(0, 50));
});

test("a position is called by its token only where the tokens are those of the axis", () => {
  expect(label(panel({}).cols, 1, TOKENS)).toBe("·Mary");
  expect(label(panel({}).cols, 1, TOKENS.slice(1))).toBe("b");
  expect(label(panel({}).rows, 1, TOKENS)).toBe("1");
  expect(positions(panel({}), { row: 0, col: 0 }, TOKENS)).toEqual([0]);
});

test("the readout says where, how much, and how it ranks", () => {
  const words = (index: number) => readout(panel({}), { row: Math.floor(index / 3), col: index % 3 }, TOKENS, standing(panel({}), index));
  expect(words(1)).toEqual(["layer 0", "position 1 ‘\u2068·Mary\u2069’", "+0.42 logits", "rank 2 of 3"]);
  expect(words(0).at(-1)).toBe("outside the colour scale");
  expect(words(2)).toContain("not computed");
});

test("an estimate says that it is one", () => {
  const guessed = panel({ estimated: Uint8Array.of(0, 1, 0, 0, 0, 0) });
  expect(readout(guessed, { row: 0, col: 1 }, TOKENS, standing(guessed, 1))).toContain("estimate");
  expect(readout(guessed, { row: 1, col: 1 }, TOKENS, standing(guessed, 4))).not.toContain("estimate");
});

test("attention is read as a sentence, and the future is no missing number", () => {
  const pattern = panel({ rows: { name: "query_pos", labels: ["", "", ""], places: [] }, cols: { name: "key_pos", labels: ["", "", ""], places: [] }, causal: true,
    values: Float32Array.of(1, NaN, NaN, 0.2, 0.8, NaN, 0, 0.34, 0.66), scale: "sequential", unit: "", excluded: [] });
  expect(readout(pattern, { row: 2, col: 1 }, TOKENS, standing(pattern, 7))[0]).toBe("‘\u2068·to\u2069’ looks at ‘\u2068·Mary\u2069’");
  expect(readout(pattern, { row: 0, col: 2 }, TOKENS, standing(pattern, 2))).not.toContain("not computed");
});

test("a screen reader hears the best tokens and whether the cell is picked", () => {
  const lens = panel({ scale: "sequential", unit: "probability", vocabulary: TOKENS,
    top: { k: 2, ids: Int32Array.of(1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2), values: new Float32Array(12).fill(0.5) } });
  expect(spoken(lens, { row: 1, col: 1 }, TOKENS, standing(lens, 4), true)).toMatch(/100 % probability, rank 1 of 3, top: ·Mary 50 %, ·to 50 %, picked$/);
});

test("short names", () => {
  const heads = panel({ cols: { name: "head", labels: ["0", "1", "2"], places: [] } });
  expect(short(heads, { row: 0, col: 0 }, TOKENS)).toBe("L0H0");
  expect(short(panel({}), { row: 1, col: 1 }, TOKENS)).toBe("L1 ·Mary (1)");
  expect(short(panel({ rows: { name: "constructor", labels: ["0", "1"], places: [] } }), { row: 0, col: 1 }, TOKENS)).toBe("0 ·Mary (1)");
  expect(amount(panel({}), NaN)).toBe("not computed");
});

test("what is done is said before and after", () => {
  expect(promise({ verb: "switch_off", kind: "zero" }, 2)).toBe("Replaces 2 cells by zero and runs again.");
  expect(promise({ verb: "add", direction: "x", strength: 0 }, 0)).toBe("Adds it at every position and runs again.");
  expect(deed({ verb: "scale", factor: 0 }, ["L0H0"])).toBe("L0H0 × 0");
  expect(deed({ verb: "add", direction: "cheerful", strength: 0.14 }, [])).toBe("“cheerful” added, strength 0.14, at every position");
  expect(promise({ verb: "add", direction: "x", strength: 1 }, 2, 0)).toContain("play no part");
  expect(promise({ verb: "add", direction: "x", strength: 1 }, 2, 2)).toBe("Adds it at the picked positions and runs again.");
});
