// What the picked cells do in the terms of the map they were picked in: all at once, each alone, and beside other sets.

import { amongControls } from "./band";
import type { Joint } from "./border";
import { bdi, h } from "./dom";
import { signed } from "./format";

const TERMS = "What the picked cells do in the way in which the map changes cells, all of them at once, and not what Run does to them.";

export function jointEffect(joint: Joint): HTMLElement {
  const numbers = "why" in joint ? {} : { "data-effect": joint.effect, "data-sum": joint.sum };
  return h("div", { class: "mi-jointly", "data-testid": "joint", ...numbers }, h("h4", { title: TERMS }, "In the map's terms"), ...words(joint));
}

function words(joint: Joint): HTMLElement[] {
  if ("why" in joint) return [h("p", { class: "mi-fine" }, joint.why)];
  const { label, unit, toward, effect, sum, control } = joint;
  const number = h("p", { class: `mi-difference ${effect * toward < 0 ? "mi-down" : "mi-up"}`, }, signed(effect));
  const alone = sum === null ? null : h("p", { class: "mi-change" }, `${signed(sum)} as the sum of each alone`);
  const said = h("div", { class: "mi-effect" }, h("p", { class: "mi-metric" }, bdi(label)), number, h("p", { class: "mi-fine" }, unit), alone);
  return [h("div", { class: "mi-numbers" }, said, amongControls(effect, control))];
}
