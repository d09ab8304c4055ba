// The action bar: what is picked, what is to be done to it, and Run.

import type { Act, Direction, Pick } from "./border";
import type { CodePane } from "./code";
import { promise } from "./deed";
import { bdi, h, shown } from "./dom";
import { Follow } from "./follow";
import { count } from "./format";
import type { Loop } from "./loop";
import { scaleSlider, strengthSlider } from "./slider";
import { tray } from "./tray";
import { undoButtons } from "./undo";

export type Naming = (pick: Pick) => string;

const MOST_CHIPS = 10;
const KEEP = "Keep this edit in force while you pick others";
const VERBS: [Act["verb"], string][] = [["switch_off", "Switch off"], ["scale", "Scale"], ["add", "Add direction"]];
const KINDS: ["mean" | "zero", string][] = [["mean", "to its mean"], ["zero", "to zero"]];

export class ActionBar {
  readonly element: HTMLElement;
  private readonly chips = h("div", { class: "mi-chips", "data-testid": "picks" });
  private readonly details = h("div", { class: "mi-details" });
  private readonly verbs = h("div", { class: "mi-segments", role: "group", "aria-label": "What to do" });
  private readonly why = h("span", { class: "mi-why", "data-testid": "why" });
  private readonly runButton = h("button", { class: "mi-button mi-primary", type: "button" });
  private readonly codeButton = h("button", { class: "mi-button", type: "button", "data-testid": "code", "aria-expanded": "false" }, "Code");
  private readonly keepButton = h("button", { class: "mi-button", type: "button", "data-testid": "keep", title: KEEP }, "Keep");
  private readonly clearButton = h("button", { class: "mi-button", type: "button", "data-testid": "clear" }, "Clear");
  private drawn = "";

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
    const verbRow = h("div", { class: "mi-verbs" }, this.verbs, this.details);
    this.element = h("section", { class: "mi-bar", "aria-label": "Action", "data-testid": "bar" }, tray(loop), this.chips, verbRow, buttons);
    loop.watch(["picks", "panels", "tokens"], () => this.showPicks());
    loop.watch(["act", "directions"], () => this.showAct());
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

  /** Draw the verb's own controls; while only a slider's number changes, the slider stays as it is under the finger. */
  private showAct(): void {
    const act = this.loop.get("act");
    const directions = this.loop.get("directions");
    const sort = JSON.stringify([act.verb, act.verb === "add" && act.direction, directions]);
    if (sort !== this.drawn) this.drawAct(act, directions);
    this.drawn = sort;
    for (const input of this.details.querySelectorAll<HTMLInputElement>("input[data-act]"))
      if (document.activeElement !== input) input.value = numberIn(act);
    for (const button of this.details.querySelectorAll<HTMLElement>("[data-kind]"))
      button.setAttribute("aria-pressed", String(act.verb === "switch_off" && button.dataset.kind === act.kind));
  }

  private drawAct(act: Act, directions: Direction[]): void {
    const offered = VERBS.filter(([verb]) => verb !== "add" || directions.length);
    this.verbs.replaceChildren(...offered.map(([verb, name]) => segment(name, `verb-${verb}`, verb === act.verb, () => this.change(verb))));
    this.details.replaceChildren(...this.controls(act, directions));
  }

  private controls(act: Act, directions: Direction[]): HTMLElement[] {
    const plan = (next: Act) => this.loop.plan(next);
    if (act.verb === "switch_off") return [kinds((kind) => plan({ verb: "switch_off", kind }))];
    if (act.verb === "scale") return scaleSlider(act.factor, (factor) => plan({ verb: "scale", factor }));
    const chosen = directions.find(({ name }) => name === act.direction);
    const choose = (name: string) => plan({ verb: "add", direction: name, strength: naturalOf(directions, name) });
    return [
      directionSelect(directions, act.direction, choose),
      ...strengthSlider(act.strength, chosen?.natural ?? 0, (strength) => plan({ ...act, strength })),
    ];
  }

  private change(verb: Act["verb"]): void {
    const [first] = this.loop.get("directions");
    if (verb === "switch_off") this.loop.plan({ verb, kind: "mean" });
    else if (verb === "scale") this.loop.plan({ verb, factor: 2 });
    else if (first) this.loop.plan({ verb, direction: first.name, strength: first.natural });
    this.verbs.querySelector<HTMLElement>('[aria-pressed="true"]')?.focus();
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
    const words = promise(act, picks.length, this.loop.placed(picks).length);
    return tray.length ? `${words} The kept edits stay in force.` : words;
  }
}

function kinds(choose: (kind: "mean" | "zero") => void): HTMLElement {
  const buttons = KINDS.map(([kind, name]) => {
    const button = segment(name, `kind-${kind}`, false, () => choose(kind));
    button.dataset.kind = kind;
    return button;
  });
  return h("div", { class: "mi-segments mi-quiet", role: "group", "aria-label": "Replace by" }, ...buttons);
}

function segment(name: string, id: string, checked: boolean, choose: () => void): HTMLElement {
  return h("button", { type: "button", "aria-pressed": String(checked), "data-testid": id, onclick: choose }, name);
}

function directionSelect(directions: Direction[], chosen: string, choose: (name: string) => void): HTMLElement {
  const options = directions.map(({ name, layer }) => h("option", { value: name, selected: name === chosen }, `${name} (layer ${layer})`));
  const select = h("select", { "aria-label": "Direction", "data-testid": "direction" }, ...options);
  select.addEventListener("change", () => choose(select.value));
  return select;
}

const naturalOf = (directions: Direction[], name: string) => directions.find((direction) => direction.name === name)?.natural ?? 0;
const numberIn = (act: Act) => String(act.verb === "scale" ? act.factor : act.verb === "add" ? act.strength : "");
