// Back and forward through the drafts: two buttons, and the usual keys anywhere in the view but in a field.

import { h } from "./dom";
import type { Loop } from "./loop";

export function undoButtons(loop: Loop): HTMLElement {
  const button = (name: string, sign: string, id: string, does: () => void) =>
    h("button", { class: "mi-button mi-icon", type: "button", "aria-label": name, title: name, "data-testid": id, onclick: does }, sign);
  const undo = button("Undo", "↶", "undo", () => loop.undo());
  const redo = button("Redo", "↷", "redo", () => loop.redo());
  loop.watch(["undoable", "redoable"], () => {
    undo.disabled = !loop.get("undoable");
    redo.disabled = !loop.get("redoable");
  });
  return h("span", { class: "mi-history" }, undo, redo);
}

/** Ctrl+Z, and Ctrl+Shift+Z or Ctrl+Y, inside the view only: the notebook's own undo stays with the notebook. */
export function undoKeys(loop: Loop, root: HTMLElement): void {
  root.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if (!(event.ctrlKey || event.metaKey) || !["z", "y"].includes(key) || isField(event.target)) return;
    event.preventDefault();
    event.stopPropagation();
    if (key === "y" || event.shiftKey) loop.redo();
    else loop.undo();
  });
}

const isField = (target: EventTarget | null) => target instanceof HTMLElement && target.matches("input[type=text], input[type=number], textarea");
