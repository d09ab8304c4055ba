// One heatmap on the page: canvas cells under sticky headers, with hover, picking, zoom and the keyboard. What is painted
// is what is seen: the canvases have the size of the window and stay in it while the map scrolls behind them.

import type { Panel, Token } from "./border";
import { h, pointIn, shown } from "./dom";
import { axisWord } from "./format";
import { anchored, enlarged, lines, nearestCell, rectangle, step, zoomed, zoomRange, type Cell, type Fit, type Size } from "./geometry";
import { onZoom } from "./gesture";
import { paintBrackets, paintCols, paintRows, paintTags } from "./header";
import { LABEL, Lettering, type Header } from "./lettering";
import type { Look } from "./look";
import { paintMarks } from "./outline";
import { crowded, DOT, fresh, paintCells, type Brush, type Sheet, type View } from "./paint";
import { Ranking } from "./rank";
import { readout, spoken, type Standing, superlative } from "./reading";
import type { Mode } from "./selection";
import { STEP, ZoomBar } from "./zoombar";

export type Pointing = {
  hover?: (cell: Cell | null) => void;
  pick?: (cells: Cell[], mode: Mode) => void;
  clear?: () => void;
  /** In a map that picks nothing: hold on to the place of this row or column, or let go. */
  hold?: (place: number | null) => void;
};

const RIM = 3; // room around the cells for the outlines of those at the edge
const BAR = 12; // room for a thin scrollbar beside the rows
const MANY = 160; // rows, from which on they are seen together rather than one by one
const TITLE = 15; // the line of the column axis's name
const WORTHWHILE = 1.4; // a map that cannot be zoomed by more has no buttons for it
const NONE: Header = { length: 0, slanted: false, step: 1 };
let born = 0;

export class HeatMap {
  readonly element: HTMLElement;
  readonly readout = h("p", { class: "mi-readout", "aria-hidden": "true", "data-testid": "readout" });
  /** What a dot shows, for the legend, while cells are smaller than pixels. */
  readonly dots = h("p", { "data-testid": "dots" });
  readonly zoomBar = new ZoomBar((turn) => this.zoomBy(turn));
  private readonly id = `mi-map-${++born}`;
  private readonly cells = h("canvas", { class: "mi-cells" });
  private readonly marks = h("canvas", { class: "mi-marks", "data-testid": "marks" });
  private readonly rowLabels = h("canvas", { class: "mi-row-labels" });
  private readonly colLabels = h("canvas", { class: "mi-col-labels" });
  private readonly corner = h("div", { class: "mi-corner" });
  private readonly rowBand = h("div", { class: "mi-rows" }, this.rowLabels);
  private readonly colBand = h("div", { class: "mi-cols" }, this.colLabels);
  private readonly whole = h("div", { class: "mi-whole", "data-testid": "cells" });
  private readonly layers = h("div", { class: "mi-layers" }, this.whole, h("div", { class: "mi-window" }, this.cells, this.marks));
  private readonly spokenRow = h("div", { role: "row" });
  private readonly grid: HTMLElement;
  private rows!: Lettering;
  private cols!: Lettering;
  private known: Ranking | null = null;
  private zoom = 1;
  private meant = { left: 0, top: 0 }; // where the last zoom wanted to scroll to
  private size: Size = { width: 1, height: 1 };
  private view: View = { x: 0, y: 0, width: 0, height: 0 };
  private rowHead = NONE;
  private colHead = NONE;
  private overhang = 0; // how far leaning labels reach beyond the last column
  private hovered: Cell | null = null;
  private active: Cell = { row: 0, col: 0 };
  private anchor: Cell | null = null; // where a drag began
  private from: Cell | null = null; // where a rectangle by Shift and arrows began
  private drag: Cell[] = [];
  private picked: Cell[] = [];
  private held: Cell | null = null;
  private opened: Cell | null = null;
  private unseen: Cell | null = null; // to be scrolled to once there is a size
  private stale = false; // whether the cells are to be painted in the next frame, or only what moves over them
  private frame = 0;
  private later = 0;
  private measured = "";

  constructor(
    private panel: Panel,
    private tokens: Token[],
    private look: Look,
    private readonly to: Pointing,
    signal: AbortSignal,
  ) {
    const drawing = h("div", { class: "mi-drawing", "aria-hidden": "true" }, this.corner, this.colBand, this.rowBand, this.layers);
    this.grid = h("div", this.gridAttributes(), drawing, h("div", { class: "mi-spoken", role: "presentation" }, this.spokenRow));
    this.element = h("div", { class: "mi-map", "data-testid": `map-${panel.name}` }, this.grid);
    this.letter();
    this.layout();
    this.read();
    this.listen(signal);
    const observer = new ResizeObserver(() => this.extent() === this.measured || this.layout());
    observer.observe(this.element);
    signal.addEventListener("abort", () => (observer.disconnect(), cancelAnimationFrame(this.frame), clearTimeout(this.later)));
  }

  /** New numbers on the same axes: nothing is measured again, and all that a person has under the pointer stays. */
  setPanel(panel: Panel): void {
    this.panel = panel;
    this.known = null;
    this.redraw();
    this.read();
  }

  setLook(look: Look): void {
    this.look = look;
    this.letter();
    this.layout();
  }

  setPicked(cells: Cell[]): void {
    this.picked = cells;
    this.grid.dataset.picked = String(cells.length);
    this.speak();
    this.remark();
  }

  setOpened(cell: Cell | null): void {
    if (cell && cell.row === this.opened?.row && cell.col === this.opened.col) return;
    this.opened = cell;
    this.unseen = cell;
    this.settle();
    this.remark();
  }

  /** Light a cell because something else on the page points at it. */
  light(cell: Cell | null): void {
    this.hovered = cell;
    this.read();
    this.remark();
  }

  /** Keep the lines of one row and column while a person looks elsewhere. */
  setHeld(place: number | null): void {
    this.held = place === null ? null : { row: place, col: place };
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
    const { panel, tokens, look, rows, cols, view, size } = this;
    return { panel, tokens, look, rows, cols, view, cell: size };
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

  /** The column axis's name has a line of its own, except above leaning labels, where the corner has room. */
  private titleHeight(): number {
    return this.colHead.slanted ? 0 : TITLE;
  }

  // ---- sizes

  private letter(): void {
    const brush = this.cells.getContext("2d")!;
    this.rows = new Lettering(brush, this.panel.rows, this.tokens, this.look.font);
    this.cols = new Lettering(brush, this.panel.cols, this.tokens, this.look.font);
  }

  private fit(width: number): Fit {
    const fit = fitOf(this.panel, width - this.rowWidth() - this.overhang - 2 * RIM - BAR);
    if (!this.element.closest(":popover-open")) return fit;
    return enlarged(this.shape(), fit, this.element.clientHeight - this.colHeight() - 2 * RIM - BAR);
  }

  /** Sizes, then the picture; `settled`: what is to happen between the two. */
  private layout(settled: () => void = () => {}): void {
    const width = this.element.clientWidth;
    clearTimeout(this.later);
    if (!width) {
      // Off the page for a moment, as notebooks do with cells: coming back at the old size is no resize.
      this.later = window.setTimeout(() => this.layout(), 250);
      return;
    }
    for (let pass = 0; pass < 3; pass++) {
      this.rowHead = this.rows.beside(this.size.height);
      this.colHead = this.cols.above(this.size.width);
      this.overhang = this.cols.overhang(this.size.width, this.colHead);
      if (pass < 2) this.size = zoomed(this.shape(), this.fit(width), this.zoom);
    }
    this.allot();
    this.sayDots();
    this.zoomBar.show(this.zoom, zoomRange(this.shape(), this.fit(width)), WORTHWHILE);
    this.settle();
    settled();
    this.paint();
    this.measured = this.extent();
  }

  /** Give the whole map its room, of which the window shows a part. */
  private allot(): void {
    const { width, height } = this.body();
    const { style } = this.grid;
    style.setProperty("--rows", `${this.rowWidth()}px`);
    style.setProperty("--cols", `${this.colHeight()}px`);
    this.whole.style.width = `${width + 2 * RIM}px`;
    for (const { style } of [this.whole, this.layers, this.rowBand]) style.height = `${height + 2 * RIM}px`;
    if (this.zoom > 1) style.setProperty("--tall", `${this.colHeight() + this.unzoomed().height + 2 * RIM + BAR}px`);
    else style.removeProperty("--tall");
    this.layers.style.width = this.colBand.style.width = `${width + 2 * RIM + this.overhang}px`;
    const across = this.colHead.slanted ? `${axisWord(this.panel.cols.name)} →` : "";
    this.corner.replaceChildren(h("span", {}, across), h("span", {}, this.panel.rows.name ? `${axisWord(this.panel.rows.name)} ↓` : ""));
  }

  private sayDots(): void {
    const which = this.panel.bright === "low" ? "the lowest number in it" : "the number in it that is furthest from 0";
    this.dots.textContent = `Cells are smaller than pixels here: each dot of ${DOT} × ${DOT} pixels shows ${which}.`;
    shown(this.dots, crowded(this.size));
  }

  /** The size of the whole map before any zoom: its window keeps that height, so that nothing below it moves. */
  private unzoomed(): Size {
    const { rows, cols } = this.shape();
    const { width, height } = zoomed(this.shape(), this.fit(this.element.clientWidth), 1);
    return { width: cols * width, height: rows * height };
  }

  private extent(): string {
    return [this.element.clientWidth, this.grid.clientWidth, this.grid.clientHeight].join();
  }

  private settle(): void {
    if (this.unseen && this.element.clientWidth) {
      this.reveal(this.unseen);
      this.unseen = null;
    }
  }

  // ---- zoom

  /** Larger or smaller cells; what lies at a place of the window stays there, else what is active or in the middle. */
  private zoomBy(turn: number | "fit", at: { x: number; y: number } = this.middle()): void {
    const before = { ...this.size };
    const { least, most } = zoomRange(this.shape(), this.fit(this.element.clientWidth));
    const wanted = turn === "fit" ? least : this.zoom * turn;
    this.zoom = Math.min(most, Math.max(least, wanted));
    const { left, top } = this.scrolled();
    this.layout(() => {
      this.meant = {
        left: anchored(left, at.x - RIM, before.width, this.size.width),
        top: anchored(top, at.y - RIM, before.height, this.size.height),
      };
      [this.grid.scrollLeft, this.grid.scrollTop] = [this.meant.left, this.meant.top];
    });
  }

  /** Where the window stands, and where a browser has rounded that, where it was meant to: small turns add up. */
  private scrolled(): { left: number; top: number } {
    const { meant, grid: { scrollLeft, scrollTop } } = this;
    return {
      left: Math.abs(meant.left - scrollLeft) < 1 ? meant.left : scrollLeft,
      top: Math.abs(meant.top - scrollTop) < 1 ? meant.top : scrollTop,
    };
  }

  private middle(): { x: number; y: number } {
    const { width, height } = this.view;
    if (!this.focused()) return { x: width / 2, y: height / 2 };
    const { left, top } = this.spot(this.active);
    return { x: left - this.rowWidth() + this.size.width / 2, y: top - this.colHeight() + this.size.height / 2 };
  }

  // ---- painting

  /** Look where the window stands: the one moment at which the page is measured. */
  private stand(): void {
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = this.grid;
    const { width, height } = this.body();
    this.view = {
      x: scrollLeft - RIM,
      y: scrollTop - RIM,
      width: Math.max(1, Math.min(width + 2 * RIM, clientWidth - this.rowWidth())),
      height: Math.max(1, Math.min(height + 2 * RIM, clientHeight - this.colHeight())),
    };
  }

  /** Whether the window stands elsewhere than when it was painted. */
  private moved(): boolean {
    return this.grid.scrollLeft - RIM !== this.view.x || this.grid.scrollTop - RIM !== this.view.y;
  }

  private paint(): void {
    this.stale = false;
    this.stand();
    paintCells(this.shifted(fresh(this.cells, this.view)), this.sheet());
    this.paintMoving();
  }

  private paintMoving(): void {
    this.paintHeaders();
    this.paintMarks();
  }

  private shifted(brush: Brush): Brush {
    brush.translate(-this.view.x, -this.view.y);
    return brush;
  }

  private paintHeaders(): void {
    const lit = this.lit();
    const rows = fresh(this.rowLabels, { width: this.rowWidth(), height: this.view.height });
    paintRows(rows, this.sheet(), { ...this.rowHead, length: this.rowWidth() }, lit?.row ?? null);
    const cols = fresh(this.colLabels, { width: this.view.width + this.overhang, height: this.colHeight() });
    if (!this.colHead.slanted) this.paintColName(cols);
    cols.translate(0, this.titleHeight());
    paintCols(cols, this.sheet(), this.colHead, lit?.col ?? null);
    paintBrackets(cols, this.sheet(), this.colHead.length);
  }

  private paintColName(brush: Brush): void {
    brush.font = `${LABEL}px ${this.look.font}`;
    brush.fillStyle = this.look.muted;
    brush.textBaseline = "middle";
    brush.textAlign = "left";
    brush.fillText(`${axisWord(this.panel.cols.name)} →`, RIM, TITLE / 2);
  }

  private paintMarks(): void {
    const { hovered: hover, picked, drag, opened, held } = this;
    const [focus, lit] = [this.focused() ? this.active : null, this.lit()];
    const brush = fresh(this.marks, this.view);
    brush.save();
    paintMarks(this.shifted(brush), this.sheet(), this.body(), { hover, focus, held, picked, drag, opened });
    brush.restore();
    if (lit) paintTags(brush, this.sheet(), lit);
  }

  /** Paint in the next frame what moves over the cells. */
  private remark(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => (this.stale ? this.paint() : this.paintMoving()));
  }

  /** Paint everything in the next frame. */
  private redraw(): void {
    this.stale = true;
    this.remark();
  }

  private focused(): boolean {
    return this.grid.matches(":focus-visible");
  }

  private lit(): Cell | null {
    return this.hovered ?? (this.focused() ? this.active : null);
  }

  // ---- reading

  private get ranking(): Ranking {
    return (this.known ??= new Ranking(this.panel));
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
    this.readout.dataset.first = superlative(this.panel);
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

  private listen(signal: AbortSignal): void {
    const on = <E extends Event>(node: HTMLElement, kind: string, does: (event: E) => void) =>
      node.addEventListener(kind, does as EventListener);
    on<PointerEvent>(this.marks, "pointermove", (event) => this.move(event));
    on<PointerEvent>(this.marks, "pointerdown", (event) => this.press(event));
    on<PointerEvent>(this.marks, "pointerup", (event) => this.release(event));
    on(this.marks, "pointercancel", () => this.abandon());
    for (const [canvas, axis] of [[this.rowLabels, "row"], [this.colLabels, "col"]] as const) {
      on<MouseEvent>(canvas, "click", (event) => this.takeLine(event, axis));
      on<PointerEvent>(canvas, "pointermove", (event) => this.to.hold && this.hoverPlace(this.lineAt(event, axis)[axis]));
    }
    for (const canvas of [this.marks, this.rowLabels, this.colLabels]) on(canvas, "pointerleave", () => this.hover(null));
    on<KeyboardEvent>(this.grid, "keydown", (event) => this.key(event));
    on(this.grid, "scroll", () => this.moved() && this.redraw());
    for (const kind of ["focus", "blur"]) on(this.grid, kind, () => this.refocus());
    onZoom(this.marks, (turn, x, y) => (this.abandon(), this.zoomBy(turn, { x, y })), signal);
    this.speak();
  }

  private under(event: MouseEvent): Cell {
    const { x, y } = pointIn(this.marks, event);
    return nearestCell(x + this.view.x, y + this.view.y, this.size, this.shape());
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
    this.to.hold?.(anchor.row);
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

  /** A label stands for its row and its column alike, where both are the same tokens. */
  private hoverPlace(place: number): void {
    this.hover({ row: place, col: place });
  }

  private refocus(): void {
    this.read();
    this.remark();
    this.to.hover?.(this.lit());
  }

  private lineAt(event: MouseEvent, axis: "row" | "col"): Cell {
    const { x, y } = pointIn(axis === "row" ? this.rowLabels : this.colLabels, event);
    const lean = this.colHead.slanted ? this.colHeight() - y : 0;
    return nearestCell(x + this.view.x - lean, y + this.view.y, this.size, this.shape());
  }

  private takeLine(event: MouseEvent, axis: "row" | "col"): void {
    const cell = this.lineAt(event, axis);
    this.to.hold?.(cell[axis]);
    this.to.pick?.(lines(axis, cell, cell, this.shape()), event.shiftKey || event.ctrlKey || event.metaKey ? "add" : "only");
  }

  // ---- keyboard

  private key(event: KeyboardEvent): void {
    const to = step(event.key, this.active, this.shape(), event.ctrlKey || event.metaKey);
    const turn = event.ctrlKey || event.metaKey || event.altKey ? undefined : TURNS[event.key];
    if (to) this.go(to, event.shiftKey);
    else if (turn) this.zoomBy(turn);
    else if (event.key === " " && (event.shiftKey || event.ctrlKey)) this.pickLines(event.shiftKey ? "row" : "col");
    else if (event.key === "Enter" || event.key === " ") this.take(event.shiftKey ? "toggle" : "only");
    else if (event.key === "Escape" && (this.picked.length || this.held)) this.letGo();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private take(mode: Mode): void {
    this.to.hold?.(this.active.row);
    this.to.pick?.([this.active], mode);
  }

  private letGo(): void {
    this.to.hold?.(null);
    if (this.picked.length) this.to.clear?.();
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

const TURNS: Record<string, number | "fit"> = { "+": STEP, "=": STEP, "-": 1 / STEP, "0": "fit" };

/** How large a panel's cells want to be. */
function fitOf(panel: Panel, available: number): Fit {
  const square = { available, tall: Infinity, square: true };
  if (panel.thumbnails) return { ...square, least: side(28), most: side(46), closest: side(128) };
  if (panel.rows.name === "query_pos") return { ...square, least: side(0), most: side(30), closest: side(56) };
  const tall = panel.texts ? 600 : 500;
  const wide = panel.texts && panel.cols.labels.length <= 128 ? 38 : 6;
  const [low, wider] = [panel.texts ? 17 : panel.rows.labels.length > MANY ? 3 : 6, panel.texts ? 104 : isTable(panel) ? 84 : 0];
  return {
    available,
    tall,
    least: { width: wide, height: low },
    most: { width: wider || 52, height: 28 },
    closest: { width: wider || 64, height: 28 },
  };
}

/** Whether the columns are several numbers about the place of their row, to be read rather than looked at. */
function isTable({ kind, cols }: Panel): boolean {
  return !!kind && !cols.places.length;
}

const side = (length: number): Size => ({ width: length, height: length });
