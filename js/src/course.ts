// Course: what the lens shows at one position, through the layers; of both runs where both are shown.

import { readPanel, type Panel, type PanelWire, type Pick, type Token } from "./border";
import { flips, middle, place } from "./color";
import { bdi, h, shown } from "./dom";
import { exact, plain, whole } from "./format";
import type { Cell } from "./geometry";
import { chart, type Line } from "./line";
import type { Loop } from "./loop";
import { label } from "./reading";

const LOOKS: Record<string, string> = { edited: "mi-line-edited" };
const NAMES: Record<string, string> = { lens: "clean", edited: "edited", difference: "edited minus clean" };

export class Course {
  readonly element = h("figure", { class: "mi-course", "data-testid": "course" });
  private pointed: Cell | null = null;
  private panels: Panel[] = [];

  constructor(private readonly loop: Loop) {
    loop.watch(["panels", "tokens"], () => this.read());
    loop.watch(["picks"], () => this.draw());
  }

  /** Take the position of the cell that is pointed at; of none, that of the last pick, or the last position. */
  point(cell: Cell | null): void {
    this.pointed = cell;
    this.draw();
  }

  private read(): void {
    this.panels = this.loop.get("panels").filter(isLens).map(readPanel);
    this.draw();
  }

  private draw(): void {
    const [panel] = this.panels;
    shown(this.element, !!panel);
    if (!panel) return;
    const cell = this.pointed ?? this.picked() ?? { row: -1, col: panel.cols.labels.length - 1 };
    const tokens = this.loop.get("tokens");
    const caption = h("figcaption", {}, bdi(`${panel.quantity}, ${where(panel, cell.col, tokens)}, layer by layer`), ...keys(this.panels));
    this.element.replaceChildren(caption, drawn(this.panels, cell, tokens));
  }

  private picked(): Cell | null {
    const panels = this.loop.get("panels");
    const mine = this.loop.get("picks").filter(([panel]: Pick) => panels[panel] && isLens(panels[panel]));
    return mine.length ? { row: mine[mine.length - 1][1], col: mine[mine.length - 1][2] } : null;
  }
}

/** Whether a panel is one of a lens, layer × position. */
const isLens = ({ quantity, cols, instrument }: PanelWire) => !!quantity && cols.name === "position" && (!instrument || instrument === "lens");

/** One column of a panel, from the first row to the last. */
export function column({ values, rows, cols }: Columned, col: number): number[] {
  return rows.labels.map((_, row) => values[row * cols.labels.length + col]);
}

type Columned = { values: Float32Array; rows: { labels: string[] }; cols: { labels: string[] } };

/** The columns in one sentence: where each begins, where it is at its best or farthest, where it ends. */
export function courseWords(panels: Panel[], col: number, tokens: Token[]): string {
  const [first] = panels;
  const each = panels.map((panel) => `${panels.length > 1 ? `${NAMES[panel.name] ?? panel.name}: ` : ""}${told(panel, column(panel, col))}`);
  return `${first.quantity}, ${where(first, col, tokens)}: ${each.join("; ")}.`;
}

function told(panel: Panel, values: number[]): string {
  const known = values.map((value, i) => ({ value, i })).filter(({ value }) => !Number.isNaN(value));
  if (!known.length) return "not computed";
  const size = (value: number) => (panel.scale === "signed" ? Math.abs(value) : panel.bright === "low" ? -value : value);
  const best = known.reduce((top, other) => (size(other.value) > size(top.value) ? other : top));
  const said = ({ value, i }: { value: number; i: number }) => `${exact(value)} after layer ${panel.rows.labels[i]}`;
  return [known[0], best, known[known.length - 1]].filter((point, i, all) => all.indexOf(point) === i).map(said).join(", ");
}

function where(panel: Panel, col: number, tokens: Token[]): string {
  return `position ${col} ‘\u2068${label(panel.cols, col, tokens)}\u2069’`;
}

/** Heights are places in the colours, so that up is bright, or blue; the range is widened to what the column holds. */
function drawn(panels: Panel[], { row, col }: Cell, tokens: Token[]): SVGSVGElement {
  const [panel] = panels;
  const values = panels.map((each) => column(each, col));
  const range = widened(panel, values.flat());
  const log = panel.spacing === "log";
  const height = (value: number) => place(value, range, flips(panel), log);
  const lines = values.map((each, i): Line => ({ heights: each.map(height), look: LOOKS[panels[i].name] ?? "" }));
  const middleOf = panel.scale === "signed" ? 0 : middle(range, log);
  const ticks = [range[0], middleOf, range[1]].map((value) => ({ at: height(value), words: panel.unit === "rank" ? whole(value) : plain(value) }));
  const zero = panel.scale === "signed" ? height(0) : null;
  return chart({ lines, steps: panel.rows.labels, ticks, zero, mark: row < 0 ? null : row, axis: "layer", words: courseWords(panels, col, tokens) });
}

/** The colour range, and what lies outside it in a column that is left out of the colours. */
export function widened({ range: [low, high], scale }: { range: [number, number]; scale: string }, values: number[]): [number, number] {
  const known = values.filter((value) => !Number.isNaN(value));
  if (scale !== "signed") return [Math.min(low, ...known), Math.max(high, ...known)];
  const most = Math.max(high, ...known.map(Math.abs));
  return [-most, most];
}

/** Which line is which, where there are two. */
function keys(panels: Panel[]): HTMLElement[] {
  if (panels.length < 2) return [];
  const key = ({ name }: Panel) => h("span", { class: "mi-line-key" }, h("i", { class: LOOKS[name] ?? "" }), NAMES[name] ?? name);
  return [h("span", { class: "mi-line-keys" }, ...panels.map(key))];
}
