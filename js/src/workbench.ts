// Workbench: the question, the three maps in tabs, and below them what every view has, for all of them together.

import { attention } from "./attention";
import { attribution } from "./attribution";
import { h } from "./dom";
import { guide } from "./guide";
import { lens } from "./lens";
import type { Loop } from "./loop";
import { cellOf, keyOf } from "./places";
import { questionForm } from "./question";
import { view, type Scene, type Stage } from "./shell";
import { Tabs } from "./tabs";

const MAPS: [string, string, (stage: Stage) => Scene][] = [
  ["attention", "Attention", attention],
  ["lens", "Logit lens", lens],
  ["attribution", "Attribution", attribution],
];

export default view((stage) => {
  const { loop } = stage;
  const scenes = MAPS.map(([, , draw]) => draw(stage));
  const tabs = new Tabs(MAPS.map(([name, label], i) => ({ name, label, scene: scenes[i].element })));
  loop.watch(["panels", "picks", "choices"], () => {
    for (const [name] of MAPS) tabs.offer(name, there(loop, name), pickedIn(loop, name));
  });
  const chip = h("p", { class: "mi-hint mi-asked", role: "status" });
  const figures = h("div", { class: "mi-figures", "data-testid": "figures" }, chip, tabs.element);
  const form = questionForm(loop, (differs) => age(figures, chip, differs));
  const setLook: Scene["setLook"] = (look) => scenes.forEach((scene) => scene.setLook(look));
  return { element: figures, above: [guide(loop), form], setLook };
});

/** Mark everything that was drawn of another question than the one that is typed. */
function age(figures: HTMLElement, chip: HTMLElement, stale: boolean): void {
  chip.textContent = stale ? "The maps and the result below are of the prompt before: stale until it is read." : "";
  figures.classList.toggle("mi-stale", stale);
  figures.closest(".mi-root")?.classList.toggle("mi-unasked", stale);
  for (const grid of figures.querySelectorAll("[role=grid]")) {
    const label = (grid.getAttribute("aria-label") ?? "").replace(/, stale$/, "");
    grid.setAttribute("aria-label", stale ? `${label}, stale` : label);
  }
}

/** Whether an instrument is in the view: it has maps, or can be asked for some that are on their way. */
const there = (loop: Loop, name: string) => [...loop.get("panels"), ...loop.get("choices")].some(({ instrument }) => instrument === name);

/** How many of the picked places a tab's maps show. */
function pickedIn(loop: Loop, name: string): string {
  const panels = loop.get("panels");
  const keys = loop.get("picks").map(([panel, row, col]) => (panels[panel] ? keyOf(panels[panel], { row, col }) : ""));
  const mine = panels.filter(({ instrument }) => instrument === name);
  const count = keys.filter((key) => key && mine.some((panel) => cellOf(panel, key))).length;
  return count ? String(count) : "";
}
