// One map as large as the page, above everything else, and back.

import { h } from "./dom";
import { icon } from "./icon";

const LARGER = "Maximise";
const BACK = "Back to its place";

export class Enlargement {
  readonly button = h("button", { class: "mi-tool", type: "button", "data-testid": "maximise" });
  private from: HTMLElement | null = null; // what had the focus before

  constructor(
    private readonly element: HTMLElement,
    signal: AbortSignal,
  ) {
    this.name();
    this.button.addEventListener("click", () => this.toggle());
    element.addEventListener("focusout", (event) => this.left(event.relatedTarget));
    signal.addEventListener("abort", () => this.end());
  }

  get on(): boolean {
    return this.element.popover !== null;
  }

  toggle(): void {
    if (this.on) this.back();
    else this.begin();
  }

  /** In the browser's top layer, which no container of a notebook clips; its place stays open, so that nothing moves. */
  private begin(): void {
    this.from = this.element.querySelector<HTMLElement>(":focus");
    const { style, offsetHeight } = this.element.parentElement!;
    style.minHeight = `${offsetHeight}px`;
    this.element.popover = "manual";
    this.element.showPopover();
    this.name();
    (this.from ?? this.button).focus();
  }

  private back(): void {
    const { from } = this;
    this.end();
    (from ?? this.button).focus();
  }

  private end(): void {
    if (!this.on) return;
    this.from = null;
    this.element.popover = null;
    if (this.element.parentElement) this.element.parentElement.style.minHeight = "";
    this.name();
  }

  /** The focus has gone on to what is hidden behind: show it. */
  private left(to: EventTarget | null): void {
    if (this.on && to instanceof Node && !this.element.contains(to)) this.end();
  }

  private name(): void {
    const name = this.on ? BACK : LARGER;
    this.button.setAttribute("aria-label", name);
    this.button.setAttribute("aria-pressed", String(this.on));
    this.button.title = `${name} (F)`;
    this.button.replaceChildren(icon(this.on ? "restore" : "maximise"));
  }
}
