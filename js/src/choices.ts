// What can be chosen about the maps: few options as a row of buttons, many as a list (with steps, where they follow each
// other), a typed answer as a field.

import { filled, type Choice } from "./border";
import { h, shown } from "./dom";
import { field, settle } from "./field";
import type { Loop } from "./loop";

const MOST_BUTTONS = 4;

/** The choices of one instrument; nothing where it offers none. */
export function choices(loop: Loop, instrument: string): HTMLElement {
  const bar = h("div", { class: "mi-choices", "data-testid": `choices-${instrument}` });
  let drawn = "";
  loop.watch(["choices"], () => {
    const offered = loop.get("choices").filter((choice) => choice.instrument === instrument);
    const sort = JSON.stringify(offered.map((choice) => ({ ...choice, value: "" })));
    if (sort !== drawn) bar.replaceChildren(...offered.map((choice) => control(loop, choice)));
    drawn = sort;
    for (const { name, value } of offered) show(bar.querySelector(`[data-choice="${CSS.escape(name)}"]`)!, value);
    shown(bar, offered.length > 0);
  });
  loop.watch(["error"], () => filled(loop.get("error")) && refuse(loop, bar));
  return bar;
}

function control(loop: Loop, choice: Choice): HTMLElement {
  const choose = (value: string) => loop.choose(choice.name, value);
  const { name, label, options } = choice;
  const named = { class: "mi-choice", "data-choice": name, "data-testid": `choice-${name}` };
  if (!options.length) return h("label", named, h("span", {}, label), field({ placeholder: choice.hint }, choose));
  if (choice.ordered) return h("div", { ...named, role: "group", "aria-label": label }, h("span", { "aria-hidden": "true" }, label), stepper(choice, choose));
  if (options.length > MOST_BUTTONS) return h("label", named, h("span", {}, label), list(choice, choose));
  return h("div", { ...named, role: "group", "aria-label": label }, h("span", { "aria-hidden": "true" }, label), buttons(choice, choose));
}

function buttons({ options }: Choice, choose: (value: string) => void): HTMLElement {
  const segment = ({ value, label, help }: Choice["options"][number]) =>
    h("button", { type: "button", "data-value": value, title: help || null, onclick: () => choose(value) }, label);
  return h("div", { class: "mi-segments mi-quiet" }, ...options.map(segment));
}

function list({ options }: Choice, choose: (value: string) => void): HTMLSelectElement {
  const select = h("select", {}, ...options.map(({ value, label, help }) => h("option", { value, title: help || null }, label)));
  select.addEventListener("change", () => choose(select.value));
  return select;
}

/** A list with a button for the option before and one for the option after. */
function stepper(choice: Choice, choose: (value: string) => void): HTMLElement {
  const select = list(choice, choose);
  select.setAttribute("aria-label", choice.label);
  const step = (by: number, sign: string, words: string) =>
    h("button", { type: "button", class: "mi-button", "data-step": by, "aria-label": `${words} ${choice.label}`, onclick: () => choose(select.options[select.selectedIndex + by].value) }, sign);
  return h("span", { class: "mi-stepper" }, step(-1, "‹", "Previous"), select, step(1, "›", "Next"));
}

/** A typed answer that Python did not take stays, marked, so that it can be mended. */
function refuse(loop: Loop, bar: HTMLElement): void {
  for (const { name, value } of loop.get("choices"))
    for (const input of bar.querySelectorAll<HTMLInputElement>(`[data-choice="${CSS.escape(name)}"] input`))
      input.setAttribute("aria-invalid", String(input.value !== value && input.value === input.dataset.given));
}

/** Show which answer holds, and leave alone what a person is typing. */
function show(control: HTMLElement, value: string): void {
  for (const button of control.querySelectorAll<HTMLElement>("button[data-value]")) button.setAttribute("aria-pressed", String(button.dataset.value === value));
  for (const select of control.querySelectorAll("select")) {
    select.value = value;
    select.title = select.selectedOptions[0]?.title ?? "";
  }
  for (const input of control.querySelectorAll("input")) {
    settle(input, value);
    input.setAttribute("aria-invalid", "false");
  }
  const select = control.querySelector("select");
  for (const button of control.querySelectorAll<HTMLButtonElement>("button[data-step]"))
    button.disabled = !select?.options[select.selectedIndex + Number(button.dataset.step)];
}
