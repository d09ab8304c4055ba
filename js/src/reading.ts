// A cell in words: the readout under a map, the label a screen reader speaks, the short name on a chip.

import type { Axis, Panel, Token } from "./border";
import { axisWord, percent, plain, signed } from "./format";
import type { Cell } from "./geometry";

/** A cell's rank among how many; rank 0 where it does not take part. */
export type Standing = { rank: number; total: number };

const LETTERS = new Map([["layer", "L"], ["head", "H"]]);

/** The label of one place on an axis; a position takes its token's, if the tokens are those of this axis. */
export function label(axis: Axis, index: number, tokens: Token[]): string {
  return onTokens(axis, tokens) ? tokens[index].text : axis.labels[index];
}

/** Whether an axis runs over the view's tokens. */
export function onTokens(axis: Axis, tokens: Token[]): boolean {
  return /position|_pos$/.test(axis.name) && tokens.length === axis.labels.length;
}

/** The token positions that a cell belongs to. */
export function positions(panel: Panel, cell: Cell | null, tokens: Token[]): number[] {
  if (!cell) return [];
  return [onTokens(panel.rows, tokens) ? cell.row : -1, onTokens(panel.cols, tokens) ? cell.col : -1].filter((i) => i >= 0);
}

/** A cell's number; a probability keeps its own scale. */
export function figure(panel: Panel, value: number): string {
  if (Number.isNaN(value)) return "not computed";
  if (panel.unit === "probability") return percent(value);
  return panel.scale === "signed" ? signed(value) : plain(value);
}

/** The same with its unit. */
export function amount(panel: Panel, value: number): string {
  const number = figure(panel, value);
  return panel.unit && !Number.isNaN(value) ? `${number} ${panel.unit}` : number;
}

/** The readout: where the cell is, its number, its rank, piece by piece. */
export function readout(panel: Panel, cell: Cell, tokens: Token[], standing: Standing): string[] {
  const value = panel.values[cell.row * panel.cols.labels.length + cell.col];
  if (panel.causal && Number.isNaN(value) && cell.col > cell.row) return [pair(panel, cell, tokens), "not yet written here"];
  const where = panel.rows.name === "query_pos" ? [pair(panel, cell, tokens)] : places(panel, cell, tokens);
  const estimate = panel.estimated?.[cell.row * panel.cols.labels.length + cell.col] ? "estimate" : "";
  return [...where, amount(panel, value), estimate, place(panel, cell, standing)].filter(Boolean);
}

/** The same as one sentence, with what the card beside the cell shows. */
export function spoken(panel: Panel, cell: Cell, tokens: Token[], standing: Standing, chosen: boolean): string {
  const top = topOf(panel, cell).slice(0, 3).map(({ token, value }) => `${token.text} ${percent(value)}`);
  const parts = [...readout(panel, cell, tokens, standing), ...(top.length ? [`top: ${top.join(", ")}`] : [])];
  return parts.join(", ") + (chosen ? ", picked" : "");
}

/** A cell's short name: L15H3, or L15 · Mary. */
export function short(panel: Panel, cell: Cell, tokens: Token[]): string {
  const part = (axis: Axis, index: number) => {
    const letter = LETTERS.get(axis.name);
    if (letter && /^\d/.test(axis.labels[index])) return letter + axis.labels[index];
    return ` ${label(axis, index, tokens)}${onTokens(axis, tokens) ? ` (${index})` : ""}`;
  };
  return (part(panel.rows, cell.row) + part(panel.cols, cell.col)).trim();
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
      : `${axisWord(axis.name)} ${axis.labels[index]}`;
  return [place(panel.rows, row), place(panel.cols, col)];
}

// U+2068 and U+2069 isolate the token, as <bdi> does where there is markup.
const quoted = (text: string) => `‘\u2068${text}\u2069’`;

function place(panel: Panel, { col }: Cell, { rank, total }: Standing): string {
  if (rank) return `rank ${rank.toLocaleString("en")} of ${total.toLocaleString("en")}`;
  return panel.excluded.includes(col) ? "outside the colour scale" : "";
}
