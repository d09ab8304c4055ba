// What is spoken without being asked for: how many cells are picked, that something runs and how far it is, what came out.

import { filled } from "./border";
import { h } from "./dom";
import { count, percent, wait } from "./format";
import type { Loop } from "./loop";
import type { Naming } from "./bar";
import { resultWords } from "./result";

const SETTLED = 400; // milliseconds: of picks that change in quick succession only the last are spoken
const SELDOM = 10_000; // and progress no more often than this
const NAMED = 4;
const KEPT = 4; // sentences; what goes at once may not have been spoken yet

export function announcer(loop: Loop, name: Naming): HTMLElement {
  const live = h("div", { class: "mi-spoken", "aria-live": "polite", "data-testid": "live" });
  const say = (words: string) => {
    live.append(h("p", {}, words)); // a new element each time: a text that changes, or comes back, may not be spoken
    while (live.children.length > KEPT) live.firstChild!.remove();
  };
  speakPicks(loop, name, say);
  speakProgress(loop, say);
  speakResult(loop, say);
  return live;
}

type Say = (words: string) => void;

function speakPicks(loop: Loop, name: Naming, say: Say): void {
  let timer = 0;
  let known = String(loop.get("picks"));
  loop.watch(["picks"], () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      const picks = loop.get("picks");
      if (known === (known = String(picks))) return;
      const names = picks.length <= NAMED && picks.length ? `: ${picks.map(name).join(", ")}` : "";
      say(picks.length ? `${count(picks.length, "cell")} picked${names}.` : "Nothing picked.");
    }, SETTLED);
  });
  loop.signal.addEventListener("abort", () => clearTimeout(timer));
}

function speakProgress(loop: Loop, say: Say): void {
  let was = false;
  let last = 0;
  loop.watchBusy(() => {
    const [working, progress, now] = [loop.working, loop.get("progress"), performance.now()];
    if (working && !was) say(filled(progress) && progress.label ? `Running: ${progress.label}.` : "Running.");
    else if (!working && was) say(loop.get("status") === "stopped" ? "Stopped." : "Done.");
    else if (working && filled(progress) && progress.total && now - last > SELDOM) say(`${percent(progress.done / progress.total)} done, ${wait(progress.eta)}.`);
    else return;
    was = working;
    last = now;
  });
}

function speakResult(loop: Loop, say: Say): void {
  let known = "";
  loop.watch(["result"], () => {
    const words = loop.result ? resultWords(loop.result) : "";
    if (words && words !== known) say(words);
    known = words;
  });
}
