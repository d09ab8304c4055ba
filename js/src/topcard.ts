// The card beside a cell of the lens: the exact number that is drawn, and its best tokens with their probabilities.

import type { Panel } from "./border";
import { bdi, h } from "./dom";
import type { Cell } from "./geometry";
import type { HeatMap } from "./map";
import { cardOf } from "./reading";

const WIDTH = 208;
const GAP = 10;

export class TopCard {
  private readonly element = h("div", { class: "mi-topcard", "aria-hidden": "true", "data-testid": "top-card", hidden: true });

  show(panel: Panel, map: HeatMap, cell: Cell | null): void {
    const { quantity, top } = cell ? cardOf(panel, cell) : { quantity: "", top: [] };
    this.element.hidden = !top.length;
    if (!cell || !top.length) return;
    const heading = `${panel.rows.name} ${panel.rows.labels[cell.row]}`;
    const shown = quantity ? h("p", { class: "mi-quantity" }, bdi(quantity)) : null;
    this.element.replaceChildren(...[h("p", {}, heading), shown, h("ol", { class: "mi-top" }, ...top.map(line))].filter((part) => part !== null));
    map.element.append(this.element);
    this.place(map, cell);
  }

  /** To the right of the cell, or to its left where there is no room. */
  private place(map: HeatMap, cell: Cell): void {
    const { left, top, width } = map.spot(cell);
    const room = map.element.clientWidth;
    const right = left + width + GAP;
    const x = right + WIDTH <= room ? right : Math.max(0, left - GAP - WIDTH);
    const y = Math.min(top, map.element.clientHeight - this.element.offsetHeight);
    this.element.style.transform = `translate(${Math.round(x)}px, ${Math.round(Math.max(0, y))}px)`;
  }
}

function line({ token, value, amount }: { token: { text: string }; value: number; amount: string }): HTMLElement {
  const bar = h("i", {});
  bar.style.width = `${100 * value}%`;
  return h("li", {}, bdi(token.text, { class: "mi-word" }), h("span", { class: "mi-likely" }, bar), h("span", { class: "mi-percent" }, amount));
}
