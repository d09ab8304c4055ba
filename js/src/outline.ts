// Everything that changes while a person points: the cross of row and column, the picks, the focus.

import type { Cell, Size } from "./geometry";
import type { Look } from "./look";
import type { Brush, Sheet } from "./paint";

export type Marks = {
  hover: Cell | null;
  focus: Cell | null;
  held: Cell | null;
  picked: Cell[];
  drag: Cell[];
  opened: Cell | null;
};

/** Outlines in the map's own pixels; `body` is the size of all of it. */
export function paintMarks(brush: Brush, { look, cell: size }: Sheet, body: Size, marks: Marks): void {
  const lit = marks.hover ?? marks.focus;
  if (marks.held) paintCross(brush, look, size, body, marks.held, 0.8);
  if (lit) paintCross(brush, look, size, body, lit, 0.35);
  if (marks.opened) outline(brush, size, [marks.opened], [[5, look.paper], [2, look.text]]);
  if (marks.picked.length) outline(brush, size, marks.picked, [[5, look.paper], [2.5, look.pick]]);
  if (marks.drag.length) outline(brush, size, marks.drag, [[3, look.paper], [1.5, look.pick]], [4, 3]);
  if (lit) outline(brush, size, [lit], [[3, look.paper], [1.5, look.text]], lit === marks.focus ? [3, 2] : []);
}

function paintCross(brush: Brush, look: Look, size: Size, { width, height }: Size, { row, col }: Cell, strength: number): void {
  brush.strokeStyle = look.text;
  brush.globalAlpha = strength;
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
