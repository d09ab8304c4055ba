// The action bar: what is picked, what is to be done to it, and Run.

import { readPanel, type Pick } from "./border";
import type { CodePane } from "./code";
import { promise } from "./deed";
import { bdi, h, shown } from "./dom";
import { Follow } from "./follow";
import { count } from "./format";
import type { Loop } from "./loop";
import { topOf } from "./reading";
import { tray } from "./tray";
import { undoButtons } from "./undo";
import { Verbs } from "./verbs";

export type Naming = (pick: Pick) => string;

const MOST_CHIPS = 10;
const KEEP = "Keep this edit in force while you pick others";

export class ActionBar {
  readonly element: HTMLElement;
  private readonly chips = h("div", { class: "mi-chips", "data-testid": "picks" });
  private readonly why = h("span", { class: "mi-why", "data-testid": "why" });
  private readonly runButton = h("button", { class: "mi-button mi-primary", type: "button" });
  private readonly codeButton = h("button", { class: "mi-button", type: "button", "data-testid": "code", "aria-expanded": "false" }, "Code");
  private readonly keepButton = h("button", { class: "mi-button", type: "button", "data-testid": "keep", title: KEEP }, "Keep");
  private readonly clearButton = h("button", { class: "mi-button", type: "button", "data-testid": "clear" }, "Clear");

  constructor(
    private readonly loop: Loop,
    code: CodePane,
    private readonly name: Naming,
  ) {
    this.codeButton.addEventListener("click", () => (code.toggle(), this.codeButton.setAttribute("aria-expanded", String(code.open))));
    this.clearButton.addEventListener("click", () => loop.pick([]));
    this.runButton.addEventListener("click", () => (loop.busy ? loop.stop() : loop.run()));
    this.keepButton.addEventListener("click", () => loop.keep());
    const buttons = h("div", { class: "mi-buttons" }, this.runButton, new Follow(loop).button, this.keepButton, this.codeButton, this.clearButton, undoButtons(loop), this.why);
    this.element = h("section", { class: "mi-bar", "aria-label": "Action", "data-testid": "bar" }, tray(loop), this.chips, new Verbs(loop).element, buttons);
    loop.watch(["picks", "panels", "tokens"], () => this.showPicks());
    loop.watch(["picks", "act", "tray", "result"], () => this.showRun());
    loop.watchBusy(() => this.showRun());
  }

  private showPicks(): void {
    const picks = this.loop.get("picks");
    const rest = picks.length - MOST_CHIPS;
    const words = picks.length ? `${count(picks.length, "cell")}:` : this.emptyWords();
    this.chips.replaceChildren(
      h("span", { class: picks.length ? "mi-count" : "mi-hint" }, words),
      ...picks.slice(0, MOST_CHIPS).map((pick) => this.chip(pick)),
      ...(rest > 0 ? [h("span", { class: "mi-count" }, `and ${rest} more`)] : []),
    );
    shown(this.clearButton, picks.length > 0);
  }

  private emptyWords(): string {
    return "Click a cell to pick it. Shift-click for more, drag for a rectangle, or use the arrow keys and Enter.";
  }

  private chip(pick: Pick): HTMLElement {
    const name = this.name(pick);
    const remove = () => this.loop.pick(this.loop.get("picks").filter((other) => String(other) !== String(pick)));
    const button = h("button", { type: "button", "aria-label": `Remove ${name}`, "data-testid": "remove-pick", onclick: remove }, "✕");
    return h("span", { class: "mi-chip", "data-testid": "pick" }, bdi(name), button);
  }

  private showRun(): void {
    const { busy, obstacle: reason } = this.loop;
    const button = this.runButton;
    button.textContent = busy ? "Stop" : "Run";
    button.dataset.testid = busy ? "run-stop" : "run";
    button.disabled = !busy && !!reason;
    this.keepButton.disabled = !this.loop.keepable;
    this.codeButton.disabled = !!reason && this.codeButton.getAttribute("aria-expanded") === "false";
    button.classList.toggle("mi-next", !busy && !reason && (!this.loop.result || this.loop.stale));
    this.why.textContent = busy ? "" : reason || this.promised();
  }

  private promised(): string {
    const { picks, act, tray } = this.loop.draft;
    if (!this.loop.keepable) return "Runs the kept edits.";
    const reads = act.verb === "reading" ? picks.map((pick) => this.read(pick)) : [];
    const words = promise(act, picks.length, this.loop.placed(picks).length, reads.filter(Boolean));
    return tray.length ? `${words} The kept edits stay in force.` : words;
  }

  /** The token that a cell of a lens reads first. */
  private read([panel, row, col]: Pick): string {
    const wire = this.loop.get("panels")[panel];
    return wire?.top ? (topOf(readPanel(wire), { row, col })[0]?.token.text ?? "") : "";
  }
}
