// The maps of a view, tied to its token strip: what is pointed at in a map lights up among the tokens.

import { Panels } from "./panels";
import { positions } from "./reading";
import type { Scene, Stage } from "./shell";

export function maps({ loop, strip, look }: Stage): Scene {
  const panels = new Panels(loop, look, { hover: (panel, _, cell) => strip.mark(positions(panel, cell, loop.get("tokens"))) });
  return { element: panels.element, setLook: (next) => panels.setLook(next) };
}
