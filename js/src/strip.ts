// The token strip: the prompt as the model got it, one piece a position; where asked, each piece can be pointed at and
// held, and tints say what it looks at and what looks at it.

import type { Token } from "./border";
import { bdi, h } from "./dom";
import { tint, type Looks } from "./looks";

const SPEAKS: Record<Token["kind"], string> = {
  text: "",
  space: "white space",
  partial: "part of a character, as bytes",
  special: "special token",
  control: "control character",
};
const FAR = 10; // tokens that Page Up and Page Down pass
const STEPS: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1, PageUp: -FAR, PageDown: FAR, Home: -Infinity, End: Infinity };

/** What a strip tells that answers to a person: which token is pointed at, which is to be held, and letting go. */
export type Answer = { point: (index: number | null) => void; hold: (index: number) => void; letGo: () => void };

let born = 0;

export class Strip {
  private readonly id = `mi-strip-${++born}`;
  /** Many tokens scroll, by key as well: one Tab stop. */
  private readonly list = h("div", { class: "mi-strip", "data-testid": "tokens", role: "list", tabindex: 0, "aria-label": "Tokens of the prompt" });
  /** Below the tokens: what the tints mean. */
  readonly words = h("p", { class: "mi-looks", "data-testid": "looks", hidden: true });
  readonly element = h("div", { class: "mi-tokens" }, this.list, this.words);
  private readonly seam = h("small", { class: "mi-seam", role: "presentation" });
  private pieces: HTMLElement[] = [];
  private prompted = 0; // how many of them are the prompt's
  private tints: [to: number, from: number][] = []; // as they are on the page: only what differs is touched
  private marked: number[] = [];
  private heldAt: number | null = null;
  private active = 0;
  private answer: Answer | null = null;

  show(tokens: Token[]): void {
    this.pieces = tokens.map((token) => piece(token, `${this.id}-${token.index}`));
    this.prompted = tokens.length;
    this.tints = tokens.map(() => [0, 0]);
    this.marked = [];
    this.heldAt = null;
    this.active = 0;
    this.list.replaceChildren(...this.pieces);
    this.element.hidden = tokens.length === 0;
    if (this.answer) this.pieces.forEach(choosable);
  }

  /** Tokens after the prompt's, and whose they are; those that are there already stay. */
  extend(tokens: Token[], whose: string): void {
    const there = this.pieces.slice(this.prompted);
    let same = 0;
    while (same < there.length && tokens[same] && there[same].title === titleOf(tokens[same])) same++;
    for (const gone of there.slice(same)) gone.remove();
    const fresh = tokens.slice(same).map((token) => piece(token, `${this.id}-${token.index}`, "mi-written"));
    this.pieces = [...this.pieces.slice(0, this.prompted + same), ...fresh];
    this.tints = this.pieces.map((_, i) => this.tints[i] ?? [0, 0]);
    if (this.answer) fresh.forEach(choosable);
    this.seam.textContent = whose;
    if (tokens.length) this.list.append(...(this.seam.isConnected ? [] : [this.seam]), ...fresh);
    else this.seam.remove();
  }

  /** Mark the tokens that what is pointed at belongs to. */
  mark(indices: number[]): void {
    for (const i of this.marked) this.pieces[i]?.classList.remove("mi-marked");
    for (const i of indices) this.pieces[i]?.classList.add("mi-marked");
    this.marked = indices;
  }

  /** Tint what a token looks at and what looks at it, `most` in full; or take the tints away. */
  look(looks: Looks | null, most = 1): void {
    this.pieces.forEach((node, i) => {
      const next: [number, number] = looks ? [tint(looks.to[i], most), tint(looks.from[i], most)] : [0, 0];
      const now = this.tints[i];
      if (next[0] !== now[0]) node.style.setProperty("--to", `${next[0]}%`);
      if (next[1] !== now[1]) node.style.setProperty("--from", `${next[1]}%`);
      this.tints[i] = next;
    });
  }

  /** Show which token is held. */
  setHeld(index: number | null): void {
    if (this.heldAt !== null) this.pieces[this.heldAt]?.setAttribute("aria-selected", "false");
    if (index !== null) this.pieces[index]?.setAttribute("aria-selected", "true");
    this.heldAt = index;
  }

  /** Bring a token into the strip's own window; the page stays where it is. */
  reveal(index: number): void {
    const node = this.pieces[index];
    if (!node) return;
    const [top, bottom] = [node.offsetTop - this.list.offsetTop, node.offsetTop - this.list.offsetTop + node.offsetHeight];
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    else if (bottom > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = bottom - this.list.clientHeight;
  }

  /** From now on the tokens can be pointed at and held, with the mouse and from the keyboard: one Tab stop for all. */
  attend(answer: Answer): void {
    this.answer = answer;
    const { list } = this;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Tokens of the prompt: what each looks at, and what looks at it");
    this.pieces.forEach(choosable);
    list.addEventListener("pointerover", (event) => answer.point(this.under(event)));
    list.addEventListener("pointerleave", () => answer.point(null));
    list.addEventListener("click", (event) => this.take(this.under(event)));
    list.addEventListener("keydown", (event) => this.key(event));
    list.addEventListener("focus", () => list.matches(":focus-visible") && this.go(this.active));
    list.addEventListener("blur", () => this.leave());
    this.words.setAttribute("aria-live", "off");
  }

  private under({ target }: Event): number | null {
    const node = target instanceof Element ? target.closest<HTMLElement>("[data-index]") : null;
    return node ? this.pieces.indexOf(node) : null;
  }

  private take(index: number | null): void {
    if (index === null) return;
    this.active = index;
    this.answer?.hold(index);
  }

  private key(event: KeyboardEvent): void {
    const move = STEPS[event.key];
    if (move !== undefined) this.go(Math.max(0, Math.min(this.pieces.length - 1, this.active + move)));
    else if (event.key === "Enter" || event.key === " ") this.take(this.active);
    else if (event.key === "Escape" && this.heldAt !== null) this.answer?.letGo();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private go(index: number): void {
    this.pieces[this.active]?.classList.remove("mi-active");
    this.pieces[index]?.classList.add("mi-active");
    this.active = index;
    this.list.setAttribute("aria-activedescendant", this.pieces[index]?.id ?? "");
    this.words.setAttribute("aria-live", "polite"); // to be spoken while the keyboard moves, not under a mouse
    this.reveal(index);
    this.answer?.point(index);
  }

  private leave(): void {
    this.pieces[this.active]?.classList.remove("mi-active");
    this.words.setAttribute("aria-live", "off");
    this.answer?.point(null);
  }
}

function choosable(node: HTMLElement): void {
  node.setAttribute("role", "option");
  node.setAttribute("aria-selected", "false");
}

function titleOf({ index, id, kind, bos }: Token): string {
  return [`position ${index}, id ${id}`, SPEAKS[kind], bos ? "beginning of sequence" : ""].filter(Boolean).join(", ");
}

function piece(token: Token, id: string, look = token.bos ? "mi-bos" : ""): HTMLElement {
  return h(
    "span",
    { id, class: `mi-token ${look}`, "data-kind": token.kind, role: "listitem", "data-index": token.index, title: titleOf(token) },
    bdi(token.text),
    token.bos ? h("small", {}, "BOS") : null,
  );
}
