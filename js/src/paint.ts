// Cells on canvas, as far as the window shows them: pictures, colours, words. Knows sizes and colours, no events.

import { isAgainst, stroke } from "./against";
import { colormap, css, faded, flips, ink, pixels, place, type Rgb } from "./color";
import type { Panel, Token } from "./border";
import { plain } from "./format";
import { shown, type Cell, type Run, type Size } from "./geometry";
import { ellipsis, type Lettering } from "./lettering";
import { densityOf, type Look } from "./look";
import { heaviest } from "./pool";
import { isPattern } from "./reading";

/** The part of a map that is seen, in pixels from its first cell; a rim before that has negative places. */
export type View = { x: number; y: number } & Size;
export type Sheet = { panel: Panel; tokens: Token[]; look: Look; cell: Size; view: View; rows: Lettering; cols: Lettering };
export type Brush = CanvasRenderingContext2D;

const LARGEST_AREA = 16e6;
const METER = 3;
/** Pixels of a dot, in which cells of less than a pixel are drawn together. */
export const DOT = 2;

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

/** The rows and columns that are seen. */
export function seen({ panel, cell, view }: Sheet): { rows: Run; cols: Run } {
  return {
    rows: shown(view.y, view.height, cell.height, panel.rows.labels.length),
    cols: shown(view.x, view.width, cell.width, panel.cols.labels.length),
  };
}

/** The cells of a panel: as pictures, as one image where they are small, else one by one. */
export function paintCells(brush: Brush, sheet: Sheet): void {
  if (sheet.panel.thumbnails) return paintPictures(brush, sheet);
  if (roomy(sheet.cell)) eachCell(sheet, (cell, value) => paintCell(brush, sheet, cell, value));
  else paintImage(brush, sheet);
  paintMissing(brush, sheet);
  if (sheet.panel.scale === "signed" && strokable(sheet.cell)) eachCell(sheet, (cell, value) => paintStroke(brush, sheet, cell, value));
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
  const color = colormap(panel.scale, look)(place(value, panel.range, flips(panel), panel.spacing === "log"));
  return panel.excluded.includes(col) ? faded(color, look.ground, PALE) : color;
}

const PALE = 0.4;

function isEstimate({ estimated, cols }: Panel, { row, col }: Cell): boolean {
  return !!estimated?.[row * cols.labels.length + col];
}

function eachCell(sheet: Sheet, does: (cell: Cell, value: number) => void): void {
  const { rows, cols } = seen(sheet);
  const width = sheet.panel.cols.labels.length;
  for (let row = rows.from; row < rows.to; row++)
    for (let col = cols.from; col < cols.to; col++) does({ row, col }, sheet.panel.values[row * width + col]);
}

const roomy = ({ width, height }: Size) => width >= 10 && height >= 10;
/** In smaller cells a stroke would be the cell. */
const strokable = ({ width, height }: Size) => width >= 5 && height >= 5;

function paintCell(brush: Brush, sheet: Sheet, cell: Cell, value: number): void {
  if (Number.isNaN(value)) return;
  const color = colorOf(sheet, value, cell.col);
  brush.fillStyle = css(color);
  if (isEstimate(sheet.panel, cell)) return fillMiddle(brush, sheet.cell, cell);
  fillCell(brush, sheet.cell, cell);
  const words = wordsIn(sheet, cell, value);
  if (words) write(brush, sheet, cell, words, ink(color));
}

/** Many small cells: one dot each, enlarged without blur, or where they are less than a pixel the heaviest in each dot. */
function paintImage(brush: Brush, sheet: Sheet): void {
  const { panel, cell } = sheet;
  const { rows, cols } = seen(sheet);
  const [wide, high] = [cols.to - cols.from, rows.to - rows.from];
  if (wide <= 0 || high <= 0) return;
  const [width, height] = [dots(wide, cell.width), dots(high, cell.height)];
  const small = blank(width, height);
  const image = small.createImageData(width, height);
  colored(new Uint32Array(image.data.buffer), sheet, heaviest(panel.values, panel.cols.labels.length, rows, cols, height, width, panel.scale !== "signed" && panel.bright === "low"));
  small.putImageData(image, 0, 0);
  brush.imageSmoothingEnabled = false;
  brush.drawImage(small.canvas, cols.from * cell.width, rows.from * cell.height, wide * cell.width, high * cell.height);
}

/** How many dots so many cells along a side are drawn as: a line of one pixel would be lost to the eye. */
const dots = (cells: number, size: number) => (size < 1 ? Math.ceil((cells * size) / DOT) : cells);

/** Whether several cells share a dot. */
export const crowded = ({ width, height }: Size) => width < 1 || height < 1;

/** Fill pixels with the colours of the cells of these indices; -1 stays empty. */
function colored(image: Uint32Array, { panel, look }: Sheet, indices: Int32Array): void {
  const { values, estimated, range, scale } = panel;
  const width = panel.cols.labels.length;
  const [flip, log] = [flips(panel), panel.spacing === "log"];
  const pale = new Set(panel.excluded);
  const [exact, guessed] = [255, 128].map((opacity) => pixels(scale, look, opacity));
  const outside = pixels(scale, look, 255, look.ground, PALE);
  for (let at = 0; at < indices.length; at++) {
    const index = indices[at];
    if (index < 0) continue;
    const palette = pale.size && pale.has(index % width) ? outside : estimated?.[index] ? guessed : exact;
    image[at] = palette[Math.round(place(values[index], range, flip, log) * (palette.length - 1))];
  }
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

/** Hatch what is not computed, small cells a whole stretch of a row at once; what cannot exist stays empty. */
function paintMissing(brush: Brush, sheet: Sheet): void {
  const { panel, cell: size } = sheet;
  const { rows, cols } = seen(sheet);
  const width = panel.cols.labels.length;
  brush.fillStyle = hatching(brush, sheet.look) ?? "transparent";
  for (let row = rows.from; row < rows.to; row++) {
    const end = isPattern(panel) ? Math.min(cols.to, row + 1) : cols.to;
    for (let col = cols.from; col < end; col++) {
      const first = col;
      while (col < end && Number.isNaN(panel.values[row * width + col])) col++;
      if (col > first) hatch(brush, size, row, { from: first, to: col });
    }
  }
}

function hatch(brush: Brush, size: Size, row: number, { from, to }: Run): void {
  if (roomy(size)) for (let col = from; col < to; col++) fillCell(brush, size, { row, col });
  else brush.fillRect(from * size.width, row * size.height, (to - from) * size.width, size.height);
}

function wordsIn({ panel, cell: size }: Sheet, { row, col }: Cell, value: number): string {
  if (panel.texts) {
    if (size.width < 26 || size.height < 13) return "";
    return panel.vocabulary?.[panel.texts[row * panel.cols.labels.length + col]]?.text ?? "";
  }
  return size.width >= 44 && size.height >= 20 ? plain(value) : "";
}

function write(brush: Brush, { look, cell: size }: Sheet, { row, col }: Cell, words: string, color: string): void {
  brush.font = `${Math.min(12.5, size.height * 0.66)}px ${look.font}`;
  brush.fillStyle = color;
  brush.textAlign = "center";
  brush.textBaseline = "middle";
  brush.fillText(ellipsis(brush, words, size.width - 5), (col + 0.5) * size.width - 0.5, (row + 0.5) * size.height);
}

/** A picture in each cell, and under it its number as a bar. */
function paintPictures(brush: Brush, sheet: Sheet): void {
  const { panel, look, cell: size } = sheet;
  const { height, width } = panel.thumbnails!;
  const pictures = atlas(panel, look);
  const side = Math.min(size.width, size.height) - 4 - METER - 1;
  brush.imageSmoothingEnabled = width > side;
  eachCell(sheet, ({ row, col }, value) => {
    const [x, y] = [(col + 0.5) * size.width - side / 2, row * size.height + 2];
    brush.drawImage(pictures, col * width, row * height, width, height, x, y, side, side);
    paintMeter(brush, sheet, value, { x, y: y + side + 1, width: side, height: METER });
  });
}

/** A number as a bar from the end of its range, or from the middle of a signed one. */
function paintMeter(brush: Brush, { panel, look }: Sheet, value: number, { x, y, width, height }: View): void {
  brush.fillStyle = Number.isNaN(value) ? (hatching(brush, look) ?? look.line) : look.line;
  brush.fillRect(x, y, width, height);
  if (Number.isNaN(value)) return;
  const signed = panel.scale === "signed";
  const [zero, end] = [signed ? 0.5 : 0, place(value, panel.range, flips(panel))];
  brush.fillStyle = signed ? css(colormap("signed", look)(end < 0.5 ? 0 : 1)) : look.muted;
  brush.fillRect(x + Math.min(zero, end) * width, y, Math.abs(end - zero) * width, height);
}

const atlases = new WeakMap<Panel, { colors: string; canvas: HTMLCanvasElement }>();

/** The colours of a panel's pictures, whatever those of its numbers are. */
export const pictureScale = ({ pictured: [low] }: Panel) => (low < 0 ? "signed" : "sequential");

/** All thumbnails as one picture, made once for its colours, so that drawing one is a copy. */
function atlas(panel: Panel, look: Look): HTMLCanvasElement {
  const known = atlases.get(panel);
  const colors = `${look.theme} ${look.palette}`;
  if (known?.colors === colors) return known.canvas;
  const { bytes, height, width } = panel.thumbnails!;
  const cols = panel.cols.labels.length;
  const brush = blank(cols * width, panel.rows.labels.length * height);
  const image = brush.createImageData(brush.canvas.width, brush.canvas.height);
  const [target, palette] = [new Uint32Array(image.data.buffer), pixels(pictureScale(panel), look)];
  for (let i = 0; i < bytes.length; i++) {
    const [x, y, one] = [i % width, Math.floor(i / width) % height, Math.floor(i / (width * height))];
    if (panel.causal && x > y) continue;
    target[((Math.floor(one / cols) * height + y) * cols + (one % cols)) * width + x] = palette[bytes[i]];
  }
  brush.putImageData(image, 0, 0);
  atlases.set(panel, { colors, canvas: brush.canvas });
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
