// Attention: all heads as small pictures, and the open one in full beside them, tied to the tokens of the prompt.

import { filled, readPanel, type Panel, type Token } from "./border";
import { choices } from "./choices";
import { bdi, h, shown } from "./dom";
import type { Cell } from "./geometry";
import { amount } from "./reading";
import { looksOf, strongest, type Looks, type Share } from "./looks";
import type { Loop } from "./loop";
import type { Look } from "./look";
import { Frame, Panels } from "./panels";
import { view, type Scene, type Stage } from "./shell";
import type { Strip } from "./strip";

const NAMED = 3; // tokens that are named beside the tints

/** The open head: its map drawn anew for each head, and the token that is looked at or held. */
class OpenHead {
  readonly element = h("div", { class: "mi-panels mi-open", "data-testid": "open-head" });
  private frame: Frame | null = null;
  private pointed: number | null = null;
  private held: number | null = null;
  private next = 0;

  constructor(
    private readonly loop: Loop,
    private readonly strip: Strip,
    private look: Look,
  ) {
    strip.attend({ point: (index) => this.fromStrip(index), hold: (index) => this.hold(index), letGo: () => this.hold(null) });
    loop.watch(["tokens", "continuation"], () => this.extend());
    loop.watch(["pattern", "tokens", "continuation"], () => this.show());
    loop.signal.addEventListener("abort", () => (this.frame?.end(), cancelAnimationFrame(this.next)));
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

  /** The tokens that the open head looks over: the prompt's, and those written after it. */
  private tokens(): Token[] {
    const more = this.loop.get("continuation");
    return [...this.loop.get("tokens"), ...(filled(more) ? more.tokens : [])];
  }

  private extend(): void {
    const more = this.loop.get("continuation");
    this.strip.extend(filled(more) ? more.tokens : [], filled(more) ? more.whose : "");
  }

  private show(): void {
    const wire = this.loop.get("pattern");
    const panel = filled(wire) ? readPanel(wire) : null;
    this.busy(false);
    if (panel && this.frame?.suits(panel)) this.frame.setPanel(panel);
    else this.replace(panel);
    this.tell();
  }

  private replace(panel: Panel | null): void {
    this.frame?.end();
    this.pointed = this.held = null;
    this.frame = panel && new Frame(panel, this.tokens(), this.look, {
      hover: (cell) => this.point(cell && cell.row),
      hold: (place) => this.hold(place),
    });
    this.element.replaceChildren(this.frame?.element ?? h("p", { class: "mi-hint mi-blank" }, "Click a head to see its whole pattern here."));
  }

  private fromStrip(index: number | null): void {
    this.frame?.map.light(index === null ? null : { row: index, col: index });
    this.point(index);
  }

  private point(index: number | null): void {
    this.pointed = index;
    this.tell();
  }

  /** Hold on to a token, so that its tints stay while a person looks elsewhere; the same again lets go. */
  private hold(index: number | null): void {
    this.held = index === this.held ? null : index;
    this.strip.setHeld(this.held);
    this.frame?.map.setHeld(this.held);
    this.tell();
  }

  /** Show among the tokens what the one held or pointed at looks at, in the next frame: a pointer can be faster. */
  private tell(): void {
    cancelAnimationFrame(this.next);
    this.next = requestAnimationFrame(() => {
      const panel = this.frame?.panel;
      const at = this.held ?? this.pointed;
      const looks = panel && at !== null ? looksOf(panel, at) : null;
      this.strip.look(looks, panel && Math.max(...panel.range.map(Math.abs)));
      this.strip.mark(at === null ? [] : [at]);
      if (at !== null && this.held === null) this.strip.reveal(at);
      shown(this.strip.words, !!panel);
      this.strip.words.replaceChildren(...(panel ? this.sentence(panel, looks) : []));
    });
  }

  private sentence(panel: Panel, looks: Looks | null): (Node | string)[] {
    if (!looks) return ["Point at a token to see what it looks at and what looks at it; click to hold it."];
    const name = () => h("b", {}, bdi(this.name(looks.at)), ` (${looks.at})`);
    const to = this.side("mi-look-to", [name(), " looks at "], panel, strongest(looks.to, NAMED), "nothing");
    const from = this.side("mi-look-from", [name(), " is looked at by "], panel, strongest(looks.from, NAMED), "no later token");
    return [to, from, h("span", {}, this.held === null ? "Click to hold." : "Held: Esc or another click lets go.")];
  }

  private side(look: string, words: (Node | string)[], panel: Panel, shares: Share[], none: string): HTMLElement {
    const named = shares.flatMap(({ position, value }, i) => [i ? ", " : "", bdi(this.name(position)), ` ${amount({ ...panel, unit: "" }, value)}`]);
    return h("span", {}, h("i", { class: look, "aria-hidden": "true" }), ...words, ...(named.length ? named : [none]));
  }

  private name(position: number): string {
    const token = this.tokens()[position];
    return token?.bos ? "BOS" : (token?.text ?? String(position));
  }
}

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
