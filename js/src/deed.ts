// What is done to the picked cells, in words: before Run as a promise, after it as a heading.

import type { Act } from "./border";
import { count, plain } from "./format";

/** What Run will do with that many picked cells, some of which name a token position. */
export function promise(act: Act, cells: number, places = 0): string {
  const them = count(cells, "cell");
  if (act.verb === "switch_off") return `Replaces ${them} by ${act.kind === "mean" ? "the mean output" : "zero"} and runs again.`;
  if (act.verb === "scale") return `Multiplies ${them} by ${plain(act.factor)} and runs again.`;
  if (places) return "Adds it at the picked positions and runs again.";
  return `Adds it at every position and runs again.${cells ? " The picked cells name no position and play no part." : ""}`;
}

/** What was done, to which cells; for a direction, those that name a position. */
export function deed(act: Act, names: string[]): string {
  if (!names.length && act.verb !== "add") return "";
  const where = names.length > 6 ? `${count(names.length, "cell")}` : names.join(", ");
  if (act.verb === "switch_off") return `${where} switched off (${act.kind})`;
  if (act.verb === "scale") return `${where} × ${plain(act.factor)}`;
  return `“${act.direction}” added, strength ${plain(act.strength)}, at ${where || "every position"}`;
}
