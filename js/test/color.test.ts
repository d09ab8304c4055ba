import { expect, test } from "vitest";
import { isAgainst } from "../src/against";
import { colormap, contrast, faded, flips, ink, luminance, middle, parseCss, place, type Rgb, type Theme } from "../src/color";

const THEMES: Theme[] = ["light", "dark"];
const BACKGROUND: Record<Theme, Rgb> = { light: [255, 255, 255], dark: [17, 17, 17] };
const rgbOf = (name: string): Rgb => (name === "#ffffff" ? [255, 255, 255] : [0, 0, 0]);

test("a value's place is clipped, and the two arms can change places", () => {
  expect(place(0, [-2, 2])).toBe(0.5);
  expect(place(9, [-2, 2])).toBe(1);
  expect(place(2, [-2, 2], true)).toBe(0);
  expect(place(NaN, [0, 1])).toBeNaN();
});

test("by logarithm, ranks go from the best, and signed values from zero to either side", () => {
  const log = (value: number, range: [number, number]) => place(value, range, false, true);
  expect([1, 10, 100, 10000].map((rank) => log(rank, [1, 10000]))).toEqual([0, expect.closeTo(0.25), expect.closeTo(0.5), 1]);
  expect([-99, -9, 0, 9, 99].map((value) => log(value, [-99, 99]))).toEqual([0, expect.closeTo(0.25), 0.5, expect.closeTo(0.75), 1]);
  expect(log(NaN, [1, 9])).toBeNaN();
  expect(place(1, [1, 10000], true, true)).toBe(1);
  expect([middle([1, 10000], true), middle([0, 4]), middle([-99, 99], true)]).toEqual([expect.closeTo(100), 2, 0]);
});

test("the end that is dark elsewhere is bright where less is better, and blue where negative supports the answer", () => {
  const ends = [["sequential", 1, "low"], ["sequential", -1, "high"], ["signed", -1, "high"], ["signed", 1, "low"]] as const;
  expect(ends.map(([scale, toward, bright]) => flips({ scale, toward, bright }))).toEqual([true, false, true, false]);
});

test.each(THEMES)("zero is quiet on a %s page, and both ends are seen", (theme) => {
  const color = colormap("signed", { theme, palette: "cividis" });
  expect(contrast(color(0.5), BACKGROUND[theme])).toBeLessThan(1.4);
  for (const end of [0, 1]) expect(contrast(color(end), BACKGROUND[theme])).toBeGreaterThan(3);
});

test.each(THEMES)("low is orange, high is blue, and both are equally strong on a %s page", (theme) => {
  const [low, high] = [colormap("signed", { theme, palette: "cividis" })(0), colormap("signed", { theme, palette: "cividis" })(1)];
  expect(low[0]).toBeGreaterThan(low[2]);
  expect(high[2]).toBeGreaterThan(high[0]);
  expect(contrast(low, high)).toBeLessThan(1.35);
});

test("cividis grows lighter all the way", () => {
  const steps = Array.from({ length: 21 }, (_, i) => luminance(colormap("sequential", { theme: "light", palette: "cividis" })(i / 20)));
  expect([...steps].sort((a, b) => a - b)).toEqual(steps);
  expect(colormap("sequential", { theme: "dark", palette: "cividis" })(0)).toEqual([0, 32, 77]);
});

test.each(THEMES)("text is legible on every colour of a %s page", (theme) => {
  for (const scale of ["signed", "sequential"] as const)
    for (let i = 0; i <= 100; i++) {
      const color = colormap(scale, { theme, palette: "cividis" })(i / 100);
      expect(contrast(color, rgbOf(ink(color)))).toBeGreaterThanOrEqual(4.5);
    }
});

test("a faded colour lies on the way to what is behind it", () => {
  expect(faded([0, 0, 0], [100, 200, 255], 0.4)).toEqual([60, 120, 153]);
});

test("computed colours are read, and what is transparent is no colour", () => {
  expect(parseCss("rgb(17, 34, 51)")).toEqual([17, 34, 51]);
  expect(parseCss("rgba(0, 0, 0, 0)")).toBeNull();
  expect(parseCss("transparent")).toBeNull();
});

test("the orange side is stroked from a fifth of the range on, whichever sign it has", () => {
  const signed = { scale: "signed" as const, range: [-2, 2] as [number, number], toward: 1 as const, spacing: "even" as const };
  expect([-2, -0.4, -0.3, 0, 0.4, NaN].map((value) => isAgainst(signed, value))).toEqual([true, true, false, false, false, false]);
  expect([-0.4, 0.4].map((value) => isAgainst({ ...signed, toward: -1 }, value))).toEqual([false, true]);
  expect(isAgainst({ ...signed, scale: "sequential" }, -2)).toBe(false);
});
