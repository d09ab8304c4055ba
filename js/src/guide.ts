// The guide: the loop in three steps, of which the next one is marked. Who knows the way closes it.

import { filled } from "./border";
import { h } from "./dom";
import type { Loop } from "./loop";

const STEPS: [string, string][] = [
  ["Look", "Click a head’s small picture, or in another tab a strongly coloured cell: it is a part of the model."],
  ["Change", "Press Run: the part is switched off, and the model reads the prompt again."],
  ["Judge", "Does the effect stand out from the random controls? Keep the edit and pick more, or take its code."],
];

/** Which step comes next: to pick, to run, to judge. */
export function nextStep({ picked, answered, stale }: { picked: boolean; answered: boolean; stale: boolean }): number {
  if (answered && !stale) return 2;
  return picked ? 1 : 0;
}

export function guide(loop: Loop): HTMLElement {
  const steps = STEPS.map(([name, words]) => h("li", {}, h("b", {}, name), h("span", {}, words)));
  const list = h("ol", { class: "mi-steps" }, ...steps);
  const element = h("aside", { class: "mi-guide", "aria-label": "Next step", "data-testid": "guide" }, list, close(() => element.remove()));
  loop.watch(["picks", "act", "tray", "result"], () => {
    const picked = loop.keepable || loop.get("tray").length > 0;
    const next = nextStep({ picked, answered: filled(loop.get("result")), stale: loop.stale });
    steps.forEach((step, i) => (i === next ? step.setAttribute("aria-current", "step") : step.removeAttribute("aria-current")));
  });
  return element;
}

const close = (does: () => void) =>
  h("button", { class: "mi-close", type: "button", "aria-label": "Close the guide", "data-testid": "close-guide", onclick: does }, "✕");
