// The token strip: the prompt as the model got it, one piece a position.

import type { Token } from "./border";
import { bdi, h } from "./dom";
import { plain } from "./format";

const SPEAKS: Record<Token["kind"], string> = {
  text: "",
  space: "white space",
  partial: "part of a character, as bytes",
  special: "special token",
  control: "control character",
};

export class Strip {
  readonly element = h("div", { class: "mi-strip", "data-testid": "tokens", role: "list", "aria-label": "Tokens of the prompt" });
  private pieces: HTMLElement[] = [];

  show(tokens: Token[]): void {
    this.pieces = tokens.map(piece);
    this.element.replaceChildren(...this.pieces);
    this.element.hidden = tokens.length === 0;
  }

  /** Mark the tokens that what is pointed at belongs to. */
  mark(indices: number[]): void {
    this.pieces.forEach((piece, i) => piece.classList.toggle("mi-marked", indices.includes(i)));
  }

  /** Tint each token by a share of 0..1, or take the tint away. */
  tint(shares: ArrayLike<number> | null): void {
    this.pieces.forEach((piece, i) => {
      const share = shares && !Number.isNaN(shares[i]) ? Math.min(1, shares[i]) : 0;
      piece.style.setProperty("--share", `${Math.round(100 * Math.sqrt(share))}%`);
      piece.dataset.share = share ? plain(share) : "";
    });
  }
}

function piece(token: Token): HTMLElement {
  const title = [`position ${token.index}, id ${token.id}`, SPEAKS[token.kind], token.bos ? "beginning of sequence" : ""];
  return h(
    "span",
    { class: token.bos ? "mi-token mi-bos" : "mi-token", "data-kind": token.kind, role: "listitem", "data-index": token.index, title: title.filter(Boolean).join(", ") },
    bdi(token.text),
    token.bos ? h("small", {}, "BOS") : null,
  );
}
