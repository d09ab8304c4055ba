// Attribution: which parts carry the answer. Its panels are maps like any other; blue supports the answer.

import { maps } from "./maps";
import { view, type Scene, type Stage } from "./shell";

export const attribution = (stage: Stage): Scene => maps(stage, "attribution");

export default view(attribution);
