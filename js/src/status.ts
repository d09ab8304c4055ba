// The chip that says what the kernel does: state, progress with time left, and Stop.

import { filled, type Status as State } from "./border";
import { h, shown } from "./dom";
import { wait } from "./format";
import type { Loop } from "./loop";

const WORDS: Record<State, string> = {
  idle: "Ready",
  waiting: "Waiting its turn",
  running: "Running",
  stopped: "Stopped",
  error: "Error",
  closed: "Closed: the model is gone",
};

const STOPPING = { asked: "Stopping", late: "Stopping after the running cell; to stop now, interrupt the cell" };

export function statusChip(loop: Loop): HTMLElement {
  const words = h("span", { class: "mi-state", "data-testid": "status" });
  const fill = h("i", {});
  const bar = h("div", { class: "mi-progress", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 }, fill);
  const stop = h("button", { class: "mi-button mi-small", type: "button", "data-testid": "stop", onclick: () => loop.stop() }, "Stop");
  loop.watchBusy(() => {
    const { share, text } = said(loop);
    words.textContent = text;
    shown(bar, loop.working);
    shown(stop, loop.working);
    bar.classList.toggle("mi-unknown", share === null);
    fill.style.width = `${100 * (share ?? 0)}%`;
    bar.setAttribute("aria-valuenow", String(Math.round(100 * (share ?? 0))));
  });
  return h("div", { class: "mi-status" }, h("span", { class: "mi-dot", "aria-hidden": "true" }), words, bar, stop);
}

function said(loop: Loop): { share: number | null; text: string } {
  if (loop.lost) return { share: null, text: "Not connected" };
  if (loop.silent) return { share: null, text: "No answer yet: the kernel is busy, or gone" };
  const status = loop.get("status");
  const progress = loop.get("progress");
  if (loop.stopping) return { share: null, text: STOPPING[loop.stopping] };
  if (!loop.working) return { share: null, text: WORDS[status] };
  if (!filled(progress) || !progress.total) return { share: null, text: status === "waiting" ? WORDS.waiting : WORDS.running };
  const { done, total, eta, label } = progress;
  return { share: done / total, text: [label || WORDS.running, `${done} of ${total}`, wait(eta)].join(" · ") };
}
