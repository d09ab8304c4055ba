// The border with Python: docs/views.md as types, and the one place where bytes become numbers.

export type Axis = { name: string; labels: string[]; places: number[][] };
export type Wire = { shape: number[]; dtype: "float32" | "uint8" | "int32"; data: DataView | string };
export type Token = {
  index: number;
  id: number;
  text: string;
  kind: "text" | "space" | "partial" | "special" | "control";
  bos: boolean;
};
export type PanelWire = {
  name: string;
  title: string;
  rows: Axis;
  cols: Axis;
  values: Wire;
  scale: "signed" | "sequential";
  range: [number, number];
  unit: string;
  quantity: string;
  sign: string;
  notes: string[];
  toward: 1 | -1 | 0;
  spacing: "even" | "log";
  bright: "high" | "low";
  excluded: number[];
  causal: boolean;
  texts: Wire | null;
  top: { ids: Wire; values: Wire } | null;
  vocabulary: Token[] | null;
  thumbnails: Wire | null;
  pictured: [number, number];
  grouped: number;
  estimated: Wire | null;
  kind: string;
  part: string;
  instrument: string;
};
export type Pick = [panel: number, row: number, col: number];
export type Act =
  | { verb: "switch_off"; kind: "mean" | "zero" | "resample" }
  | { verb: "scale"; factor: number }
  | { verb: "add"; direction: string; strength: number }
  | { verb: "clamp"; low: number | null; high: number | null }
  | { verb: "replace"; prompt: string }
  | { verb: "project_out"; direction: string }
  | { verb: "reading"; how: "remove" | "add" | "swap"; token: string; strength: number };
export type Direction = { name: string; layer: number; natural: number };
export type Kept = { id: number; label: string; strength: number };
export type Row = { run: number; what: string; metric: string; before: number; after: number; difference: number; beats: number | null; controls: number | null; recipe: string };
export type Journal = { rows: Row[]; code: string };
export type Curve = { strengths: number[]; differences: (number | null)[]; collapsed: boolean[] };
export type Side = { before: number; after: number } | { why: string };
export type Choice = { name: string; label: string; value: string; options: { value: string; label: string; help: string }[]; hint: string; ordered: boolean; instrument: string };
export type Progress = { done: number; total: number; eta: number; label: string };
export type Outcome = { metric: number; top: { token: Token; probability: number }[]; text: string | null };
export type Control = { label: string; values: number[]; beats: number };
export type Joint = { label: string; unit: string; toward: 1 | -1; effect: number; sum: number | null; control: Control } | { why: string };
export type Result = {
  picks: Pick[];
  act: Act;
  tray: Kept[];
  metric: string;
  before: Outcome;
  after: Outcome;
  difference: number;
  singles: { label: string; difference: number }[];
  sum_of_singles: number | null;
  frozen: number | null;
  control: Control | null;
  side: Side | null;
  curve: Curve | null;
  joint: Joint | null;
  notes: string[];
  warnings: string[];
  hooks: string[];
};
/** Tokens after the prompt's, and who wrote them, in words. */
export type Continuation = { tokens: Token[]; whose: string };
export type Failure = { what: string; why: string; fix: string; trace: string };
export type Provenance = { model: string; weights: string; tokens: string; recipe: string; versions: string; hooks?: string };
export type Status = "idle" | "waiting" | "running" | "stopped" | "error" | "closed";
export type Empty = Record<string, never>;

/** The traits of every view; `tests/view/test_border.py` holds Python's Loop to these names and types. */
export interface LoopTraits {
  title: string;
  prompt: string;
  tokens: Token[];
  panels: PanelWire[];
  picks: Pick[];
  act: Act;
  tray: Kept[];
  undoable: number;
  redoable: number;
  directions: Direction[];
  choices: Choice[];
  status: Status;
  progress: Progress | Empty;
  result: Result | Empty;
  error: Failure | Empty;
  code: string;
  journal: Journal | Empty;
  provenance: Provenance | Empty;
  runnable: boolean;
  group: string;
  key: string;
  brake: string;
  presentation: boolean;
}

/** What AttentionMap adds. */
export interface AttentionTraits extends LoopTraits {
  pattern: PanelWire | Empty;
  opened: number[];
  continuation: Continuation | Empty;
}

/** What BenchMap adds to that. */
export interface BenchTraits extends AttentionTraits {
  question: Question;
}

export type Draft = { picks: Pick[]; act: Act; tray: Kept[] };
export type Question = { prompt: string; corrupt: string; answer: string; foil: string };
export type Message =
  | ({ type: "run" | "code" | "keep" } & Draft)
  | { type: "stop" | "undo" | "redo" }
  | { type: "open"; row: number; col: number }
  | { type: "choose"; name: string; value: string }
  | ({ type: "ask" } & Question);

export type Numbers = Float32Array | Int32Array | Uint8Array;

/** A panel whose arrays are numbers. */
export type Panel = Omit<PanelWire, "values" | "texts" | "top" | "thumbnails" | "estimated"> & {
  values: Float32Array;
  texts: Int32Array | null;
  top: { ids: Int32Array; values: Float32Array; k: number } | null;
  thumbnails: { bytes: Uint8Array; height: number; width: number } | null;
  estimated: Uint8Array | null;
};

const KINDS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array } as const;

/** The numbers of an array, copied so that neither an odd byteOffset nor a reused buffer can shift them. */
export function decode(wire: Wire): Numbers {
  const Kind = KINDS[wire.dtype];
  if (!Kind) throw new TypeError(`no array has dtype ${String(wire.dtype)}`);
  const count = wire.shape.reduce((product, length) => product * length, 1);
  const { buffer, byteOffset, byteLength } = typeof wire.data === "string" ? fromBase64(wire.data) : wire.data;
  if (byteLength !== count * Kind.BYTES_PER_ELEMENT)
    throw new RangeError(`${byteLength} bytes are not ${wire.shape.join(" × ")} of ${wire.dtype}`);
  return new Kind(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);
}

const fromBase64 = (text: string) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** A panel as it is drawn, or an error that names what does not fit together. */
export function readPanel(wire: PanelWire): Panel {
  const shape = [wire.rows.labels.length, wire.cols.labels.length];
  const values = decode(wire.values) as Float32Array;
  if (String(wire.values.shape) !== String(shape))
    throw new RangeError(`panel ${wire.name}: values are ${wire.values.shape.join(" × ")}, labels ${shape.join(" × ")}`);
  const texts = wire.texts && (decode(wire.texts) as Int32Array);
  const estimated = wire.estimated && (decode(wire.estimated) as Uint8Array);
  return { ...wire, values, texts, top: readTop(wire.top), thumbnails: readThumbnails(wire.thumbnails), estimated };
}

function readTop(wire: PanelWire["top"]): Panel["top"] {
  if (!wire) return null;
  const ids = decode(wire.ids) as Int32Array;
  return { ids, values: decode(wire.values) as Float32Array, k: wire.ids.shape[2] };
}

function readThumbnails(wire: Wire | null): Panel["thumbnails"] {
  if (!wire) return null;
  return { bytes: decode(wire) as Uint8Array, height: wire.shape[2], width: wire.shape[3] };
}

/** Picks in the form in which both sides write them: sorted, each once. */
export function sortedPicks(picks: Pick[]): Pick[] {
  const sorted = [...picks].sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
  return sorted.filter((pick, i) => i === 0 || String(pick) !== String(sorted[i - 1]));
}

/** Whether two drafts ask for the same thing: the test for a stale result, and against echoes. */
export function sameDraft(a: Draft, b: Draft): boolean {
  return samePicks(a.picks, b.picks) && sameAct(a.act, b.act) && sameTray(a.tray, b.tray);
}

export function samePicks(a: Pick[], b: Pick[]): boolean {
  return String(sortedPicks(a)) === String(sortedPicks(b));
}

export function sameTray(a: Kept[], b: Kept[]): boolean {
  const strengths = (tray: Kept[]) => JSON.stringify(tray.map(({ id, strength }) => [id, strength]));
  return strengths(a) === strengths(b);
}

export function sameAct(a: Act, b: Act): boolean {
  const entries = (act: Act) => JSON.stringify(Object.entries(act).sort());
  return entries(a) === entries(b);
}

/** Whether a dict trait holds something: Python sends `{}` for nothing. */
export function filled<T extends object>(value: T | Empty): value is T {
  return Object.keys(value).length > 0;
}
