import { expect, test } from "vitest";
import type { Token } from "../src/border";
import { chosen, Lettering } from "../src/lettering";

const measured: string[] = [];
const BRUSH = { font: "", measureText: (text: string) => (measured.push(text), { width: 6 * text.length }) } as unknown as CanvasRenderingContext2D;
const token = (index: number, text: string): Token => ({ index, id: index, text, kind: "text", bos: index === 0 });
const TOKENS = ["<|endoftext|>", "·to", "·extraordinarily", "·to"].map((text, i) => token(i, text));
const AXIS = { name: "key_pos", labels: TOKENS.map(({ text }) => text), places: [] };

test("each label is measured once, whatever the zoom", () => {
  const letters = new Lettering(BRUSH, AXIS, TOKENS, "serif");
  expect(measured.sort()).toEqual(["BOS", "·extraordinarily", "·to"]);
  letters.above(4);
  letters.beside(9);
  letters.overhang(4, letters.above(4));
  expect(measured).toHaveLength(3);
});

test("a long label is cut on the axis and whole elsewhere", () => {
  const letters = new Lettering(BRUSH, AXIS, TOKENS, "serif");
  expect([letters.isCut(2), letters.isCut(1)]).toEqual([true, false]);
  expect(letters.written(BRUSH, 2)).toBe("·extraordina…");
  expect(letters.whole(2)).toBe("·extraordinarily");
});

test("the closer the zoom, the more labels are written", () => {
  const letters = new Lettering(BRUSH, AXIS, TOKENS, "serif");
  expect([0.5, 4, 13, 40].map((pitch) => letters.beside(pitch).step)).toEqual([26, 4, 1, 1]);
  expect(letters.above(100)).toEqual({ length: 18, slanted: false, step: 1 });
  expect(letters.above(30).slanted).toBe(true);
});

test("every step-th label of the stretch is written, and the lit one in place of its neighbours", () => {
  expect(chosen({ from: 7, to: 31 }, 10, null)).toEqual([10, 20, 30]);
  expect(chosen({ from: 7, to: 31 }, 10, 14)).toEqual([30, 14]);
  expect(chosen({ from: 7, to: 31 }, 10, 20)).toEqual([10, 20, 30]);
  expect(chosen({ from: 7, to: 31 }, 1, 9)).toHaveLength(24);
  expect(chosen({ from: 7, to: 31 }, 10, 3)).toEqual([20, 30]);
});
