// Presence: a view makes itself known on the page, so that a panel beside the notebook can list what is there.

import { PRESENT, ROLL_CALL, type Handle, type Presence } from "../lab/handle";
import { filled } from "./border";
import type { Loop } from "./loop";

/** Be known from now on, and whenever somebody calls the roll. */
export function present(loop: Loop, root: HTMLElement): void {
  const handle: Handle = {
    root,
    signal: loop.signal,
    read: () => presence(loop),
    watch: (does) => (loop.watch(["title", "prompt", "provenance", "tray", "undoable", "redoable", "journal"], does), loop.watchBusy(does)),
    stop: () => loop.stop(),
    undo: () => loop.undo(),
    redo: () => loop.redo(),
  };
  const here = () => document.dispatchEvent(new CustomEvent(PRESENT, { detail: handle }));
  document.addEventListener(ROLL_CALL, here, { signal: loop.signal });
  here();
}

function presence(loop: Loop): Presence {
  const [provenance, progress, journal] = [loop.get("provenance"), loop.get("progress"), loop.get("journal")];
  return {
    title: loop.get("title"),
    model: filled(provenance) ? [provenance.model, provenance.weights].filter(Boolean).join(" · ") : "",
    prompt: loop.get("prompt"),
    status: loop.lost ? "not connected" : loop.get("runnable") ? loop.get("status") : "shown",
    progress: filled(progress) && !loop.lost ? progress : null,
    kept: loop.lost ? [] : loop.get("tray").map(({ label, strength }) => (strength === 1 ? label : `strength ${strength}: ${label}`)),
    hooks: filled(provenance) && provenance.hooks ? `hooks: ${provenance.hooks}` : "",
    undoable: loop.lost ? 0 : loop.get("undoable"),
    redoable: loop.lost ? 0 : loop.get("redoable"),
    runs: filled(journal) ? journal.rows : [],
  };
}
