// What went wrong, as a card: what, why, what to do; the trace is folded.

import { filled } from "./border";
import { h } from "./dom";
import type { Loop } from "./loop";

export function errorCard(loop: Loop): HTMLElement {
  const slot = h("div", { role: "alert", class: "mi-alert", "data-testid": "error" });
  loop.watch(["error"], () => {
    const error = loop.get("error");
    slot.replaceChildren(...(filled(error) ? [card(error, () => slot.replaceChildren())] : []));
  });
  return slot;
}

function card(error: { what: string; why: string; fix: string; trace: string }, dismiss: () => void): HTMLElement {
  return h(
    "div",
    { class: "mi-card" },
    h("button", { class: "mi-close", type: "button", "aria-label": "Dismiss", "data-testid": "dismiss-error", onclick: dismiss }, "✕"),
    h("strong", {}, error.what),
    h("p", {}, error.why),
    error.fix ? h("p", {}, h("b", {}, "What to do: "), error.fix) : null,
    error.trace ? h("details", {}, h("summary", {}, "Details for a bug report"), h("pre", { tabindex: 0 }, error.trace)) : null,
  );
}
