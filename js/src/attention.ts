// Attention: all heads as small pictures, and the open one in full beside them.

import { filled, readPanel, type Panel } from "./border";
import { h } from "./dom";
import type { Cell } from "./geometry";
import type { Loop } from "./loop";
import type { Look } from "./look";
import { Frame, Panels } from "./panels";
import { positions } from "./reading";
import { view } from "./shell";
import type { Strip } from "./strip";

/** The open head: drawn anew for each head. */
class OpenHead {
  readonly element = h("div", { class: "mi-panels mi-open", "data-testid": "open-head" });
  private frame: Frame | null = null;

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

  private show(): void {
    const wire = this.loop.get("pattern");
    this.frame?.end();
    this.frame = filled(wire) ? this.build(readPanel(wire)) : null;
    this.element.replaceChildren(this.frame?.element ?? h("p", { class: "mi-hint mi-blank" }, "Click a head to see its whole pattern here."));
  }

  private build(panel: Panel): Frame {
    const hover = (cell: Cell | null) => {
      this.strip.tint(cell && rowOf(panel, cell.row));
      this.strip.mark(positions(panel, cell, this.loop.get("tokens")).slice(0, 1));
    };
    return new Frame(panel, this.loop.get("tokens"), this.look, { hover });
  }
}

const rowOf = ({ values, cols }: Panel, row: number) => values.subarray(row * cols.labels.length, (row + 1) * cols.labels.length);

export default view(({ loop, strip, look }) => {
  const heads = new Panels(loop, look, { pick: (_, cell) => loop.open(cell.row, cell.col) });
  const open = new OpenHead(loop, strip, look);
  loop.watch(["opened", "panels"], () => {
    const [row, col] = loop.get("opened");
    heads.setOpened(0, row === undefined ? null : { row, col });
  });
  const setLook = (next: Look) => (heads.setLook(next), open.setLook(next));
  return { element: h("div", { class: "mi-attention" }, heads.element, open.element), setLook };
});
