// The verbs: what is to be done to the picked cells. The first three are always there, the others under "More".

import type { Act, Direction } from "./border";
import { h, shown } from "./dom";
import { field, settle } from "./field";
import type { Loop } from "./loop";
import { readingSlider, scaleSlider, strengthSlider } from "./slider";

type Of<V extends Act["verb"]> = Extract<Act, { verb: V }>;
type Named<T> = [T, string][];

const FIRST: Named<Act["verb"]> = [["switch_off", "Switch off"], ["scale", "Scale"], ["add", "Add direction"]];
const MORE: Named<Act["verb"]> = [["clamp", "Clamp"], ["replace", "From another prompt"], ["project_out", "Project out"], ["reading", "Reading"]];
const KINDS: Named<Of<"switch_off">["kind"]> = [["mean", "to its mean"], ["zero", "to zero"], ["resample", "to another text’s"]];
const HOWS: Named<Of<"reading">["how"]> = [["remove", "Remove"], ["add", "Add"], ["swap", "Swap"]];
const OWN = "each cell’s own token";
let born = 0;
const STRENGTH = 0.3; // of what is added to a reading, to begin with

export class Verbs {
  readonly element: HTMLElement;
  private readonly first = h("div", { class: "mi-segments", role: "group", "aria-label": "What to do" });
  private readonly rest = h("div", { class: "mi-segments", role: "group", "aria-label": "What else to do", id: `mi-more-${++born}` });
  private readonly more = h("button", { class: "mi-button mi-quiet-button", type: "button", "data-testid": "more-verbs", "aria-controls": this.rest.id });
  private readonly details = h("div", { class: "mi-details" });
  private open = false;
  private drawn = "";

  constructor(private readonly loop: Loop) {
    this.more.addEventListener("click", () => ((this.open = !this.open), this.showMore()));
    this.element = h("div", { class: "mi-verbs" }, this.first, this.more, this.rest, this.details);
    loop.watch(["act", "directions", "panels"], () => this.show());
  }

  /** Draw the verb's own controls; while only a number or a text changes, the control stays as it is under the finger. */
  private show(): void {
    const act = this.loop.get("act");
    const sort = JSON.stringify([act.verb, "direction" in act && act.direction, "how" in act && act.how, this.loop.get("directions"), this.offered(MORE)]);
    if (sort !== this.drawn) this.draw(act);
    this.drawn = sort;
    for (const input of this.details.querySelectorAll<HTMLInputElement>("input[data-act]"))
      settle(input, String(input.dataset.act ? wordIn(act, input.dataset.act) : numberIn(act)));
    for (const button of this.details.querySelectorAll<HTMLElement>("[data-option]"))
      button.setAttribute("aria-pressed", String(wordIn(act, button.dataset.field!) === button.dataset.option));
  }

  private draw(act: Act): void {
    const segments = (verbs: Named<Act["verb"]>) => this.offered(verbs).map(([verb, name]) => segment(name, `verb-${verb}`, verb === act.verb, () => this.change(verb)));
    this.first.replaceChildren(...segments(FIRST));
    this.rest.replaceChildren(...segments(MORE));
    this.details.replaceChildren(...this.controls(act));
    this.showMore();
  }

  /** The verbs that there is something for: a direction, or a lens. */
  private offered(verbs: Named<Act["verb"]>): Named<Act["verb"]> {
    const directed = this.loop.get("directions").length > 0;
    const reads = this.loop.get("panels").some(({ top, kind, part }) => top && kind === "residual" && part === "post");
    return verbs.filter(([verb]) => (verb === "reading" ? reads : verb === "add" || verb === "project_out" ? directed : true));
  }

  private showMore(): void {
    const needed = MORE.some(([verb]) => verb === this.loop.get("act").verb);
    shown(this.rest, this.open || needed);
    shown(this.more, !needed);
    this.more.textContent = this.open ? "Fewer" : "More";
    this.more.setAttribute("aria-expanded", String(this.open));
  }

  private controls(act: Act): HTMLElement[] {
    const plan = (next: Act) => this.loop.plan(next);
    const directions = this.loop.get("directions");
    const chooseDirection = (name: string) => plan(act.verb === "add" ? { ...act, direction: name, strength: naturalOf(directions, name) } : { verb: "project_out", direction: name });
    switch (act.verb) {
      case "switch_off": return [options("Replace by", "kind", KINDS, (kind) => plan({ verb: "switch_off", kind }))];
      case "scale": return scaleSlider(act.factor, (factor) => plan({ verb: "scale", factor }));
      case "add": return [directionSelect(directions, act.direction, chooseDirection), ...strengthSlider(act.strength, naturalOf(directions, act.direction), (strength) => this.alter("add", { strength }))];
      case "clamp": return [bound("at least", "low", (low) => this.alter("clamp", { low })), bound("at most", "high", (high) => this.alter("clamp", { high }))];
      case "replace": return [typed("Other prompt", "prompt", "a prompt with as many tokens", (prompt) => plan({ verb: "replace", prompt }))];
      case "project_out": return [directionSelect(directions, act.direction, chooseDirection)];
      case "reading": return this.readingControls(act);
    }
  }

  private readingControls({ how, strength }: Of<"reading">): HTMLElement[] {
    const [name, hint] = how === "swap" ? ["for", "the token that comes in"] : ["token", OWN];
    return [
      options("What becomes of it", "how", HOWS, (how) => this.alter("reading", { how })),
      typed(name, "token", hint, (token) => this.alter("reading", { token })),
      ...(how === "add" ? readingSlider(strength, (strength) => this.alter("reading", { strength })) : []),
    ];
  }

  /** Change some words of the act that is drafted now: what its controls were drawn with may be older. */
  private alter<V extends Act["verb"]>(verb: V, words: Partial<Of<V>>): void {
    const act = this.loop.get("act");
    if (act.verb === verb) this.loop.plan({ ...act, ...words } as Act);
  }

  private change(verb: Act["verb"]): void {
    const act = this.begun(verb);
    if (act) this.loop.plan(act);
    this.element.querySelector<HTMLElement>(`[data-testid="verb-${verb}"]`)?.focus();
  }

  /** An act to begin with; null where there is nothing for it. */
  private begun(verb: Act["verb"]): Act | null {
    const [first] = this.loop.get("directions");
    switch (verb) {
      case "switch_off": return { verb, kind: "mean" };
      case "scale": return { verb, factor: 2 };
      case "add": return first ? { verb, direction: first.name, strength: first.natural } : null;
      case "clamp": return { verb, low: -1, high: 1 };
      case "replace": return { verb, prompt: this.loop.get("prompt") };
      case "project_out": return first ? { verb, direction: first.name } : null;
      case "reading": return { verb, how: "remove", token: this.followed(), strength: STRENGTH };
    }
  }

  /** The token that the lens follows, or none. */
  private followed(): string {
    return this.loop.get("choices").find(({ name, instrument }) => name === "target" && instrument === "lens")?.value ?? "";
  }
}

function options<T extends string>(label: string, id: string, named: Named<T>, choose: (value: T) => void): HTMLElement {
  const buttons = named.map(([value, name]) => {
    const button = segment(name, `${id}-${value}`, false, () => choose(value));
    [button.dataset.field, button.dataset.option] = [id, value];
    return button;
  });
  return h("div", { class: "mi-segments mi-quiet", role: "group", "aria-label": label }, ...buttons);
}

function segment(name: string, id: string, checked: boolean, choose: () => void): HTMLElement {
  return h("button", { type: "button", "aria-pressed": String(checked), "data-testid": id, onclick: choose }, name);
}

function directionSelect(directions: Direction[], chosen: string, choose: (name: string) => void): HTMLElement {
  const listed = directions.map(({ name, layer }) => h("option", { value: name, selected: name === chosen }, `${name} (layer ${layer})`));
  const select = h("select", { "aria-label": "Direction", "data-testid": "direction" }, ...listed);
  select.addEventListener("change", () => choose(select.value));
  return select;
}

/** A bound of a clamp; empty is none. */
function bound(name: string, field: string, change: (value: number | null) => void): HTMLElement {
  const input = h("input", { type: "number", step: "any", placeholder: "no bound", "data-act": field, "data-testid": `clamp-${field}` });
  input.addEventListener("input", () => {
    input.setAttribute("aria-invalid", String(input.validity.badInput));
    if (!input.validity.badInput) change(input.value === "" ? null : input.valueAsNumber);
  });
  return h("label", { class: "mi-typed" }, h("span", {}, name), input);
}

function typed(name: string, word: string, hint: string, change: (value: string) => void): HTMLElement {
  const input = field({ placeholder: hint, "data-act": word, "data-testid": `act-${word}`, class: `mi-typed-${word}` }, change);
  return h("label", { class: "mi-typed" }, h("span", {}, name), input);
}

const naturalOf = (directions: Direction[], name: string) => directions.find((direction) => direction.name === name)?.natural ?? 0;

const wordIn = (act: Act, field: string) => (act as Record<string, unknown>)[field] ?? "";

/** The one number that a verb with a slider has. */
const numberIn = (act: Act) => ("factor" in act ? act.factor : "strength" in act ? act.strength : "");
