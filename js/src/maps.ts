// The maps of an instrument, tied to the token strip: what is pointed at in a map lights up among the tokens.

import { choices } from "./choices";
import { h } from "./dom";
import { Panels, type Echo } from "./panels";
import { positions } from "./reading";
import type { Scene, Stage } from "./shell";

/** What can be chosen, and the maps below it; `hover` tells what else answers to the cell that is pointed at. */
export function maps({ loop, strip, look }: Stage, instrument = "", hover?: Echo["hover"]): Scene {
  const panels = new Panels(loop, look, {
    hover(panel, map, cell) {
      strip.mark(positions(panel, cell, loop.get("tokens")));
      hover?.(panel, map, cell);
    },
  }, instrument);
  const element = h("div", { class: "mi-part" }, choices(loop, instrument), panels.element);
  return { element, setLook: (next) => panels.setLook(next) };
}
