// A text field whose answer is given with Enter or by leaving it.

import { h } from "./dom";

/** Each answer is given once. Enter is heard as a key, because notebooks keep browsers from making an answer of it. */
export function field(attributes: Record<string, string>, give: (text: string) => void): HTMLInputElement {
  const input = h("input", { type: "text", spellcheck: "false", dir: "auto", ...attributes });
  const answer = () => {
    if (input.value === input.dataset.given) return;
    input.dataset.given = input.value;
    give(input.value);
  };
  input.addEventListener("change", answer);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) answer();
  });
  return input;
}

/** Show the answer that holds, unless a person is typing another one. */
export function settle(input: HTMLInputElement, value: string): void {
  input.dataset.given = value;
  if (document.activeElement !== input) input.value = value;
}
