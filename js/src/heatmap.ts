// Heatmap: panels to look at and to pick from.

import { maps } from "./maps";
import { view } from "./shell";

export default view((stage) => maps(stage));
