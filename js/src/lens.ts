// Lens: what each layer would say next, at each position, with the other candidates in a card beside the pointer, and what
// is shown followed through the layers.

import { Course } from "./course";
import { maps } from "./maps";
import { view, type Scene, type Stage } from "./shell";
import { TopCard } from "./topcard";

export function lens(stage: Stage): Scene {
  const card = new TopCard();
  const course = new Course(stage.loop);
  const scene = maps(stage, "lens", (panel, map, cell) => {
    card.show(panel, map, cell);
    course.point(cell);
  });
  scene.element.append(course.element);
  scrollTogether(scene.element, stage.loop.signal);
  return scene;
}

/** Two sides of one lens show the same cells, however far they are scrolled. */
function scrollTogether(element: HTMLElement, signal: AbortSignal): void {
  const follow = ({ target }: Event) => {
    const { scrollLeft, scrollTop } = target as HTMLElement;
    for (const other of element.querySelectorAll<HTMLElement>("[role=grid]")) if (other !== target) Object.assign(other, { scrollLeft, scrollTop });
  };
  element.addEventListener("scroll", follow, { capture: true, signal });
}

export default view(lens);
