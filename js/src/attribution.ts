// Attribution: which parts carry the answer. Its panels are maps like any other; blue supports the answer.

import { maps } from "./maps";
import { view } from "./shell";

export default view(maps);
