// Drawing on canvas: cells, pictures, words, headers, outlines. Knows sizes and colours, no events.

import { isAgainst, stroke } from "./against";
import { colormap, css, faded, ink, place, type Rgb } from "./color";
import type { Axis, Panel, Token } from "./border";
import { plain } from "./format";
import { labelStep, type Cell, type Size } from "./geometry";
import { densityOf, type Look } from "./look";
import { label, onTokens } from "./reading";

export type Sheet = { panel: Panel; tokens: Token[]; look: Look; cell: Size };
export type Header = { length: number; slanted: boolean; step: number };
type Brush = CanvasRenderingContext2D;

export const LABEL = 11;
const LINE = 13; // the least distance between the baselines of two labels
const LONGEST = 78;
const SLANT = Math.PI / 4;
const LARGEST_AREA = 16e6;

/** Size a canvas for the screen's pixels, clear it, and count the drawing (tests and tools wait for the count). */
export function fresh(canvas: HTMLCanvasElement, { width, height }: Size): Brush {
  const ratio = Math.min(densityOf(canvas), Math.sqrt(LARGEST_AREA / Math.max(1, width * height)));
  const [wide, high] = [Math.ceil(width * ratio), Math.ceil(height * ratio)];
  if (canvas.width !== wide) canvas.width = wide;
  if (canvas.height !== high) canvas.height = high;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.dataset.drawn = String(Number(canvas.dataset.drawn ?? 0) + 1);
  const brush = canvas.getContext("2d")!;
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  brush.clearRect(0, 0, width, height);
  return brush;
}

/** All cells of a panel: as pictures, as one image where they are small, else one by one. */
export function paintCells(brush: Brush, sheet: Sheet): void {
  if (sheet.panel.thumbnails) paintPictures(brush, sheet);
  else if (roomy(sheet.cell)) eachCell(sheet, (cell, value) => paintCell(brush, sheet, cell, value));
  else paintImage(brush, sheet);
  const hatch = hatching(brush, sheet.look);
  eachCell(sheet, (cell, value) => Number.isNaN(value) && paintMissing(brush, sheet, cell, hatch));
  if (!sheet.panel.thumbnails) eachCell(sheet, (cell, value) => paintStroke(brush, sheet, cell, value));
}

/** Where a number is written in the cell, its sign says which side it is on. */
function paintStroke(brush: Brush, sheet: Sheet, cell: Cell, value: number): void {
  const { width, height } = sheet.cell;
  if (!isAgainst(sheet.panel, value) || (wordsIn(sheet, cell, value) && !isEstimate(sheet.panel, cell))) return;
  const share = isEstimate(sheet.panel, cell) ? 0.52 : 1;
  const size = { width: share * (width - 1), height: share * (height - 1) };
  const [x, y] = [(cell.col + 0.5) * width - 0.5, (cell.row + 0.5) * height - 0.5];
  stroke(brush, { x, y }, size, colorOf(sheet, value, cell.col));
}

/** The colour of a value, paler in a column outside the colour scale. */
export function colorOf({ panel, look }: Sheet, value: number, col: number): Rgb {
  const color = colormap(panel.scale, look.theme)(place(value, panel.range, panel.toward === -1));
  return panel.excluded.includes(col) ? faded(color, look.ground, 0.4) : color;
}

function isEstimate({ estimated, cols }: Panel, { row, col }: Cell): boolean {
  return !!estimated?.[row * cols.labels.length + col];
}

function eachCell({ panel }: Sheet, does: (cell: Cell, value: number) => void): void {
  const cols = panel.cols.labels.length;
  panel.values.forEach((value, i) => does({ row: Math.floor(i / cols), col: i % cols }, value));
}

const roomy = ({ width, height }: Size) => width >= 10 && height >= 10;

function paintCell(brush: Brush, sheet: Sheet, cell: Cell, value: number): void {
  if (Number.isNaN(value)) return;
  const color = colorOf(sheet, value, cell.col);
  brush.fillStyle = css(color);
  if (isEstimate(sheet.panel, cell)) return fillMiddle(brush, sheet.cell, cell);
  fillCell(brush, sheet.cell, cell);
  const words = wordsIn(sheet, cell, value);
  if (words) write(brush, sheet, cell, words, ink(color));
}

/** Many small cells: one pixel each, enlarged without blur. */
function paintImage(brush: Brush, sheet: Sheet): void {
  const [cols, rows] = [sheet.panel.cols.labels.length, sheet.panel.rows.labels.length];
  const small = blank(cols, rows);
  const image = small.createImageData(cols, rows);
  eachCell(sheet, (cell, value) => {
    const opacity = isEstimate(sheet.panel, cell) ? 128 : 255;
    if (!Number.isNaN(value)) image.data.set([...colorOf(sheet, value, cell.col), opacity], 4 * (cell.row * cols + cell.col));
  });
  small.putImageData(image, 0, 0);
  brush.imageSmoothingEnabled = false;
  brush.drawImage(small.canvas, 0, 0, cols * sheet.cell.width, rows * sheet.cell.height);
}

function blank(width: number, height: number): Brush {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return canvas.getContext("2d")!;
}

function fillCell(brush: Brush, size: Size, { row, col }: Cell): void {
  const gap = roomy(size) ? 1 : 0;
  brush.fillRect(col * size.width, row * size.height, size.width - gap, size.height - gap);
}

/** An estimate fills the middle of its cell only. */
function fillMiddle(brush: Brush, { width, height }: Size, { row, col }: Cell): void {
  const [x, y] = [width * 0.24, height * 0.24];
  brush.fillRect(col * width + x, row * height + y, width - 1 - 2 * x, height - 1 - 2 * y);
}

function paintMissing(brush: Brush, { panel, cell: size }: Sheet, cell: Cell, hatch: CanvasPattern | null): void {
  if (panel.thumbnails || (panel.causal && cell.col > cell.row)) return;
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

function paintPictures(brush: Brush, { panel, look, cell: size }: Sheet): void {
  const { height, width } = panel.thumbnails!;
  const pictures = atlas(panel, look);
  const side = Math.min(size.width, size.height) - 4;
  brush.imageSmoothingEnabled = width > side;
  for (let row = 0; row < panel.rows.labels.length; row++)
    for (let col = 0; col < panel.cols.labels.length; col++)
      brush.drawImage(pictures, col * width, row * height, width, height, col * size.width + 2, row * size.height + 2, side, side);
}

/** All thumbnails as one picture, so that drawing one is a copy. */
function atlas(panel: Panel, look: Look): HTMLCanvasElement {
  const { bytes, height, width } = panel.thumbnails!;
  const cols = panel.cols.labels.length;
  const brush = blank(cols * width, panel.rows.labels.length * height);
  const image = brush.createImageData(brush.canvas.width, brush.canvas.height);
  const color = colormap("sequential", look.theme);
  for (let i = 0; i < bytes.length; i++) {
    const [x, y, one] = [i % width, Math.floor(i / width) % height, Math.floor(i / (width * height))];
    if (panel.causal && x > y) continue;
    const at = 4 * (((Math.floor(one / cols) * height + y) * cols + (one % cols)) * width + x);
    image.data.set([...color(bytes[i] / 255), 255], at);
  }
  brush.putImageData(image, 0, 0);
  return brush.canvas;
}

function hatching(brush: Brush, look: Look): CanvasPattern | null {
  const lines = blank(6, 6);
  lines.strokeStyle = look.muted;
  lines.globalAlpha = 0.55;
  lines.beginPath();
  for (const shift of [-6, 0, 6]) {
    lines.moveTo(shift, 6);
    lines.lineTo(shift + 6, 0);
  }
  lines.stroke();
  return brush.createPattern(lines.canvas, "repeat");
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

function stepFor(axis: Axis, tokens: Token[], room: number, pitch: number): number {
  return onTokens(axis, tokens) ? Math.max(1, Math.ceil(room / pitch)) : labelStep(room, pitch);
}

function longest(brush: Brush, axis: Axis, tokens: Token[]): number {
  return Math.max(...axis.labels.map((_, i) => labelWidth(brush, axis, i, tokens)));
}

function labelWidth(brush: Brush, axis: Axis, index: number, tokens: Token[]): number {
  return Math.min(LONGEST, brush.measureText(shortLabel(axis, index, tokens)).width);
}

/** A label on an axis; the long name of the first token is said in the token strip. */
function shortLabel(axis: Axis, index: number, tokens: Token[]): string {
  return onTokens(axis, tokens) && tokens[index].bos ? "BOS" : label(axis, index, tokens);
}

/** How far slanted labels reach beyond the last column. */
export function overhang(brush: Brush, { panel, tokens, look, cell }: Sheet, { slanted }: Header): number {
  if (!slanted) return 2;
  brush.font = `${LABEL}px ${look.font}`;
  const cols = panel.cols.labels.length;
  const reach = panel.cols.labels.map((_, i) => labelWidth(brush, panel.cols, i, tokens) * Math.cos(SLANT) - (cols - i - 0.5) * cell.width);
  return Math.ceil(Math.max(0, ...reach)) + 8;
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
    const text = ellipsis(brush, shortLabel(panel.rows, row, tokens), LONGEST);
    brush.fillText(text, header.length - 6, Math.max(LABEL / 2, (row + 0.5) * cell.height));
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
    const text = ellipsis(brush, shortLabel(panel.cols, col, tokens), LONGEST);
    const half = header.slanted ? 0 : brush.measureText(text).width / 2;
    brush.translate(Math.max(half, (col + 0.5) * cell.width), header.length - (header.slanted ? 6 : 9));
    if (header.slanted) brush.rotate(-SLANT);
    brush.fillText(text, 0, 0);
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
