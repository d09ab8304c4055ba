// Where a cell is in the model, as a key that all maps share, whatever their axes: the same site has the same key.

import type { Axis, Panel } from "./border";
import type { Cell } from "./geometry";

type Sited = Pick<Panel, "kind" | "part" | "rows" | "cols">;

/** The key of a cell; "" where the cells of a map are no places in a model. */
export function keyOf({ kind, part, rows, cols }: Sited, { row, col }: Cell): string {
  if (!kind) return "";
  const at = new Map([...named(rows, row), ...named(cols, col)]);
  // What leaves one block is what the next one reads.
  if (kind === "residual" && part === "post") return written(kind, "pre", at.set("layer", (at.get("layer") ?? 0) + 1));
  return written(kind, part, at);
}

/** The cell that has a key, or null. */
export function cellOf(panel: Sited, key: string): Cell | null {
  if (!key.startsWith(`${panel.kind}.`)) return null;
  for (let row = 0; row < panel.rows.labels.length; row++)
    if (key.includes(rowPart(panel, row)))
      for (let col = 0; col < panel.cols.labels.length; col++) if (keyOf(panel, { row, col }) === key) return { row, col };
  return null;
}

/** What a row adds to the keys of its cells: most rows are passed over by it. */
function rowPart({ kind, part, rows }: Sited, row: number): string {
  const shift = kind === "residual" && part === "post" ? 1 : 0;
  const [name, number] = named(rows, row)[0] ?? ["", 0];
  return name === "layer" ? ` layer${number + shift} ` : "";
}

/** The numbers of a row or column by their words; none of an axis that says nothing about where. */
const named = ({ name, places }: Axis, index: number): [string, number][] =>
  places.length ? name.split("·").map((word, i) => [word, places[index]?.[i] ?? -1]) : [];

const written = (kind: string, part: string, at: Map<string, number>) =>
  `${kind}.${part} ${[...at].sort().map(([word, number]) => `${word}${number}`).join(" ")} `;
