// The tray: edits that were kept, each with a strength of its own; they stay in force while other cells are picked.

import type { Kept } from "./border";
import { bdi, h, shown } from "./dom";
import type { Loop } from "./loop";
import { doseSlider } from "./slider";

export function tray(loop: Loop): HTMLElement {
  const list = h("ul", { class: "mi-kept" });
  const element = h("div", { class: "mi-tray", "data-testid": "tray", role: "group", "aria-label": "Kept edits" }, h("h4", {}, "Kept edits"), list);
  let drawn = "";
  loop.watch(["tray"], () => {
    const kept = loop.get("tray");
    const ids = JSON.stringify(kept.map(({ id }) => id));
    if (ids !== drawn) list.replaceChildren(...kept.map((entry) => line(loop, entry)));
    drawn = ids;
    settle(list, kept);
    shown(element, kept.length > 0);
  });
  return element;
}

function line(loop: Loop, { id, label, strength }: Kept): HTMLElement {
  const others = () => loop.get("tray");
  const change = (strength: number) => loop.fill(others().map((entry) => (entry.id === id ? { ...entry, strength } : entry)));
  const remove = () => loop.fill(others().filter((entry) => entry.id !== id));
  const button = h("button", { type: "button", class: "mi-close", "aria-label": `Remove ${label}`, "data-testid": "remove-kept", onclick: remove }, "✕");
  return h("li", { "data-id": id, "data-testid": "kept" }, bdi(label, { class: "mi-kept-name" }), ...doseSlider(`Strength of ${label}`, strength, change), button);
}

/** Show the strengths as they are, and leave alone the number under a person's hand. */
function settle(list: HTMLElement, kept: Kept[]): void {
  for (const { id, strength } of kept)
    for (const input of list.querySelectorAll<HTMLInputElement>(`[data-id="${id}"] input`))
      if (document.activeElement !== input) input.value = String(strength);
}
