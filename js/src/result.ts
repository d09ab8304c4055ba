// The last run: before and after, the effect among its controls, and what several cells do together and alone.

import { amongControls, bandWords } from "./band";
import type { Outcome, Pick, Result, Side } from "./border";
import { doseCurve } from "./curve";
import { deed, placeless } from "./deed";
import { bdi, h, type Child } from "./dom";
import { percent, plain, signed } from "./format";
import { jointEffect } from "./joint";
import type { Loop } from "./loop";

const FROZEN = "Every head looks where it looked before the edit: what remains goes through values and FFNs alone.";
const STALE = "stale — run again";

/** The result area: drawn anew for a new result, relabelled when the draft moves on, kept in grey until the next comes. */
export function resultArea(loop: Loop, name: (pick: Pick) => string): HTMLElement {
  const area = h("section", { class: "mi-result", "data-testid": "result" });
  const redraw = () => (loop.result || !loop.busy) && draw(area, loop, name);
  loop.watch(["result"], redraw);
  loop.watch(["result", "picks", "act", "tray"], () => age(area, loop));
  loop.watchBusy(() => {
    area.setAttribute("aria-busy", String(loop.busy));
    if (!loop.result || unfinished(loop.result)) redraw();
    age(area, loop);
  });
  return area;
}

/** The result in one sentence, for the live region. */
export function resultWords({ metric, before, after, difference, control }: Result): string {
  const change = `${metric}: ${plain(before.metric)} before, ${plain(after.metric)} after, difference ${signed(difference)}.`;
  return control?.values.length ? `${change} ${bandWords(difference, control)}` : change;
}

function draw(area: HTMLElement, loop: Loop, name: (pick: Pick) => string): void {
  const { result } = loop;
  area.hidden = !result;
  area.replaceChildren(...(result ? [request(loop, result, name), ...parts(result, loop.busy)] : []));
  if (!result) return;
  area.dataset.difference = String(result.difference);
  area.dataset.hooks = result.hooks.join(" ");
}

function age(area: HTMLElement, loop: Loop): void {
  const stale = loop.stale || (!loop.result && !area.hidden);
  area.classList.toggle("mi-stale", stale);
  area.dataset.stale = String(stale);
  area.setAttribute("aria-label", stale ? `Result, ${STALE}` : "Result");
}

/** The question that the result answers, with the mark that it is no longer the one drafted. */
function request(loop: Loop, { act, picks, tray }: Result, name: (pick: Pick) => string): HTMLElement {
  const drafted = deed(act, (placeless(act) ? loop.placed(picks) : picks).map(name));
  const words = h("h4", { "data-testid": "deed" }, bdi([...tray.map(({ label }) => label), drafted].filter(Boolean).join(" + ")));
  return h("div", { class: "mi-request" }, words, h("span", { class: "mi-stale-chip" }, STALE));
}

const unfinished = ({ control, before, after }: Result) => !control || before.text === null || after.text === null;

/** Words in the place of what is on its way, or was when the run was stopped. */
function pending(words: string, busy: boolean, look: string): HTMLElement {
  return h("p", { class: busy ? `${look} mi-pending` : look }, busy ? `${words} …` : `stopped before ${words}`);
}

function parts(result: Result, busy: boolean): HTMLElement[] {
  const numbers = h("div", { class: "mi-numbers" }, effect(result), evidence(result, busy));
  const sides = h("div", { class: "mi-sides" }, side("Before", result.before, busy), side("After", result.after, busy, result.before));
  return [numbers, responses(result), sides, together(result), result.joint ? jointEffect(result.joint) : null, remarks(result)].filter((part): part is HTMLElement => !!part);
}

/** What the edit does at other strengths, and to text that it is not about. */
function responses({ curve, control, side }: Result): HTMLElement | null {
  if (!curve && !side) return null;
  return h("div", { class: "mi-responses" }, curve ? doseCurve(curve, control) : null, side ? elsewhere(side) : null);
}

function elsewhere(side: Side): HTMLElement {
  const words = "why" in side
    ? [h("p", { class: "mi-fine" }, side.why)]
    : [h("p", { class: "mi-change" }, `${plain(side.before)} → ${plain(side.after)}`), h("p", { class: "mi-fine" }, "perplexity of neutral texts: the closer the two, the less else has changed")];
  return h("div", { class: "mi-response", "data-testid": "side" }, h("h4", {}, "On other text"), ...words);
}

function effect({ metric, before, after, difference, frozen }: Result): HTMLElement {
  return h(
    "div",
    { class: "mi-effect" },
    h("p", { class: "mi-metric" }, bdi(metric)),
    h("p", { class: `mi-difference ${difference < 0 ? "mi-down" : "mi-up"}`, "data-testid": "difference" }, signed(difference)),
    h("p", { class: "mi-change" }, plain(before.metric), h("span", { "aria-label": "to" }, " → "), plain(after.metric)),
    frozen === null ? null : h("p", { class: "mi-fine", title: FROZEN, "data-testid": "frozen" }, `${signed(frozen)} with attention frozen`),
  );
}

function evidence({ difference, control }: Result, busy: boolean): HTMLElement {
  if (!control) return pending("comparing with random controls", busy, "mi-evidence mi-fine");
  return amongControls(difference, control);
}

function side(name: string, { top, text }: Outcome, busy: boolean, other?: Outcome): HTMLElement {
  const most = Math.max(...top.map(({ probability }) => probability), ...(other?.top ?? []).map(({ probability }) => probability), 1e-9);
  return h(
    "div",
    { class: "mi-side", "data-testid": name.toLowerCase() },
    h("h4", {}, name),
    h("ol", { class: "mi-top", "aria-label": `Most likely next tokens, ${name.toLowerCase()}` }, ...top.map((entry) => candidate(entry, most))),
    text === null ? pending("generating", busy, "mi-continuation") : h("p", { class: "mi-continuation" }, bdi(text)),
  );
}

function candidate({ token, probability }: Outcome["top"][number], most: number): HTMLElement {
  const bar = h("i", {});
  bar.style.width = `${(100 * probability) / most}%`;
  return h("li", {}, bdi(token.text, { class: "mi-word" }), h("span", { class: "mi-likely", "aria-hidden": "true" }, bar), h("span", { class: "mi-percent" }, percent(probability)));
}

/** Bars for the joint effect, the sum of the single ones, and each alone: where they differ, cells back each other up. */
function together({ difference, singles, sum_of_singles: sum }: Result): HTMLElement | null {
  if (!singles.length) return null;
  const rows: [string, number, string][] = [["together", difference, "mi-joint"]];
  if (sum !== null) rows.push(["sum of each alone", sum, "mi-sum"]);
  rows.push(...singles.map(({ label, difference }): [string, number, string] => [`${label} alone`, difference, ""]));
  const most = Math.max(...rows.map(([, value]) => Math.abs(value)), 1e-9);
  return h("div", { class: "mi-together", "data-testid": "together" }, h("h4", {}, "Together and alone"), h("dl", {}, ...rows.flatMap((row) => bar(row, most))));
}

function bar([name, value, look]: [string, number, string], most: number): Child[] {
  const fill = h("i", { class: value < 0 ? "mi-down" : "mi-up" });
  fill.style.setProperty("--share", String(Math.abs(value) / most));
  return [h("dt", { class: look }, bdi(name)), h("dd", { class: look }, h("span", { class: "mi-around-zero", "aria-hidden": "true" }, fill), signed(value))];
}

function remarks({ notes, warnings }: Result): HTMLElement | null {
  if (!notes.length && !warnings.length) return null;
  const items = [...warnings.map((words) => h("li", { class: "mi-warning" }, words)), ...notes.map((words) => h("li", {}, words))];
  return h("ul", { class: "mi-remarks", "data-testid": "notes" }, ...items);
}
