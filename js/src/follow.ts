// Live: run again by itself whenever the draft changes. One question is on its way at a time; the latest draft is the next.

import { sameDraft, type Draft } from "./border";
import { h } from "./dom";
import type { Loop } from "./loop";

const SETTLED = 120; // milliseconds without a further change

export class Follow {
  readonly button = h("button", { class: "mi-button", type: "button", "aria-pressed": "false", "data-testid": "follow", title: "Run again by itself whenever something changes" }, "Live");
  private sent: Draft | null = null; // asked for, and no number of it yet
  private timer = 0;

  constructor(private readonly loop: Loop) {
    this.button.addEventListener("click", () => this.toggle());
    loop.watch(["picks", "act", "tray"], () => this.soon());
    loop.watch(["result", "error"], () => this.heard());
    loop.watchBusy(() => this.heard());
    loop.signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  private get on(): boolean {
    return this.button.getAttribute("aria-pressed") === "true";
  }

  private toggle(): void {
    this.button.setAttribute("aria-pressed", String(!this.on));
    this.soon();
  }

  private soon(): void {
    clearTimeout(this.timer);
    if (this.on) this.timer = window.setTimeout(() => this.ask(), SETTLED);
  }

  private ask(): void {
    const { loop } = this;
    if (this.sent || loop.obstacle || (loop.result && !loop.stale)) return;
    this.sent = loop.draft;
    loop.run();
  }

  /** The numbers are there, or will not come: what was drafted meanwhile is next. */
  private heard(): void {
    if (!this.sent) return;
    const { result, busy } = this.loop;
    if (busy && !(result && sameDraft(result, this.sent))) return;
    this.sent = null;
    if (this.loop.get("status") !== "error") this.soon();
  }
}
