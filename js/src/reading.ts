// A cell in words: the readout under a map, the label a screen reader speaks, the short name on a chip.

import type { Axis, Panel, Token } from "./border";
import { axisWord, exact, percent, plain, signed, whole } from "./format";
import type { Cell } from "./geometry";

/** A cell's rank among how many; rank 0 where it does not take part. */
export type Standing = { rank: number; total: number };

const LETTERS = new Map([["layer", "L"], ["head", "H"]]);

/** The label of one place on an axis; a position takes its token's, if the tokens are those of this axis. */
export function label(axis: Axis, index: number, tokens: Token[]): string {
  return onTokens(axis, tokens) ? tokens[index].text : axis.labels[index];
}

const compared = new WeakMap<Axis, [Token[], boolean]>();

/** Whether an axis runs over the view's tokens, and not over roles, or positions of other prompts, that are as many. */
export function onTokens(axis: Axis, tokens: Token[]): boolean {
  const known = compared.get(axis);
  if (known?.[0] === tokens) return known[1];
  const same = placed(axis) && tokens.length === axis.labels.length && axis.labels.every((text, i) => text === tokens[i].text);
  compared.set(axis, [tokens, same]);
  return same;
}

/** Whether rows look at columns, so that nothing can stand above the diagonal; pictures of such are no pattern. */
export const isPattern = ({ causal, thumbnails }: Panel): boolean => causal && !thumbnails;

const placed = ({ name }: Axis) => /position$|_pos$/.test(name);

/** The token positions that a cell belongs to; those of a role are the shown prompt's. */
export function positions(panel: Panel, cell: Cell | null, tokens: Token[]): number[] {
  if (!cell) return [];
  return [position(panel.rows, cell.row, tokens), position(panel.cols, cell.col, tokens)].filter((i) => i >= 0);
}

function position(axis: Axis, index: number, tokens: Token[]): number {
  if (onTokens(axis, tokens)) return index;
  const place = placed(axis) ? axis.places[index]?.at(-1) : undefined;
  return place === undefined ? -1 : place < 0 ? place + tokens.length : place;
}

/** A cell's number; a probability keeps its own scale. */
export function figure(panel: Panel, value: number): string {
  if (Number.isNaN(value)) return "not computed";
  if (panel.unit === "rank") return panel.scale === "signed" ? `${value > 0 ? "+" : ""}${exact(value)}` : whole(value);
  if (panel.unit === "probability" && panel.scale !== "signed") return percent(value);
  return panel.scale === "signed" ? signed(value) : plain(value);
}

/** The same with its unit. */
export function amount(panel: Panel, value: number): string {
  const number = figure(panel, value);
  if (Number.isNaN(value)) return number;
  if (panel.unit === "rank") return panel.scale === "signed" ? `${number} ranks` : `rank ${number}`;
  return panel.unit ? `${number} ${panel.unit}` : number;
}

/** What a ranking puts first: the largest number, or the smallest where less is better. */
export const superlative = ({ scale, bright }: Panel) => (scale !== "signed" && bright === "low" ? "smallest" : "largest");

/** The readout: where the cell is, its number, its rank, piece by piece. */
export function readout(panel: Panel, cell: Cell, tokens: Token[], standing: Standing): string[] {
  const value = panel.values[cell.row * panel.cols.labels.length + cell.col];
  if (isPattern(panel) && Number.isNaN(value) && cell.col > cell.row) return [pair(panel, cell, tokens), "not yet written here"];
  const where = panel.rows.name === "query_pos" ? [pair(panel, cell, tokens)] : places(panel, cell, tokens);
  return [...where, amount(panel, value), worth(panel, cell, value), place(panel, cell, standing)].filter(Boolean);
}

/** What a number is worth, in a map where some are estimates. */
function worth({ estimated, cols }: Panel, { row, col }: Cell, value: number): string {
  if (!estimated || Number.isNaN(value)) return "";
  return estimated[row * cols.labels.length + col] ? "estimate" : "exact";
}

/** The same as one sentence, with what the card beside the cell shows. */
export function spoken(panel: Panel, cell: Cell, tokens: Token[], standing: Standing, chosen: boolean): string {
  const { quantity, top } = cardOf(panel, cell);
  const listed = top.map(({ token, amount }) => `${token.text} ${amount}`);
  const card = [quantity, ...(listed.length ? [`top: ${listed.join(", ")}`] : [])].filter(Boolean);
  const parts = [...readout(panel, cell, tokens, standing), ...card];
  return parts.join(", ") + (chosen ? ", picked" : "");
}

/** What the card beside a cell of a lens shows, number by number to four figures: what is drawn, and the best tokens. */
export function cardOf(panel: Panel, cell: Cell): { quantity: string; top: { token: Token; value: number; amount: string }[] } {
  const value = panel.values[cell.row * panel.cols.labels.length + cell.col];
  const quantity = panel.quantity && !Number.isNaN(value) ? `${panel.quantity}: ${exact(value)}` : "";
  return { quantity, top: topOf(panel, cell).map((entry) => ({ ...entry, amount: exact(entry.value) })) };
}

/** A cell's short name: L15H3, or L15 · Mary; of a row with several numbers the row's. */
export function short(panel: Panel, cell: Cell, tokens: Token[]): string {
  const part = (axis: Axis, index: number) => {
    const letter = LETTERS.get(axis.name);
    if (letter && /^\d/.test(axis.labels[index])) return letter + axis.labels[index];
    return ` ${label(axis, index, tokens)}${onTokens(axis, tokens) ? ` (${index})` : ""}`;
  };
  const says = ({ places }: Axis) => !panel.kind || places.length > 0; // where it is, and not which of its numbers
  return ((says(panel.rows) ? part(panel.rows, cell.row) : "") + (says(panel.cols) ? part(panel.cols, cell.col) : "")).trim();
}

/** The k best tokens of a cell. */
export function topOf(panel: Panel, { row, col }: Cell): { token: Token; value: number }[] {
  if (!panel.top || !panel.vocabulary) return [];
  const { ids, values, k } = panel.top;
  const start = (row * panel.cols.labels.length + col) * k;
  return Array.from(ids.subarray(start, start + k), (id, i) => ({ token: panel.vocabulary![id], value: values[start + i] }))
    .filter(({ token }) => token);
}

function pair(panel: Panel, { row, col }: Cell, tokens: Token[]): string {
  return `${quoted(label(panel.rows, row, tokens))} looks at ${quoted(label(panel.cols, col, tokens))}`;
}

function places(panel: Panel, { row, col }: Cell, tokens: Token[]): string[] {
  const place = (axis: Axis, index: number) =>
    onTokens(axis, tokens)
      ? `${axisWord(axis.name)} ${index} ${quoted(tokens[index].text)}`
      : `${axisWord(axis.name)} ${axis.labels[index]}`.trim();
  return [place(panel.rows, row), place(panel.cols, col)];
}

// U+2068 and U+2069 isolate the token, as <bdi> does where there is markup.
const quoted = (text: string) => `‘\u2068${text}\u2069’`;

function place(panel: Panel, { col }: Cell, { rank, total }: Standing): string {
  if (rank && panel.bright === "low" && !panel.excluded.includes(col)) return ""; // that less is better says enough
  if (rank) return `rank ${rank.toLocaleString("en")} of ${total.toLocaleString("en")}`;
  return panel.excluded.includes(col) ? "outside the colour scale" : "";
}
