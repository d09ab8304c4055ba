// Drawing on canvas: cells, pictures, words, headers, outlines. Knows sizes and colours, no events.

import { colormap, css, ink, place, type Rgb } from "./color";
import type { Panel, Token } from "./border";
import { plain } from "./format";
import { labelStep, type Cell, type Size } from "./geometry";
import type { Look } from "./look";
import { label, onTokens } from "./reading";

export type Sheet = { panel: Panel; tokens: Token[]; look: Look; cell: Size };
export type Header = { length: number; slanted: boolean; step: number };
type Brush = CanvasRenderingContext2D;

export const LABEL = 11;
const LINE = 13; // the least distance between the baselines of two labels
const LONGEST = 84;
const SLANT = Math.PI / 4;
const LARGEST_AREA = 16e6;

/** Size a canvas for the screen's pixels, clear it, and count the drawing (tests and tools wait for the count). */
export function fresh(canvas: HTMLCanvasElement, { width, height }: Size): Brush {
  const ratio = Math.min(devicePixelRatio || 1, Math.sqrt(LARGEST_AREA / Math.max(1, width * height)));
  canvas.width = Math.ceil(width * ratio);
  canvas.height = Math.ceil(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.dataset.drawn = String(Number(canvas.dataset.drawn ?? 0) + 1);
  const brush = canvas.getContext("2d")!;
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  return brush;
}

/** All cells of a panel. */
export function paintCells(brush: Brush, sheet: Sheet): void {
  const { panel } = sheet;
  const cols = panel.cols.labels.length;
  const pictures = panel.thumbnails && atlas(panel, sheet.look);
  const hatch = hatching(brush, sheet.look);
  for (let i = 0; i < panel.values.length; i++) {
    const cell = { row: Math.floor(i / cols), col: i % cols };
    brush.globalAlpha = panel.excluded.includes(cell.col) && !pictures ? 0.4 : 1;
    if (pictures) paintPicture(brush, sheet, cell, pictures);
    else if (Number.isNaN(panel.values[i])) paintMissing(brush, sheet, cell, hatch);
    else paintCell(brush, sheet, cell, panel.values[i]);
  }
  brush.globalAlpha = 1;
}

/** The colour of a value in a panel. */
export function colorOf(panel: Panel, look: Look, value: number): Rgb {
  return colormap(panel.scale, look.theme)(place(value, panel.range, panel.toward === -1));
}

function paintCell(brush: Brush, sheet: Sheet, cell: Cell, value: number): void {
  const color = colorOf(sheet.panel, sheet.look, value);
  brush.fillStyle = css(color);
  fillCell(brush, sheet.cell, cell);
  const words = wordsIn(sheet, cell, value);
  if (words) write(brush, sheet, cell, words, ink(color));
}

function fillCell(brush: Brush, { width, height }: Size, { row, col }: Cell): void {
  const gap = width >= 10 && height >= 10 ? 1 : 0;
  brush.fillRect(col * width, row * height, width - gap, height - gap);
}

function paintMissing(brush: Brush, { panel, cell: size }: Sheet, cell: Cell, hatch: CanvasPattern | null): void {
  if (panel.causal && cell.col > cell.row) return;
  brush.fillStyle = hatch ?? "transparent";
  fillCell(brush, size, cell);
}

function wordsIn({ panel, cell: size }: Sheet, { row, col }: Cell, value: number): string {
  if (panel.texts) {
    if (size.width < 26 || size.height < 13) return "";
    return panel.vocabulary?.[panel.texts[row * panel.cols.labels.length + col]]?.text ?? "";
  }
  return size.width >= 44 && size.height >= 20 && !panel.causal ? plain(value) : "";
}

function write(brush: Brush, { look, cell: size }: Sheet, { row, col }: Cell, words: string, color: string): void {
  brush.font = `${Math.min(12.5, size.height * 0.66)}px ${look.font}`;
  brush.fillStyle = color;
  brush.textAlign = "center";
  brush.textBaseline = "middle";
  brush.fillText(ellipsis(brush, words, size.width - 5), (col + 0.5) * size.width - 0.5, (row + 0.5) * size.height);
}

/** Text cut so that it fits, with "…" for what is missing. */
export function ellipsis(brush: Brush, text: string, room: number): string {
  if (brush.measureText(text).width <= room) return text;
  const letters = [...text];
  let low = 0;
  let high = letters.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (brush.measureText(letters.slice(0, middle).join("") + "…").width <= room) low = middle;
    else high = middle - 1;
  }
  return letters.slice(0, low).join("") + "…";
}

/** All thumbnails as one picture, so that drawing one is a copy. */
function atlas(panel: Panel, look: Look): HTMLCanvasElement {
  const { bytes, height, width } = panel.thumbnails!;
  const cols = panel.cols.labels.length;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [cols * width, panel.rows.labels.length * height];
  const brush = canvas.getContext("2d")!;
  const image = brush.createImageData(canvas.width, canvas.height);
  const color = colormap("sequential", look.theme);
  for (let i = 0; i < bytes.length; i++) {
    const [x, y, one] = [i % width, Math.floor(i / width) % height, Math.floor(i / (width * height))];
    if (panel.causal && x > y) continue;
    const at = 4 * (((Math.floor(one / cols) * height + y) * cols + (one % cols)) * width + x);
    image.data.set([...color(bytes[i] / 255), 255], at);
  }
  brush.putImageData(image, 0, 0);
  return canvas;
}

function paintPicture(brush: Brush, { panel, cell: size }: Sheet, { row, col }: Cell, pictures: HTMLCanvasElement): void {
  const { height, width } = panel.thumbnails!;
  const side = Math.min(size.width, size.height) - 4;
  brush.imageSmoothingEnabled = width > side;
  brush.drawImage(pictures, col * width, row * height, width, height, col * size.width + 2, row * size.height + 2, side, side);
}

function hatching(brush: Brush, look: Look): CanvasPattern | null {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const lines = tile.getContext("2d")!;
  lines.strokeStyle = look.muted;
  lines.globalAlpha = 0.55;
  lines.beginPath();
  for (const shift of [-6, 0, 6]) {
    lines.moveTo(shift, 6);
    lines.lineTo(shift + 6, 0);
  }
  lines.stroke();
  return brush.createPattern(tile, "repeat");
}

// ---- headers

/** How wide the row labels are. */
export function rowHeader(brush: Brush, { panel, tokens, look, cell }: Sheet): Header {
  brush.font = `${LABEL}px ${look.font}`;
  return { length: Math.ceil(longest(brush, panel.rows, tokens)) + 12, slanted: false, step: stepFor(panel.rows, tokens, LINE, cell.height) };
}

/** How high the column labels are, and whether they stand upright or lean. */
export function colHeader(brush: Brush, { panel, tokens, look, cell }: Sheet): Header {
  brush.font = `${LABEL}px ${look.font}`;
  const length = longest(brush, panel.cols, tokens);
  if (length + 5 <= cell.width) return { length: 18, slanted: false, step: 1 };
  if (!onTokens(panel.cols, tokens) && length < 30) return { length: 18, slanted: false, step: labelStep(length + 6, cell.width) };
  return { length: Math.ceil(length * Math.sin(SLANT)) + 16, slanted: true, step: stepFor(panel.cols, tokens, LINE, cell.width * Math.sin(SLANT)) };
}

function stepFor(axis: Panel["rows"], tokens: Token[], room: number, pitch: number): number {
  return onTokens(axis, tokens) ? Math.max(1, Math.ceil(room / pitch)) : labelStep(room, pitch);
}

function longest(brush: Brush, axis: Panel["rows"], tokens: Token[]): number {
  const widths = axis.labels.map((_, i) => brush.measureText(label(axis, i, tokens)).width);
  return Math.min(LONGEST, Math.max(...widths));
}

/** Which labels are written: every step-th, and the lit one, which pushes its close neighbours aside. */
function written(count: number, step: number, lit: number | null): number[] {
  const every = [...Array(count).keys()].filter((i) => i % step === 0);
  if (lit === null) return every;
  return [...every.filter((i) => Math.abs(i - lit) >= step || i === lit), ...(lit % step ? [lit] : [])];
}

export function paintRows(brush: Brush, { panel, tokens, look, cell }: Sheet, header: Header, lit: number | null): void {
  brush.textAlign = "right";
  brush.textBaseline = "middle";
  for (const row of written(panel.rows.labels.length, header.step, lit)) {
    pen(brush, look, row === lit);
    const text = ellipsis(brush, label(panel.rows, row, tokens), LONGEST);
    brush.fillText(text, header.length - 6, (row + 0.5) * cell.height);
  }
}

export function paintCols(brush: Brush, sheet: Sheet, header: Header, lit: number | null): void {
  const { panel, tokens, look, cell } = sheet;
  brush.textBaseline = "middle";
  brush.textAlign = header.slanted ? "left" : "center";
  for (const col of written(panel.cols.labels.length, header.step, lit)) {
    pen(brush, look, col === lit);
    if (panel.excluded.includes(col)) brush.globalAlpha = 0.7;
    brush.save();
    brush.translate((col + 0.5) * cell.width + (header.slanted ? 1 : -0.5), header.length - (header.slanted ? 6 : 9));
    if (header.slanted) brush.rotate(-SLANT);
    brush.fillText(ellipsis(brush, label(panel.cols, col, tokens), LONGEST), 0, 0);
    brush.restore();
    brush.globalAlpha = 1;
  }
}

function pen(brush: Brush, look: Look, lit: boolean): void {
  brush.font = `${lit ? "600 " : ""}${LABEL}px ${look.font}`;
  brush.fillStyle = lit ? look.text : look.muted;
}

// ---- outlines

export type Marks = { hover: Cell | null; focus: Cell | null; picked: Cell[]; drag: Cell[]; opened: Cell | null };

/** Everything that changes while a person points: the cross of row and column, the picks, the focus. */
export function paintMarks(brush: Brush, { look, cell: size }: Sheet, { width, height }: Size, marks: Marks): void {
  const lit = marks.hover ?? marks.focus;
  if (lit) paintCross(brush, look, size, { width, height }, lit);
  if (marks.opened) outline(brush, size, [marks.opened], [[5, look.paper], [2, look.text]]);
  if (marks.picked.length) outline(brush, size, marks.picked, [[5, look.paper], [2.5, look.pick]]);
  if (marks.drag.length) outline(brush, size, marks.drag, [[3, look.paper], [1.5, look.pick]], [4, 3]);
  if (lit) outline(brush, size, [lit], [[3, look.paper], [1.5, look.text]], lit === marks.focus ? [3, 2] : []);
}

function paintCross(brush: Brush, look: Look, size: Size, { width, height }: Size, { row, col }: Cell): void {
  brush.strokeStyle = look.text;
  brush.globalAlpha = 0.35;
  brush.lineWidth = 1;
  brush.strokeRect(-1, row * size.height - 0.5, width + 2, size.height);
  brush.strokeRect(col * size.width - 0.5, -1, size.width, height + 2);
  brush.globalAlpha = 1;
}

/** One line around a set of cells: only edges without a neighbour in the set are drawn. */
function outline(brush: Brush, size: Size, cells: Cell[], strokes: [number, string][], dash: number[] = []): void {
  const has = new Set(cells.map(({ row, col }) => `${row},${col}`));
  brush.beginPath();
  for (const { row, col } of cells) {
    const [left, top] = [col * size.width - 0.5, row * size.height - 0.5];
    const [right, bottom] = [left + size.width, top + size.height];
    if (!has.has(`${row - 1},${col}`)) edge(brush, left, top, right, top);
    if (!has.has(`${row + 1},${col}`)) edge(brush, left, bottom, right, bottom);
    if (!has.has(`${row},${col - 1}`)) edge(brush, left, top, left, bottom);
    if (!has.has(`${row},${col + 1}`)) edge(brush, right, top, right, bottom);
  }
  brush.lineCap = "square";
  brush.setLineDash(dash);
  for (const [thickness, color] of strokes) {
    brush.lineWidth = thickness;
    brush.strokeStyle = color;
    brush.stroke();
  }
  brush.setLineDash([]);
}

function edge(brush: Brush, x0: number, y0: number, x1: number, y1: number): void {
  brush.moveTo(x0, y0);
  brush.lineTo(x1, y1);
}
