// Lens: what each layer would say next, at each position, with the other candidates in a card beside the pointer.

import { maps } from "./maps";
import { view, type Scene, type Stage } from "./shell";
import { TopCard } from "./topcard";

export function lens(stage: Stage): Scene {
  const card = new TopCard();
  return maps(stage, "lens", (panel, map, cell) => card.show(panel, map, cell));
}

export default view(lens);
