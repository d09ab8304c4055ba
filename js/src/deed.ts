// What is done to the picked cells, in words: before Run as a promise, after it as a heading.

import type { Act } from "./border";
import { count, plain } from "./format";

type Reading = Extract<Act, { verb: "reading" }>;

const REPLACED = { mean: "the mean output", zero: "zero", resample: "what it is on another text" };

/** Whether an act needs no picked cell: a direction has a layer of its own. */
export const placeless = ({ verb }: Act) => verb === "add" || verb === "project_out";

/** What a draft still lacks before it can be run, or nothing. */
export function lacks(act: Act): string {
  if (act.verb === "clamp" && act.low === null && act.high === null) return "Give a bound.";
  if (act.verb === "replace" && !act.prompt) return "Type a prompt with as many tokens.";
  if (act.verb === "reading" && act.how === "swap" && !act.token) return "Type the token that comes in.";
  return "";
}

/** What Run will do with that many picked cells, some of which name a token position; `reads`: what those of a lens read. */
export function promise(act: Act, cells: number, places = 0, reads: string[] = []): string {
  const them = count(cells, "cell");
  if (act.verb === "switch_off") return `Replaces ${them} by ${REPLACED[act.kind]} and runs again.`;
  if (act.verb === "scale") return `Multiplies ${them} by ${plain(act.factor)} and runs again.`;
  if (act.verb === "clamp") return `Keeps each number of ${them} ${between(act)} and runs again.`;
  if (act.verb === "replace") return `Takes ${them} from the run of that prompt, which needs as many tokens, and runs again.`;
  if (act.verb === "reading") return `${altered(act, reads)} what ${them} ${cells === 1 ? "reads" : "read"} and runs again.`;
  const [does, from] = act.verb === "add" ? ["Adds it", ""] : ["Takes it out", " but the first"];
  if (places) return `${does} at the picked positions and runs again.`;
  return `${does} at every position${from} and runs again.${cells ? " The picked cells name no position and play no part." : ""}`;
}

/** What was done, to which cells; for a direction, those that name a position. */
export function deed(act: Act, names: string[]): string {
  if (!names.length && !placeless(act)) return "";
  const where = names.length > 6 ? `${count(names.length, "cell")}` : names.join(", ");
  if (act.verb === "switch_off") return `${where} switched off (${act.kind})`;
  if (act.verb === "scale") return `${where} × ${plain(act.factor)}`;
  if (act.verb === "clamp") return `${where} kept ${between(act)}`;
  if (act.verb === "replace") return `${where} taken from “${act.prompt}”`;
  if (act.verb === "reading") return `${altered(act, [])} what is read at ${where}`;
  const done = act.verb === "add" ? `added, strength ${plain(act.strength)},` : "taken out";
  return `“${act.direction}” ${done} at ${where || "every position"}`;
}

function between({ low, high }: { low: number | null; high: number | null }): string {
  if (low === null) return `at most ${plain(high ?? NaN)}`;
  return high === null ? `at least ${plain(low)}` : `between ${plain(low)} and ${plain(high)}`;
}

/** What becomes of a reading; of several cells that read different tokens, the first few are named. */
function altered({ how, token, strength }: Reading, reads: string[]): string {
  const typed = token ? quoted(token.replaceAll(" ", "·")) : "";
  const own = reads.length ? listed([...new Set(reads)]) : "the token read first";
  if (how === "swap") return `Swaps ${own} and ${typed} in`;
  if (how === "add") return `Adds ${typed || own}, strength ${plain(strength)}, to`;
  return `Removes ${typed || own} from`;
}

const quoted = (text: string) => `‘\u2068${text}\u2069’`;
const listed = (words: string[]) => [...words.slice(0, 3).map(quoted), ...(words.length > 3 ? ["…"] : [])].join(", ");
