// What is done to the picked cells, in words: before Run as a promise, after it as a heading.

import type { Act } from "./border";
import { count, plain } from "./format";

/** What Run will do. */
export function promise(act: Act, cells: number): string {
  const them = count(cells, "cell");
  if (act.verb === "switch_off") return `Replaces ${them} by ${act.kind === "mean" ? "the mean output" : "zero"} and runs again.`;
  if (act.verb === "scale") return `Multiplies ${them} by ${plain(act.factor)} and runs again.`;
  return cells ? "Adds it at the picked positions and runs again." : "Adds it at every position and runs again.";
}

/** What was done, to which cells. */
export function deed(act: Act, names: string[]): string {
  const where = names.length > 6 ? `${count(names.length, "cell")}` : names.join(", ");
  if (act.verb === "switch_off") return `${where} switched off (${act.kind})`;
  if (act.verb === "scale") return `${where} × ${plain(act.factor)}`;
  return [`“${act.direction}” added, strength ${plain(act.strength)}`, where].filter(Boolean).join(", at ");
}
