// The buttons that zoom a map, where there is something to gain by it.

import { h, shown } from "./dom";

/** How much larger cells are after one press. */
export const STEP = 1.5;

export class ZoomBar {
  readonly element: HTMLElement;
  private readonly out = button("−", "Zoom out", "zoom-out");
  private readonly in = button("+", "Zoom in", "zoom-in");
  private readonly all = button("Fit", "Fit: show all of it", "zoom-fit");

  constructor(does: (turn: number | "fit") => void) {
    this.out.addEventListener("click", () => does(1 / STEP));
    this.in.addEventListener("click", () => does(STEP));
    this.all.addEventListener("click", () => does("fit"));
    this.element = h("div", { class: "mi-segments mi-zoom", role: "group", "aria-label": "Zoom", hidden: true }, this.out, this.in, this.all);
  }

  /** Where the zoom stands in its range; `worthwhile`: by how much it has to change a cell to be offered. */
  show(zoom: number, { least, most }: { least: number; most: number }, worthwhile: number): void {
    shown(this.element, most / least >= worthwhile);
    ends(this.out, zoom <= least);
    ends(this.all, zoom <= least);
    ends(this.in, zoom >= most);
  }
}

/** A button at its end stays focusable, so that the keyboard does not lose its place. */
function ends(node: HTMLElement, at: boolean): void {
  node.setAttribute("aria-disabled", String(at));
}

function button(sign: string, name: string, id: string): HTMLElement {
  return h("button", { type: "button", "aria-label": name, title: name, "data-testid": id }, sign);
}
