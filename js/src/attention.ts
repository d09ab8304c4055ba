// Attention: all heads as small pictures, and the open one in full beside them.

import { filled, readPanel, type Panel } from "./border";
import { choices } from "./choices";
import { h } from "./dom";
import type { Cell } from "./geometry";
import type { Loop } from "./loop";
import type { Look } from "./look";
import { Frame, Panels } from "./panels";
import { positions } from "./reading";
import { view, type Scene, type Stage } from "./shell";
import type { Strip } from "./strip";

/** The open head: drawn anew for each head. */
class OpenHead {
  readonly element = h("div", { class: "mi-panels mi-open", "data-testid": "open-head" });
  private frame: Frame | null = null;
  private pointed: Cell | null = null;

  constructor(
    private readonly loop: Loop,
    private readonly strip: Strip,
    private look: Look,
  ) {
    loop.watch(["pattern", "tokens"], () => this.show());
    loop.signal.addEventListener("abort", () => this.frame?.end());
  }

  setLook(look: Look): void {
    this.look = look;
    this.frame?.setLook(look);
  }

  /** A head was asked for: what is drawn is the one before, until it comes. */
  await(cell: Cell): void {
    const [row, col] = this.loop.get("opened");
    this.busy(row !== cell.row || col !== cell.col);
    this.loop.open(cell.row, cell.col);
  }

  private busy(busy: boolean): void {
    this.element.setAttribute("aria-busy", String(busy));
  }

  private show(): void {
    const wire = this.loop.get("pattern");
    const panel = filled(wire) ? readPanel(wire) : null;
    this.busy(false);
    if (panel && this.frame?.suits(panel)) this.frame.setPanel(panel);
    else this.replace(panel);
    this.point(this.pointed);
  }

  private replace(panel: Panel | null): void {
    this.frame?.end();
    this.pointed = null;
    this.frame = panel && new Frame(panel, this.loop.get("tokens"), this.look, { hover: (cell) => this.point(cell) });
    this.element.replaceChildren(this.frame?.element ?? h("p", { class: "mi-hint mi-blank" }, "Click a head to see its whole pattern here."));
  }

  /** Show in the token strip where the pointed-at row looks. */
  private point(cell: Cell | null): void {
    this.pointed = cell;
    const panel = this.frame?.panel;
    this.strip.tint(panel && cell ? rowOf(panel, cell.row) : null);
    this.strip.mark(panel ? positions(panel, cell, this.loop.get("tokens")).slice(0, 1) : []);
  }
}

const rowOf = ({ values, cols }: Panel, row: number) => values.subarray(row * cols.labels.length, (row + 1) * cols.labels.length);

/** All heads, and the open one. */
export function attention({ loop, strip, look }: Stage): Scene {
  const open = new OpenHead(loop, strip, look);
  const heads = new Panels(loop, look, { pick: (_, cell) => open.await(cell) }, "attention");
  loop.watch(["opened", "panels"], () => {
    const [row, col] = loop.get("opened");
    const panel = loop.get("panels").findIndex(({ instrument }) => !instrument || instrument === "attention");
    heads.setOpened(panel, row === undefined ? null : { row, col });
  });
  const setLook = (next: Look) => (heads.setLook(next), open.setLook(next));
  const both = h("div", { class: "mi-attention" }, heads.element, open.element);
  return { element: h("div", { class: "mi-part" }, choices(loop, "attention"), both), setLook };
}

export default view(attention);
