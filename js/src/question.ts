// The question: the prompt and what the metric tells apart, to be changed. What is on screen is stale while it differs.

import type { Question } from "./border";
import { h } from "./dom";
import type { Loop } from "./loop";

const FIELDS: [keyof Question, string, string][] = [
  ["answer", "Answer, space first", "␣Paris"],
  ["foil", "Foil, space first", "␣Rome"],
  ["corrupt", "Corrupted prompt", "the same with another answer: for attribution"],
];

/** The form, and a call when what is typed begins or ceases to differ from what is shown. */
export function questionForm(loop: Loop, differs: (differ: boolean) => void): HTMLElement {
  const prompt = h("textarea", { rows: 2, dir: "auto", spellcheck: "false", "aria-label": "Prompt", "data-testid": "question-prompt" });
  const inputs = FIELDS.map(([name, , hint]) => h("input", { type: "text", placeholder: hint, dir: "auto", spellcheck: "false", "data-testid": `question-${name}` }));
  const labels = FIELDS.map(([name, label], i) => h("label", { class: `mi-question-${name}` }, h("span", {}, label), inputs[i]));
  const read = h("button", { class: "mi-button", type: "submit", "data-testid": "ask" }, "Read it");
  const back = h("button", { class: "mi-button", type: "button", "data-testid": "unask", onclick: () => refill() }, "Undo changes");
  const form = h("form", { class: "mi-question", "data-testid": "question" }, h("label", { class: "mi-question-prompt" }, h("span", {}, "Prompt"), prompt), h("div", { class: "mi-question-row" }, ...labels, h("span", { class: "mi-question-buttons" }, read, back)));

  const corrupt = inputs[FIELDS.findIndex(([name]) => name === "corrupt")];
  let touched = false; // whether the corrupted prompt is a person's own

  /** A corrupted prompt that nobody has touched belongs to the prompt that is shown, and to no other. */
  const pair = () => {
    const shown = loop.get("question");
    if (!touched) corrupt.value = prompt.value === shown.prompt ? shown.corrupt : "";
  };
  const typed = (): Question => ({ prompt: prompt.value, ...Object.fromEntries(FIELDS.map(([name], i) => [name, inputs[i].value])) }) as Question;
  const differ = () => JSON.stringify(typed()) !== JSON.stringify(ordered(loop.get("question")));
  const check = () => {
    const now = differ();
    read.disabled = !now || !prompt.value;
    back.disabled = !now;
    differs(now);
  };
  const refill = () => {
    const question = loop.get("question");
    prompt.value = question.prompt;
    FIELDS.forEach(([name], i) => (inputs[i].value = question[name]));
    touched = false;
    check();
  };
  corrupt.addEventListener("input", () => (touched = true));
  form.addEventListener("input", () => (pair(), check()));
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.target instanceof HTMLInputElement) || event.isComposing) return;
    event.preventDefault(); // heard as a key, because notebooks keep browsers from making an answer of it
    if (!read.disabled) form.requestSubmit();
  });
  form.addEventListener("submit", (event) => (event.preventDefault(), loop.question(typed())));
  loop.watch(["question"], refill);
  loop.watch(["tokens", "picks"], check);
  return form;
}

const ordered = ({ prompt, answer, foil, corrupt }: Question): Question => ({ prompt, answer, foil, corrupt });
