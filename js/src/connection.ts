// The connection: whether a kernel is behind the view. ipywidgets says so of each model, on restart or reopening.

import { h, shown } from "./dom";
import type { Loop } from "./loop";

const CONTROLS = ".mi-bar, .mi-choices, .mi-status, form"; // what asks Python for something; maps can still be looked at

export function lostNotice(loop: Loop): HTMLElement {
  const words = "Not connected: the kernel that this view belongs to is gone. Run this cell again to use the view.";
  const notice = h("p", { class: "mi-lost", role: "status", "data-testid": "lost" }, words);
  loop.watchBusy(() => shown(notice, loop.lost));
  return notice;
}

/** Let controls rest for as long as nobody would answer. */
export function restWhenLost(loop: Loop, root: HTMLElement): void {
  loop.watchBusy(() => {
    for (const part of root.querySelectorAll<HTMLElement>(CONTROLS)) part.inert = loop.lost;
  });
}
