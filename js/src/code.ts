// The code of the drafted recipe: to copy, or to insert below the cell where a notebook takes it.

import { h, shown } from "./dom";
import type { Loop } from "./loop";

const SETTLED = 250; // milliseconds without a further change before the code is asked for again
const EVENT = "mi-widgets:insert-code";

export class CodePane {
  readonly element: HTMLElement;
  private readonly text = h("pre", { tabindex: 0, "data-testid": "code-text", "aria-label": "Code" });
  private readonly said = h("span", { class: "mi-said", role: "status" });
  private timer = 0;

  constructor(private readonly loop: Loop) {
    this.element = h("section", { class: "mi-code", "aria-label": "Code", "data-testid": "code-pane", hidden: true }, this.text, this.buttons());
    loop.watch(["code", "picks", "act"], () => this.show());
    loop.watch(["picks", "act"], () => this.refresh());
    loop.signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  get open(): boolean {
    return !this.element.hidden;
  }

  toggle(): void {
    shown(this.element, !this.open);
    this.said.textContent = "";
    if (this.open && !this.loop.get("code") && !this.loop.obstacle) this.loop.requestCode();
  }

  private show(): void {
    const code = this.loop.get("code");
    this.text.textContent = code || this.loop.obstacle || "writing the code …";
    this.element.classList.toggle("mi-waiting", !code);
    for (const button of this.element.querySelectorAll("button")) button.disabled = !code;
  }

  private refresh(): void {
    clearTimeout(this.timer);
    if (!this.open || this.loop.obstacle) return;
    this.timer = window.setTimeout(() => this.loop.requestCode(), SETTLED);
  }

  private buttons(): HTMLElement {
    const button = (name: string, id: string, does: () => void) =>
      h("button", { class: "mi-button mi-small", type: "button", "data-testid": id, onclick: does }, name);
    return h(
      "div",
      { class: "mi-code-buttons" },
      button("Copy", "copy-code", () => void this.copy("Copied.")),
      button("Insert below", "insert-code", () => this.insert()),
      this.said,
    );
  }

  /** Offer the code to the notebook; one that takes it prevents the default. */
  private insert(): void {
    const detail = { code: this.loop.get("code") };
    const event = new CustomEvent(EVENT, { bubbles: true, cancelable: true, composed: true, detail });
    if (this.element.dispatchEvent(event)) void this.copy("No notebook answered, so it was copied: paste it into a cell.");
    else this.said.textContent = "Inserted below.";
  }

  private async copy(done: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(this.loop.get("code"));
      this.said.textContent = done;
    } catch {
      getSelection()?.selectAllChildren(this.text);
      this.said.textContent = "The browser does not allow copying here: the code is selected, press Ctrl+C.";
    }
  }
}
