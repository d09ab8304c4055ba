// The labels of rows and columns on their canvases, as far as the window shows them, and the lit one in full.

import type { Cell } from "./geometry";
import { chosen, LABEL, SLANT, type Header } from "./lettering";
import type { Look } from "./look";
import { seen, type Brush, type Sheet } from "./paint";

const EDGE = 4;
const TICK = 3; // the ends of a bracket
const GAP = 5; // from a bracket to the next, halved

export function paintRows(brush: Brush, sheet: Sheet, header: Header, lit: number | null): void {
  const { look, cell, rows, view } = sheet;
  brush.textAlign = "right";
  brush.textBaseline = "middle";
  for (const row of chosen(seen(sheet).rows, header.step, lit)) {
    pen(brush, look, row === lit);
    const y = (row + 0.5) * cell.height - view.y;
    brush.fillText(rows.written(brush, row), header.length - 6, Math.max(LABEL / 2, y));
  }
}

export function paintCols(brush: Brush, sheet: Sheet, header: Header, lit: number | null): void {
  const { panel, look, cell, cols, view } = sheet;
  brush.textBaseline = "middle";
  brush.textAlign = header.slanted ? "left" : "center";
  for (const col of chosen(seen(sheet).cols, header.step, lit)) {
    pen(brush, look, col === lit);
    if (panel.excluded.includes(col)) brush.globalAlpha = 0.7;
    brush.save();
    const text = cols.written(brush, col);
    const half = header.slanted ? 0 : brush.measureText(text).width / 2;
    brush.translate(Math.max(half, (col + 0.5) * cell.width - view.x), header.length - (header.slanted ? 6 : 9));
    if (header.slanted) brush.rotate(-SLANT);
    brush.fillText(text, 0, 0);
    brush.restore();
    brush.globalAlpha = 1;
  }
}

/** A bracket under the names of columns that belong together. */
export function paintBrackets(brush: Brush, { panel, look, cell, view }: Sheet, bottom: number): void {
  if (panel.grouped < 2) return;
  brush.strokeStyle = look.muted;
  brush.lineWidth = 1;
  brush.beginPath();
  for (let col = 0; col < panel.cols.labels.length; col += panel.grouped) {
    const [left, right] = [col, col + panel.grouped].map((edge, end) => Math.round(edge * cell.width - view.x) + (end ? -GAP : GAP) + 0.5);
    brush.moveTo(left, bottom);
    brush.lineTo(left, bottom - TICK);
    brush.lineTo(right, bottom - TICK);
    brush.lineTo(right, bottom);
  }
  brush.stroke();
}

function pen(brush: Brush, look: Look, lit: boolean): void {
  brush.font = `${lit ? "600 " : ""}${LABEL}px ${look.font}`;
  brush.fillStyle = lit ? look.text : look.muted;
}

/** The lit row's and column's labels over the map's edges, where they are too long for their bands. */
export function paintTags(brush: Brush, { look, cell, rows, cols, view }: Sheet, { row, col }: Cell): void {
  if (rows.isCut(row)) tag(brush, look, rows.whole(row), EDGE, (row + 0.5) * cell.height - view.y, view);
  if (cols.isCut(col)) tag(brush, look, cols.whole(col), (col + 0.5) * cell.width - view.x + EDGE, EDGE + LABEL, view);
}

function tag(brush: Brush, look: Look, text: string, x: number, y: number, room: { width: number }): void {
  brush.font = `600 ${LABEL}px ${look.font}`;
  brush.textAlign = "left";
  brush.textBaseline = "middle";
  const width = brush.measureText(text).width + 2 * EDGE;
  const left = Math.max(0, Math.min(x, room.width - width));
  brush.fillStyle = look.paper;
  brush.fillRect(left, y - LABEL, width, 2 * LABEL);
  brush.strokeStyle = look.muted;
  brush.lineWidth = 1;
  brush.strokeRect(left + 0.5, y - LABEL + 0.5, width - 1, 2 * LABEL - 1);
  brush.fillStyle = look.text;
  brush.fillText(text, left + EDGE, y);
}
