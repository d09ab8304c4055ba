// One heatmap on the page: canvas cells under sticky headers, with hover, picking and the keyboard.

import type { Panel, Token } from "./border";
import { h, pointIn } from "./dom";
import { axisWord } from "./format";
import { cellSize, lines, nearestCell, rectangle, step, type Cell, type Fit, type Size } from "./geometry";
import type { Look } from "./look";
import { LABEL, colHeader, fresh, overhang, paintCells, paintCols, paintMarks, paintRows, rowHeader, type Header, type Sheet } from "./paint";
import { Ranking } from "./rank";
import { readout, spoken, type Standing } from "./reading";
import type { Mode } from "./selection";

export type Pointing = {
  hover?: (cell: Cell | null) => void;
  pick?: (cells: Cell[], mode: Mode) => void;
  clear?: () => void;
};

const RIM = 3; // room around the cells for the outlines of those at the edge
const BAR = 12; // room for a thin scrollbar beside the rows
const TITLE = 15; // the line of the column axis's name
let born = 0;

export class HeatMap {
  readonly element: HTMLElement;
  readonly readout = h("p", { class: "mi-readout", "aria-hidden": "true", "data-testid": "readout" });
  private readonly id = `mi-map-${++born}`;
  private readonly cells = h("canvas", { "data-testid": "cells" });
  private readonly marks = h("canvas", { class: "mi-marks", "data-testid": "marks" });
  private readonly rowLabels = h("canvas", { class: "mi-rows" });
  private readonly colLabels = h("canvas", { class: "mi-cols" });
  private readonly corner = h("div", { class: "mi-corner" });
  private readonly spokenRow = h("div", { role: "row" });
  private readonly grid: HTMLElement;
  private ranking!: Ranking;
  private size: Size = { width: 1, height: 1 };
  private rowHead: Header = { length: 0, slanted: false, step: 1 };
  private colHead: Header = { length: 0, slanted: false, step: 1 };
  private overhang = 0; // how far slanted labels reach beyond the last column
  private hovered: Cell | null = null;
  private active: Cell = { row: 0, col: 0 };
  private anchor: Cell | null = null; // where a drag began
  private from: Cell | null = null; // where a rectangle by Shift and arrows began
  private drag: Cell[] = [];
  private picked: Cell[] = [];
  private opened: Cell | null = null;
  private unseen: Cell | null = null; // to be scrolled to once there is a size
  private frame = 0;
  private later = 0;

  constructor(
    private panel: Panel,
    private tokens: Token[],
    private look: Look,
    private readonly to: Pointing,
    signal: AbortSignal,
  ) {
    const layers = h("div", { class: "mi-layers" }, this.cells, this.marks);
    const drawing = h("div", { class: "mi-drawing", "aria-hidden": "true" }, this.corner, this.colLabels, this.rowLabels, layers);
    this.grid = h("div", this.gridAttributes(), drawing, h("div", { class: "mi-spoken", role: "presentation" }, this.spokenRow));
    this.element = h("div", { class: "mi-map", "data-testid": `map-${panel.name}` }, this.grid);
    this.setPanel(panel);
    this.listen();
    const observer = new ResizeObserver(() => this.layout());
    observer.observe(this.element);
    signal.addEventListener("abort", () => (observer.disconnect(), cancelAnimationFrame(this.frame), clearTimeout(this.later)));
  }

  /** New numbers of the same shape: everything a person has under the pointer stays. */
  setPanel(panel: Panel): void {
    this.panel = panel;
    this.ranking = new Ranking(panel);
    this.layout();
    this.read();
  }

  setLook(look: Look): void {
    this.look = look;
    this.layout();
  }

  setPicked(cells: Cell[]): void {
    this.picked = cells;
    this.grid.dataset.picked = String(cells.length);
    this.speak();
    this.remark();
  }

  setOpened(cell: Cell | null): void {
    this.opened = cell;
    this.unseen = cell;
    this.layout();
  }

  /** Light a cell because something else on the page points at it. */
  light(cell: Cell | null): void {
    this.hovered = cell;
    this.read();
    this.remark();
  }

  focus(): void {
    this.grid.focus();
  }

  /** Where a cell is, for a card beside it: relative to the map's element. */
  spot({ row, col }: Cell): { left: number; top: number; width: number; height: number } {
    const left = this.rowWidth() + RIM + col * this.size.width - this.grid.scrollLeft;
    const top = this.colHeight() + RIM + row * this.size.height - this.grid.scrollTop;
    return { left, top, ...this.size };
  }

  private gridAttributes() {
    const { panel } = this;
    return {
      class: "mi-grid",
      role: "grid",
      tabindex: 0,
      "data-testid": `grid-${panel.name}`,
      "aria-label": `${panel.title || panel.name}: ${axisWord(panel.rows.name)} by ${axisWord(panel.cols.name)}`,
      "aria-rowcount": panel.rows.labels.length,
      "aria-colcount": panel.cols.labels.length,
      "aria-multiselectable": this.to.pick ? "true" : null,
    };
  }

  private shape() {
    return { rows: this.panel.rows.labels.length, cols: this.panel.cols.labels.length };
  }

  private sheet(): Sheet {
    return { panel: this.panel, tokens: this.tokens, look: this.look, cell: this.size };
  }

  private body(): Size {
    const { rows, cols } = this.shape();
    return { width: cols * this.size.width, height: rows * this.size.height };
  }

  private rowWidth(): number {
    return Math.max(this.rowHead.length, this.colHead.slanted ? 62 : 50);
  }

  private colHeight(): number {
    return this.colHead.length + this.titleHeight();
  }

  /** The column axis's name has a line of its own, except above slanted labels, where the corner has room. */
  private titleHeight(): number {
    return this.colHead.slanted ? 0 : TITLE;
  }

  private layout(): void {
    const width = this.element.clientWidth;
    clearTimeout(this.later);
    if (!width) {
      // Off the page for a moment, as notebooks do with cells: coming back at the old size is no resize.
      this.later = window.setTimeout(() => this.layout(), 250);
      return;
    }
    const brush = this.cells.getContext("2d")!;
    for (let pass = 0; pass < 3; pass++) {
      this.rowHead = rowHeader(brush, this.sheet());
      this.colHead = colHeader(brush, this.sheet());
      this.overhang = overhang(brush, this.sheet(), this.colHead);
      if (pass < 2) this.size = cellSize(this.shape(), fitOf(this.panel, width - this.rowWidth() - this.overhang - 2 * RIM - BAR));
    }
    this.paint();
    if (this.unseen) this.reveal(this.unseen);
    this.unseen = null;
  }

  private paint(): void {
    this.grid.style.setProperty("--rows", `${this.rowWidth()}px`);
    this.grid.style.setProperty("--cols", `${this.colHeight()}px`);
    this.grid.style.setProperty("--rim", `${RIM}px`);
    const across = this.colHead.slanted ? `${axisWord(this.panel.cols.name)} →` : "";
    this.corner.replaceChildren(h("span", {}, across), h("span", {}, `${axisWord(this.panel.rows.name)} ↓`));
    paintCells(fresh(this.cells, this.body()), this.sheet());
    this.paintHeaders();
    this.paintMarks();
  }

  private paintHeaders(): void {
    const { width, height } = this.body();
    const lit = this.lit();
    const rows = fresh(this.rowLabels, { width: this.rowWidth(), height: height + 2 * RIM });
    rows.translate(0, RIM);
    paintRows(rows, this.sheet(), { ...this.rowHead, length: this.rowWidth() }, lit?.row ?? null);
    const cols = fresh(this.colLabels, { width: width + 2 * RIM + this.overhang, height: this.colHeight() });
    if (!this.colHead.slanted) this.paintColName(cols);
    cols.translate(RIM, this.titleHeight());
    paintCols(cols, this.sheet(), this.colHead, lit?.col ?? null);
  }

  private paintColName(brush: CanvasRenderingContext2D): void {
    brush.font = `${LABEL}px ${this.look.font}`;
    brush.fillStyle = this.look.muted;
    brush.textBaseline = "middle";
    brush.textAlign = "left";
    brush.fillText(`${axisWord(this.panel.cols.name)} →`, RIM, TITLE / 2);
  }

  private paintMarks(): void {
    const { hovered, picked, drag, opened } = this;
    const focus = this.focused() ? this.active : null;
    const { width, height } = this.body();
    const brush = fresh(this.marks, { width: width + 2 * RIM, height: height + 2 * RIM });
    brush.translate(RIM, RIM);
    paintMarks(brush, this.sheet(), this.body(), { hover: hovered, focus, picked, drag, opened });
  }

  private remark(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => (this.paintHeaders(), this.paintMarks()));
  }

  private focused(): boolean {
    return this.grid.matches(":focus-visible");
  }

  private lit(): Cell | null {
    return this.hovered ?? (this.focused() ? this.active : null);
  }

  private standing({ row, col }: Cell): Standing {
    return { rank: this.ranking.of(row * this.shape().cols + col), total: this.ranking.total };
  }

  /** Say what is pointed at; while nothing is, which cell is the largest. */
  private read(): void {
    const cell = this.lit() ?? this.largest();
    const parts = cell ? readout(this.panel, cell, this.tokens, this.standing(cell)) : ["nothing computed yet"];
    this.readout.textContent = parts.join(" · ");
    this.readout.classList.toggle("mi-resting", !this.lit());
  }

  private largest(): Cell | null {
    const index = this.ranking.first();
    const { cols } = this.shape();
    return index < 0 ? null : { row: Math.floor(index / cols), col: index % cols };
  }

  /** Speak the active cell: a new element each time, because screen readers ignore a changed one. */
  private speak(): void {
    const { row, col } = this.active;
    const chosen = this.picked.some((cell) => cell.row === row && cell.col === col);
    const words = spoken(this.panel, this.active, this.tokens, this.standing(this.active), chosen);
    const cell = h("div", { role: "gridcell", id: `${this.id}-${row}-${col}`, "aria-colindex": col + 1, "aria-selected": String(chosen) }, words);
    this.spokenRow.setAttribute("aria-rowindex", String(row + 1));
    this.spokenRow.replaceChildren(cell);
    this.grid.setAttribute("aria-activedescendant", cell.id);
  }

  // ---- pointing

  private listen(): void {
    const on = <E extends Event>(node: HTMLElement, kind: string, does: (event: E) => void) =>
      node.addEventListener(kind, does as EventListener);
    on<PointerEvent>(this.marks, "pointermove", (event) => this.move(event));
    on<PointerEvent>(this.marks, "pointerdown", (event) => this.press(event));
    on<PointerEvent>(this.marks, "pointerup", (event) => this.release(event));
    on(this.marks, "pointercancel", () => this.abandon());
    on(this.marks, "pointerleave", () => this.hover(null));
    on<MouseEvent>(this.rowLabels, "click", (event) => this.pickLine(event, "row"));
    on<MouseEvent>(this.colLabels, "click", (event) => this.pickLine(event, "col"));
    on<KeyboardEvent>(this.grid, "keydown", (event) => this.key(event));
    for (const kind of ["focus", "blur"]) on(this.grid, kind, () => this.refocus());
    this.speak();
  }

  private under(event: MouseEvent): Cell {
    const { x, y } = pointIn(this.marks, event);
    return nearestCell(x - RIM, y - RIM, this.size, this.shape());
  }

  private move(event: PointerEvent): void {
    const there = this.under(event);
    this.hover(there);
    if (!this.anchor || !this.to.pick) return;
    const cells = rectangle(this.anchor, there);
    this.drag = cells.length > 1 || this.drag.length ? cells : [];
    this.remark();
  }

  private press(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.anchor = this.under(event);
    if (event.pointerType !== "touch") this.marks.setPointerCapture(event.pointerId);
  }

  private release(event: PointerEvent): void {
    const { anchor, drag } = this;
    this.abandon();
    if (!anchor) return;
    this.active = this.under(event);
    const several = event.shiftKey || event.ctrlKey || event.metaKey;
    if (drag.length > 1) this.to.pick?.(drag, several ? "add" : "only");
    else this.to.pick?.([anchor], several ? "toggle" : "only");
    this.speak();
  }

  private abandon(): void {
    this.anchor = null;
    this.drag = [];
    this.remark();
  }

  private hover(cell: Cell | null): void {
    if (cell?.row === this.hovered?.row && cell?.col === this.hovered?.col) return;
    this.light(cell);
    this.to.hover?.(cell);
  }

  private refocus(): void {
    this.read();
    this.remark();
    this.to.hover?.(this.lit());
  }

  private pickLine(event: MouseEvent, axis: "row" | "col"): void {
    const { x, y } = pointIn(axis === "row" ? this.rowLabels : this.colLabels, event);
    const lean = this.colHead.slanted ? this.colHeight() - y : 0;
    const cell = nearestCell(x - RIM - lean, y - RIM, this.size, this.shape());
    this.to.pick?.(lines(axis, cell, cell, this.shape()), event.shiftKey || event.ctrlKey || event.metaKey ? "add" : "only");
  }

  // ---- keyboard

  private key(event: KeyboardEvent): void {
    const to = step(event.key, this.active, this.shape(), event.ctrlKey || event.metaKey);
    if (to) this.go(to, event.shiftKey);
    else if (event.key === " " && (event.shiftKey || event.ctrlKey)) this.pickLines(event.shiftKey ? "row" : "col");
    else if (event.key === "Enter" || event.key === " ") this.to.pick?.([this.active], event.shiftKey ? "toggle" : "only");
    else if (event.key === "Escape" && this.picked.length) this.to.clear?.();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** As in a spreadsheet: all rows or columns that the rectangle of Shift and arrows touches. */
  private pickLines(axis: "row" | "col"): void {
    this.to.pick?.(lines(axis, this.from ?? this.active, this.active, this.shape()), "only");
  }

  private go(to: Cell, extend: boolean): void {
    this.from = extend ? (this.from ?? this.active) : null;
    this.active = to;
    this.hovered = null;
    this.reveal(to);
    if (this.from) this.to.pick?.(rectangle(this.from, to), "replace");
    this.speak();
    this.refocus();
  }

  private reveal({ row, col }: Cell): void {
    const { left, top, width, height } = this.spot({ row, col });
    const { clientWidth, clientHeight } = this.grid;
    if (left < this.rowWidth()) this.grid.scrollLeft -= this.rowWidth() - left;
    else if (left + width > clientWidth) this.grid.scrollLeft += left + width - clientWidth;
    if (top < this.colHeight()) this.grid.scrollTop -= this.colHeight() - top;
    else if (top + height > clientHeight) this.grid.scrollTop += top + height - clientHeight;
  }
}

/** How large a panel's cells want to be. */
function fitOf(panel: Panel, available: number): Fit {
  if (panel.thumbnails) return { available, tall: Infinity, least: { width: 28, height: 28 }, most: { width: 46, height: 46 }, square: true };
  if (panel.rows.name === "query_pos") return { available, tall: Infinity, least: { width: 6, height: 6 }, most: { width: 30, height: 30 }, square: true };
  const tall = panel.texts ? 600 : 500;
  const wide = panel.texts && panel.cols.labels.length <= 128 ? 38 : 6;
  return { available, tall, least: { width: wide, height: panel.texts ? 17 : 6 }, most: { width: panel.texts ? 104 : 52, height: 28 } };
}
