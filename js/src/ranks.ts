// The numbers of a map as a table, the largest first: for those who don't see the map, and to pick from by a button.

import type { Axis, Panel, Token } from "./border";
import { bdi, h, shown } from "./dom";
import { axisWord } from "./format";
import type { Cell } from "./geometry";
import { icon } from "./icon";
import { Ranking } from "./rank";
import { figure, label, onTokens, short, superlative } from "./reading";

const MOST = 50;

export class Ranks {
  readonly button = h("button", { class: "mi-tool", type: "button", title: "Table (T)", "aria-label": "Table", "aria-expanded": "false", "data-testid": "table" }, icon("table"));
  private readonly caption = h("caption", {});
  private readonly head = h("tr", {});
  private readonly body = h("tbody", {});
  readonly element = h("div", { class: "mi-scroll", tabindex: 0, role: "region", "data-testid": "ranks", hidden: true },
    h("table", { class: "mi-table" }, this.caption, h("thead", {}, this.head), this.body));
  private panel: Panel | null = null;
  private tokens: Token[] = [];
  private picked = new Set<string>();

  constructor(private readonly pick?: (cell: Cell) => void) {
    this.button.addEventListener("click", () => this.toggle());
  }

  get open(): boolean {
    return !this.element.hidden;
  }

  toggle(): void {
    shown(this.element, !this.open);
    this.button.setAttribute("aria-expanded", String(this.open));
    this.draw();
  }

  show(panel: Panel, tokens: Token[]): void {
    this.panel = panel;
    this.tokens = tokens;
    this.draw();
  }

  setPicked(cells: Cell[]): void {
    this.picked = new Set(cells.map(keyOf));
    this.press();
  }

  /** Draw the numbers as they are now; a button that has the focus keeps it, wherever its cell has moved. */
  private draw(): void {
    const { panel } = this;
    if (!panel || !this.open) return;
    const ranking = new Ranking(panel);
    const held = this.body.querySelector<HTMLElement>(":focus")?.dataset.cell;
    const words = captionOf(panel, ranking.total);
    this.caption.textContent = words;
    this.element.setAttribute("aria-label", words);
    this.head.replaceChildren(...this.heads(panel));
    this.body.replaceChildren(...ranking.leaders(MOST).map((index) => this.line(panel, index, ranking.of(index))));
    this.press();
    if (held) this.body.querySelector<HTMLElement>(`[data-cell="${held}"]`)?.focus();
  }

  private heads({ rows, cols, unit, texts }: Panel): HTMLElement[] {
    const head = (name: string, look?: string) => h("th", { scope: "col", class: look }, name);
    return [
      head("rank", "mi-figure"),
      head(axisWord(rows.name)),
      head(axisWord(cols.name)),
      head(unit || "value", "mi-figure"),
      ...(texts ? [head("token")] : []),
      ...(this.pick ? [h("td", {})] : []),
    ];
  }

  private line(panel: Panel, index: number, rank: number): HTMLElement {
    const width = panel.cols.labels.length;
    const cell = { row: Math.floor(index / width), col: index % width };
    return h(
      "tr",
      {},
      h("td", { class: "mi-figure" }, String(rank)),
      h("th", { scope: "row" }, ...this.place(panel.rows, cell.row)),
      h("th", { scope: "row" }, ...this.place(panel.cols, cell.col)),
      h("td", { class: "mi-figure" }, figure(panel, panel.values[index]), panel.estimated?.[index] ? h("small", {}, "estimate") : null),
      panel.texts ? h("td", {}, bdi(panel.vocabulary?.[panel.texts[index]]?.text ?? "")) : null,
      this.pick ? h("td", {}, this.picker(panel, cell)) : null,
    );
  }

  private place(axis: Axis, index: number): (HTMLElement | string)[] {
    return onTokens(axis, this.tokens) ? [`${index} `, bdi(label(axis, index, this.tokens))] : [axis.labels[index]];
  }

  private picker(panel: Panel, cell: Cell): HTMLElement {
    const name = `Pick ${short(panel, cell, this.tokens)}`;
    return h("button", { class: "mi-button mi-small", type: "button", "aria-label": name, "data-cell": keyOf(cell), onclick: () => this.pick?.(cell) }, "Pick");
  }

  private press(): void {
    for (const button of this.body.querySelectorAll<HTMLElement>("[data-cell]")) button.setAttribute("aria-pressed", String(this.picked.has(button.dataset.cell!)));
  }
}

const keyOf = ({ row, col }: Cell) => `${row},${col}`;

function captionOf(panel: Panel, total: number): string {
  const { title, name, scale } = panel;
  const first = superlative(panel);
  const which = total > MOST ? `the ${MOST} ${first} of ${total.toLocaleString("en")}` : `all ${total}, the ${first} first`;
  return `${title || name}: ${which}${scale === "signed" ? ", whatever their sign" : ""}.`;
}
