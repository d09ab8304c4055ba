// Lens: what each layer would say next, at each position, with the other candidates in a card beside the pointer, and what
// is shown courseed through the layers.

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
  return scene;
}

export default view(lens);
