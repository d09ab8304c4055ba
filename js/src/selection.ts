// What a click does to the picks, without a page.

import { samePicks, sortedPicks, type Pick } from "./border";
import type { Cell } from "./geometry";

export type Mode = "only" | "replace" | "toggle" | "add";

/** The picks after cells of one panel were pointed at: only these (the same again clears), replaced, toggled, or added. */
export function picked(before: Pick[], panel: number, cells: Cell[], mode: Mode): Pick[] {
  const these = cells.map(({ row, col }): Pick => [panel, row, col]);
  if (mode === "only") return samePicks(before, these) ? [] : sortedPicks(these);
  if (mode === "replace") return sortedPicks(these);
  if (mode === "add") return sortedPicks([...before, ...these]);
  const had = new Set(before.map(String));
  const now = new Set(these.map(String));
  return sortedPicks([...before.filter((pick) => !now.has(String(pick))), ...these.filter((pick) => !had.has(String(pick)))]);
}

/** The cells of one panel among the picks. */
export function cellsOf(picks: Pick[], panel: number): Cell[] {
  return picks.filter(([which]) => which === panel).map(([, row, col]) => ({ row, col }));
}
