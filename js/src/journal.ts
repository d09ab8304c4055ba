// The journal: every run of this view, as a table and as code that does it all again. Folded until it is asked for.

import { filled, type Row } from "./border";
import { bdi, h, shown } from "./dom";
import { count, plain, signed } from "./format";
import type { Loop } from "./loop";

const HEADS = ["", "What was done", "Before", "After", "Difference", "Controls beaten"];

export function journal(loop: Loop): HTMLElement {
  const summary = h("summary", {});
  const body = h("tbody", {});
  const code = h("pre", { tabindex: 0, "aria-label": "The journal as code", "data-testid": "journal-code" });
  const table = h("table", { class: "mi-table" }, h("thead", {}, h("tr", {}, ...HEADS.map((head) => h("th", { scope: "col" }, head)))), body);
  const element = h("details", { class: "mi-journal", "data-testid": "journal" }, summary, h("div", { class: "mi-scroll", tabindex: 0 }, table), h("h4", {}, "As code"), code);
  loop.watch(["journal"], () => {
    const written = loop.get("journal");
    const rows = filled(written) ? written.rows : [];
    shown(element, rows.length > 0);
    summary.textContent = `Journal: ${count(rows.length, "run")}`;
    body.replaceChildren(...rows.map(line));
    code.textContent = filled(written) ? written.code : "";
  });
  return element;
}

function line({ run, what, metric, before, after, difference, beats, controls }: Row): HTMLElement {
  const beaten = controls === null ? "" : `${beats} of ${controls}`;
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, String(run)),
    h("td", {}, bdi(what), h("small", {}, bdi(metric))),
    ...[plain(before), plain(after), signed(difference), beaten].map((words) => h("td", { class: "mi-figure" }, words)),
  );
}
