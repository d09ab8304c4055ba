// Lens: what each layer would say next, at each position, with the other candidates in a card beside the pointer.

import { TopCard } from "./topcard";
import { Panels } from "./panels";
import { positions } from "./reading";
import { view } from "./shell";

export default view(({ loop, strip, look }) => {
  const card = new TopCard();
  const panels = new Panels(loop, look, {
    hover(panel, map, cell) {
      strip.mark(positions(panel, cell, loop.get("tokens")));
      card.show(panel, map, cell);
    },
  });
  return { element: panels.element, setLook: (next) => panels.setLook(next) };
});
