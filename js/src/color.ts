// Colour without a page: two colormaps, made once a theme, and the arithmetic of contrast.

export type Rgb = readonly [number, number, number];
export type Theme = "light" | "dark";
export type Scale = "signed" | "sequential";
export const PALETTES = ["cividis", "viridis", "grey"] as const;
export type Palette = (typeof PALETTES)[number];
/** What colours depend on: the page behind them, and the sequential palette that was chosen. */
export type Colors = { theme: Theme; palette: Palette };

const STEPS = 256;

// At even steps. cividis (Nuñez, Anderton, Renslow 2018) is the same for most kinds of colour vision, and in greyscale;
// viridis (Smith, van der Walt 2015) is what most papers use; grey is for printers and worn-out projectors.
const SEQUENTIAL: Record<Palette, Rgb[]> = {
  cividis: [
    [0, 32, 77], [0, 51, 111], [57, 72, 107], [87, 92, 109], [112, 113, 115],
    [138, 135, 121], [166, 157, 117], [196, 181, 108], [228, 207, 91], [255, 234, 70],
  ],
  viridis: [
    [68, 1, 84], [72, 40, 120], [62, 73, 137], [49, 104, 142], [38, 130, 142],
    [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37],
  ],
  grey: [[20, 20, 20], [245, 245, 245]],
};

// Orange to blue through the quiet colour of the page, as [lightness, chroma, hue] in OKLCH: equal steps look equal,
// and both arms are equally strong. On a dark page the arms grow lighter, on a light page darker.
const ARMS: Record<Theme, { zero: number; arms: [at: number, lightness: number, chroma: number][] }> = {
  light: { zero: 0.975, arms: [[0.5, 0.76, 0.11], [1, 0.44, 0.13]] },
  dark: { zero: 0.265, arms: [[0.5, 0.5, 0.1], [1, 0.8, 0.125]] },
};
const ORANGE = 55;
const BLUE = 250;

/** The colour for a place t in 0..1 of a scale; -1..1 becomes 0..1 by `place`. */
export function colormap(scale: Scale, { theme, palette }: Colors): (t: number) => Rgb {
  const table = TABLES[scale === "signed" ? theme : palette];
  return (t) => table[Math.min(STEPS - 1, Math.max(0, Math.round(t * (STEPS - 1))))];
}

/** A scale's colours as an ImageData's bytes hold a pixel, from low to high; `share` of each over what is behind it. */
export function pixels(scale: Scale, colors: Colors, opacity = 255, behind: Rgb = [0, 0, 0], share = 1): Uint32Array {
  const color = colormap(scale, colors);
  return Uint32Array.from({ length: STEPS }, (_, i) => {
    const [r, g, b] = faded(color(i / (STEPS - 1)), behind, share);
    return ((opacity << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
}

/** Where a value lies in its range, 0..1, clipped; NaN stays NaN. `flip` swaps the two ends; `log`: by logarithm. */
export function place(value: number, [low, high]: readonly [number, number], flip = false, log = false): number {
  const t = Math.min(1, Math.max(0, log ? byLog(value, low, high) : (value - low) / (high - low)));
  return flip ? 1 - t : t;
}

/** The value in the middle of a range's colours. */
export function middle([low, high]: readonly [number, number], log = false): number {
  return log && low >= 0 ? low + Math.expm1(Math.log1p(high - low) / 2) : (low + high) / 2;
}

/** Whether a panel's high end takes the colour that others have at the low one. */
export function flips({ scale, toward, bright }: { scale: Scale; toward: number; bright: "high" | "low" }): boolean {
  return scale === "signed" ? toward === -1 : bright === "low";
}

/** By log(1 + distance) from the low end; where there are negative values, from 0 to either side. */
function byLog(value: number, low: number, high: number): number {
  if (low >= 0) return Math.log1p(value - low) / Math.log1p(high - low);
  return 0.5 + (Math.sign(value) * Math.log1p(Math.abs(value))) / (2 * Math.log1p(high));
}

/** A colour let through to what lies behind it. */
export function faded(color: Rgb, behind: Rgb, share: number): Rgb {
  return color.map((part, i) => Math.round(share * part + (1 - share) * behind[i])) as unknown as Rgb;
}

/** Text colour on a filled cell: black or white, whichever has the better contrast: never under 4.5. */
export function ink(background: Rgb): string {
  return contrast(background, [255, 255, 255]) >= contrast(background, [0, 0, 0]) ? "#ffffff" : "#000000";
}

/** The WCAG contrast ratio, 1..21. */
export function contrast(a: Rgb, b: Rgb): number {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

/** Relative luminance, 0..1. */
export function luminance(rgb: Rgb): number {
  const [r, g, b] = rgb.map((part) => linear(part / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export function css([r, g, b]: Rgb): string {
  return `rgb(${r} ${g} ${b})`;
}

/** A computed CSS colour (`rgb(…)`, `rgba(…)`) as numbers, or null where nothing is painted. */
export function parseCss(text: string): Rgb | null {
  const parts = text.match(/[\d.]+/g)?.map(Number);
  if (!text.startsWith("rgb") || !parts || parts.length < 3 || parts[3] === 0) return null;
  return [parts[0], parts[1], parts[2]];
}

const linear = (x: number) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
const gamma = (x: number) => (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055);

function fromOklch(lightness: number, chroma: number, hue: number): Rgb {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const rgb = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return rgb.map((x) => Math.round(255 * gamma(Math.min(1, Math.max(0, x))))) as unknown as Rgb;
}

function arm(strength: number, hue: number, theme: Theme): Rgb {
  const { zero, arms } = ARMS[theme];
  const stops: [number, number, number][] = [[0, zero, 0], ...arms];
  const next = stops.findIndex(([at]) => at >= strength) || 1;
  const [[from, l0, c0], [to, l1, c1]] = [stops[next - 1], stops[next]];
  const w = (strength - from) / (to - from);
  return fromOklch(l0 + w * (l1 - l0), c0 + w * (c1 - c0), hue);
}

function diverging(t: number, theme: Theme): Rgb {
  return arm(Math.abs(2 * t - 1), t < 0.5 ? ORANGE : BLUE, theme);
}

function sequential(t: number, palette: Palette): Rgb {
  const stops = SEQUENTIAL[palette];
  const at = t * (stops.length - 1);
  const from = Math.min(stops.length - 2, Math.floor(at));
  return stops[from].map((part, i) => Math.round(part + (at - from) * (stops[from + 1][i] - part))) as unknown as Rgb;
}

const table = (color: (t: number) => Rgb) => Array.from({ length: STEPS }, (_, i) => color(i / (STEPS - 1)));

const TABLES = {
  cividis: table((t) => sequential(t, "cividis")),
  viridis: table((t) => sequential(t, "viridis")),
  grey: table((t) => sequential(t, "grey")),
  light: table((t) => diverging(t, "light")),
  dark: table((t) => diverging(t, "dark")),
};
