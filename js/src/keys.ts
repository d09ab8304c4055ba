// What the keys do, in a list that "?" opens.

import { h } from "./dom";

const KEYS: [keys: string[], does: string][] = [
  [["Tab"], "to the next map or control"],
  [["↑", "↓", "←", "→"], "to the next cell, or token of the prompt"],
  [["Home", "End"], "to the first and last cell of the row; with Ctrl, of the map"],
  [["Page ↑", "Page ↓"], "five rows up and down"],
  [["Enter", "Space"], "pick this cell only; again, none"],
  [["Shift Enter"], "pick this cell too, or drop it"],
  [["Shift ↑ ↓ ← →"], "pick a rectangle"],
  [["Shift Space"], "pick the row"],
  [["Ctrl Space"], "pick the column"],
  [["Esc"], "drop all picks, let go of what is held"],
  [["+", "−", "0"], "larger, smaller, all of the map"],
  [["T"], "the map's numbers as a table, and back"],
  [["F"], "the map as large as the page, and back"],
  [["Ctrl Z", "Ctrl Shift Z"], "undo, redo"],
  [["?"], "these keys"],
];

/** The button that opens the list; `?` does so anywhere in the view but in a field. */
export function keysButton(root: HTMLElement): HTMLElement {
  const rows = KEYS.flatMap(([keys, does]) => [h("dt", {}, ...keys.map((key) => h("kbd", {}, key))), h("dd", {}, does)]);
  const list = h("div", { class: "mi-keys", popover: "auto", role: "dialog", "aria-label": "Keys", tabindex: -1, "data-testid": "keys" }, h("h4", {}, "Keys"), h("dl", {}, ...rows));
  const button = h("button", { class: "mi-button mi-icon", type: "button", title: "Keys (?)", "aria-label": "Keys", "data-testid": "keys-button" }, "?");
  button.popoverTargetElement = list;
  list.addEventListener("toggle", () => list.matches(":popover-open") && list.focus());
  root.addEventListener("keydown", (event) => {
    if (event.key !== "?" || isField(event.target)) return;
    event.preventDefault();
    list.togglePopover();
  });
  return h("span", {}, button, list);
}

const isField = (target: EventTarget | null) => target instanceof HTMLElement && target.matches("input, textarea, select");
