import { expect, test } from "vitest";
import type { Panel, Token } from "../src/border";
import { deed, lacks, promise } from "../src/deed";
import { count, exact, percent, plain, signed, wait } from "../src/format";
import { Ranking } from "../src/rank";
import { amount, cardOf, label, positions, readout, short, spoken, superlative } from "../src/reading";

const token = (index: number, text: string): Token => ({ index, id: index, text, kind: "text", bos: index === 0 });
const TOKENS = [token(0, "<s>"), token(1, "·Mary"), token(2, "·to")];
const panel = (over: Partial<Panel>): Panel => ({
  name: "p", title: "", rows: { name: "layer", labels: ["0", "1"], places: [] }, cols: { name: "position", labels: ["<s>", "·Mary", "·to"], places: [[0], [1], [2]] },
  values: Float32Array.of(9, 0.42, NaN, -3, 1, 0), scale: "signed", range: [-3, 3], unit: "logits", quantity: "", sign: "", notes: [], toward: 1, spacing: "even", bright: "high",
  excluded: [0], causal: false, texts: null, top: null, vocabulary: null, thumbnails: null, pictured: [0, 1], grouped: 1, estimated: null, kind: "", part: "", instrument: "", ...over,
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

test("a rank among many cells is the one that counting gives", () => {
  const values = Float32Array.from({ length: 3000 }, (_, i) => Math.sin(i * i) * 10 ** ((i % 9) - 6) * (i % 5 ? 1 : 0));
  values[17] = NaN;
  for (const scale of ["signed", "sequential"] as const) {
    const many = panel({ values, scale, rows: { ...panel({}).rows, labels: Array(1000).fill("") } });
    const size = (i: number) => (i % 3 === 0 || i === 17 ? NaN : scale === "signed" ? Math.abs(values[i]) : values[i]);
    const ranking = new Ranking(many);
    for (const i of [0, 1, 2, 5, 17, 500, 1499, 2999]) {
      const larger = [...values.keys()].filter((j) => size(j) > size(i)).length;
      expect(ranking.of(i)).toBe(Number.isNaN(size(i)) ? 0 : larger + 1);
    }
    expect(ranking.of(ranking.first())).toBe(1);
  }
});

test("the leaders are the largest, the largest first, without those that take no part", () => {
  expect(new Ranking(panel({})).leaders(2)).toEqual([4, 1]);
  expect(new Ranking(panel({ scale: "sequential", bright: "low" })).leaders(9)).toEqual([5, 1, 4]);
  expect([superlative(panel({})), superlative(panel({ scale: "sequential", bright: "low" })), superlative(panel({ bright: "low" }))]).toEqual(["largest", "smallest", "largest"]);
  expect(new Ranking(panel({})).leaders(9)).toEqual([4, 1, 5]);
  const many = Float32Array.from({ length: 600 }, (_, i) => Math.sin(i * i));
  const sorted = [...many.keys()].sort((a, b) => Math.abs(many[b]) - Math.abs(many[a]));
  expect(new Ranking(panel({ values: many, excluded: [] })).leaders(50)).toEqual(sorted.slice(0, 50));
});

test("a position is called by its token only where the tokens are those of the axis", () => {
  expect(readout(panel({}), { row: 0, col: 1 }, TOKENS, standing(panel({}), 1))[1]).toBe("position 1 ‘\u2068·Mary\u2069’");
  expect(readout(panel({}), { row: 0, col: 1 }, TOKENS.slice(1), standing(panel({}), 1))[1]).toBe("position ·Mary");
  expect(label(panel({}).rows, 1, TOKENS)).toBe("1");
  expect(positions(panel({}), { row: 0, col: 0 }, TOKENS)).toEqual([0]);
});

test("roles that are as many as the tokens are called by their own names, and mark the tokens they stand at", () => {
  const roles = panel({ cols: { name: "position", labels: ["IO", "S1", "last"], places: [[2], [0], [-2]] } });
  const cell = (col: number) => ({ row: 0, col });
  expect([0, 1, 2].map((i) => label(roles.cols, i, TOKENS))).toEqual(["IO", "S1", "last"]);
  expect(readout(roles, cell(1), TOKENS, standing(roles, 1))[1]).toBe("position S1");
  expect([0, 1, 2].map((col) => positions(roles, cell(col), TOKENS))).toEqual([[2], [0], [1]]);
  expect(short(roles, cell(1), TOKENS)).toBe("L0 S1");
});

test("positions of several prompts are called by their number, though they are as many as the tokens", () => {
  const numbered = panel({ cols: { name: "position", labels: ["0", "1", "2"], places: [[0], [1], [2]] } });
  expect(label(numbered.cols, 1, TOKENS)).toBe("1");
  expect(positions(numbered, { row: 0, col: 1 }, TOKENS)).toEqual([1]);
});

test("of several numbers about one place the place is named", () => {
  const table = panel({ kind: "neuron", rows: { name: "layer·neuron", labels: ["L12N345", "L0N7"], places: [[12, 345], [0, 7]] },
    cols: { name: "effect", labels: ["estimate", "exact", "direct"], places: [] }, excluded: [] });
  expect(short(table, { row: 0, col: 1 }, TOKENS)).toBe("L12N345");
  expect(readout(table, { row: 0, col: 1 }, TOKENS, standing(table, 1)).slice(0, 2)).toEqual(["neuron L12N345", "effect exact"]);
  const spread = panel({ kind: "head", rows: { name: "layer·head", labels: ["L0H0", "L0H1"], places: [[0, 0], [0, 1]] } });
  expect(short(spread, { row: 1, col: 2 }, TOKENS)).toBe("L0H1 ·to (2)");
  const row = panel({ kind: "embedding", rows: { name: "", labels: [""], places: [] } });
  expect([short(row, { row: 0, col: 1 }, TOKENS), readout(row, { row: 0, col: 1 }, TOKENS, standing(row, 1))[0]]).toEqual(["·Mary (1)", "position 1 ‘\u2068·Mary\u2069’"]);
});

test("the readout says where, how much, and how it ranks", () => {
  const words = (index: number) => readout(panel({}), { row: Math.floor(index / 3), col: index % 3 }, TOKENS, standing(panel({}), index));
  expect(words(1)).toEqual(["layer 0", "position 1 ‘\u2068·Mary\u2069’", "+0.42 logits", "rank 2 of 3"]);
  expect(words(0).at(-1)).toBe("outside the colour scale");
  expect(words(2)).toContain("not computed");
});

test("an estimate says that it is one, and beside it what is exact", () => {
  const guessed = panel({ estimated: Uint8Array.of(0, 1, 0, 0, 0, 0) });
  const words = (of: Panel, row: number, col: number) => readout(of, { row, col }, TOKENS, standing(of, 3 * row + col));
  expect(words(guessed, 0, 1)).toContain("estimate");
  expect(words(guessed, 1, 1)).toContain("exact");
  expect(words(guessed, 0, 2).join()).not.toMatch(/estimate|exact/);
  expect(words(panel({}), 1, 1).join()).not.toMatch(/estimate|exact/);
});

test("attention is read as a sentence, and the future is no missing number", () => {
  const pattern = panel({ rows: { name: "query_pos", labels: ["<s>", "·Mary", "·to"], places: [] }, cols: { name: "key_pos", labels: ["<s>", "·Mary", "·to"], places: [] }, causal: true,
    values: Float32Array.of(1, NaN, NaN, 0.2, 0.8, NaN, 0, 0.34, 0.66), scale: "sequential", unit: "", excluded: [] });
  expect(readout(pattern, { row: 2, col: 1 }, TOKENS, standing(pattern, 7))[0]).toBe("‘\u2068·to\u2069’ looks at ‘\u2068·Mary\u2069’");
  expect(readout(pattern, { row: 0, col: 2 }, TOKENS, standing(pattern, 2))).not.toContain("not computed");
});

test("a screen reader hears the best tokens and whether the cell is picked", () => {
  const lens = panel({ scale: "sequential", unit: "probability", vocabulary: TOKENS,
    top: { k: 2, ids: Int32Array.of(1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2), values: new Float32Array(12).fill(0.5) } });
  expect(spoken(lens, { row: 1, col: 1 }, TOKENS, standing(lens, 4), true)).toMatch(/100 % probability, rank 1 of 3, top: ·Mary 0.5, ·to 0.5, picked$/);
});

test("a screen reader hears what the card beside a cell of the lens shows, number by number", () => {
  const ranks = panel({ scale: "sequential", bright: "low", spacing: "log", unit: "rank", quantity: 'rank of " Mary"', values: Float32Array.of(9, 49152, 3, 1234, 1, 2), vocabulary: TOKENS,
    top: { k: 2, ids: Int32Array.of(1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2), values: Float32Array.from({ length: 12 }, (_, i) => 0.41237 / (i + 1)) } });
  const card = cardOf(ranks, { row: 0, col: 1 });
  expect([card.quantity, ...card.top.map(({ token, amount }) => `${token.text} ${amount}`)]).toEqual(['rank of " Mary": 49,152', "·Mary 0.1375", "·to 0.1031"]);
  expect(spoken(ranks, { row: 0, col: 1 }, TOKENS, standing(ranks, 1), false)).toMatch(/rank 49,152, rank of " Mary": 49,152, top: ·Mary 0.1375, ·to 0.1031$/);
  expect(readout(ranks, { row: 0, col: 0 }, TOKENS, standing(ranks, 0)).at(-1)).toBe("outside the colour scale");
  expect(cardOf(panel({ quantity: "KL" }), { row: 0, col: 2 })).toEqual({ quantity: "", top: [] });
});

test("ranks are read as ranks, and a change of rank with its sign", () => {
  const ranks = panel({ unit: "rank", scale: "sequential", bright: "low" });
  expect([1, 1234, NaN].map((value) => amount(ranks, value))).toEqual(["rank 1", "rank 1,234", "not computed"]);
  expect([-1200, 3].map((value) => amount({ ...ranks, scale: "signed" }, value))).toEqual(["−1,200 ranks", "+3 ranks"]);
  expect(amount(panel({ unit: "probability" }), -0.25)).toBe("−0.25 probability");
  expect([0.41237, 1e-7, 12, 123456.7, -0.5].map(exact)).toEqual(["0.4124", "1.000e−7", "12", "1.235e+5", "−0.5"]);
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
  expect(promise({ verb: "switch_off", kind: "resample" }, 1)).toBe("Replaces 1 cell by what it is on another text and runs again.");
  expect(promise({ verb: "add", direction: "x", strength: 0 }, 0)).toBe("Adds it at every position and runs again.");
  expect(promise({ verb: "project_out", direction: "x" }, 0)).toBe("Takes it out at every position but the first and runs again.");
  expect(promise({ verb: "clamp", low: null, high: 2 }, 1)).toBe("Keeps each number of 1 cell at most 2.00 and runs again.");
  expect(deed({ verb: "scale", factor: 0 }, ["L0H0"])).toBe("L0H0 × 0");
  expect(deed({ verb: "clamp", low: -1, high: 1 }, ["L0H0"])).toBe("L0H0 kept between −1.00 and 1.00");
  expect(deed({ verb: "replace", prompt: "a b" }, ["L0H0"])).toBe("L0H0 taken from “a b”");
  expect(deed({ verb: "add", direction: "cheerful", strength: 0.14 }, [])).toBe("“cheerful” added, strength 0.14, at every position");
  expect(deed({ verb: "project_out", direction: "cheerful" }, ["L1 ·to"])).toBe("“cheerful” taken out at L1 ·to");
  expect(promise({ verb: "add", direction: "x", strength: 1 }, 2, 0)).toContain("play no part");
  expect(promise({ verb: "add", direction: "x", strength: 1 }, 2, 2)).toBe("Adds it at the picked positions and runs again.");
});

test("what becomes of a reading names the tokens", () => {
  const plainly = (text: string) => text.replaceAll(/[\u2068\u2069]/g, "");
  const reading = (how: "remove" | "add" | "swap", token = "") => ({ verb: "reading", how, token, strength: 0.3 }) as const;
  expect(plainly(promise(reading("remove"), 2, 2, ["·Paris", "·Paris"]))).toBe("Removes ‘·Paris’ from what 2 cells read and runs again.");
  expect(plainly(promise(reading("remove", " Rome"), 1, 1, ["·Paris"]))).toBe("Removes ‘·Rome’ from what 1 cell reads and runs again.");
  expect(plainly(promise(reading("swap", " Rome"), 4, 4, ["a", "b", "c", "d"]))).toBe("Swaps ‘a’, ‘b’, ‘c’, … and ‘·Rome’ in what 4 cells read and runs again.");
  expect(plainly(deed(reading("add", " Rome"), ["L2 ·is (5)"]))).toBe("Adds ‘·Rome’, strength 0.30, to what is read at L2 ·is (5)");
  expect(deed(reading("remove"), ["L2 ·is (5)"])).toBe("Removes the token read first from what is read at L2 ·is (5)");
});

test("a draft that lacks something says what", () => {
  expect(lacks({ verb: "clamp", low: null, high: null })).toBe("Give a bound.");
  expect(lacks({ verb: "clamp", low: 0, high: null })).toBe("");
  expect(lacks({ verb: "replace", prompt: "" })).toContain("as many tokens");
  expect(lacks({ verb: "reading", how: "swap", token: "", strength: 0 })).toContain("comes in");
  expect(lacks({ verb: "reading", how: "remove", token: "", strength: 0 })).toBe("");
});
