// Presentation: all of a view as large as a room needs it, one map below the other, in stronger colours.

import { h } from "./dom";
import type { Loop } from "./loop";

const NAME = "Presentation: larger, for a projector";

/** The button that turns it on and off for this view; Python's `presentation`, or the notebook's setting, says how it begins. */
export function presentationButton(loop: Loop, root: HTMLElement): HTMLElement {
  const button = h("button", { class: "mi-button mi-icon", type: "button", title: NAME, "aria-label": NAME, "data-testid": "presentation" }, "Aa");
  const present = (on: boolean) => {
    root.dataset.presentation = String(on);
    button.setAttribute("aria-pressed", String(on));
  };
  button.addEventListener("click", () => present(root.dataset.presentation !== "true"));
  loop.watch(["presentation"], () => present(loop.get("presentation") || document.body.dataset.miPresentation === "true"));
  return button;
}
