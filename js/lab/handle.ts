// What a view of the page says of itself, and what may be asked of it: the border between the widgets and this extension.

/** A view says that it is there; and somebody asks which views there are. */
export const PRESENT = "mi-widgets:present";
export const ROLL_CALL = "mi-widgets:roll-call";

/** What a view says of itself. */
export type Presence = {
  title: string;
  model: string;
  prompt: string;
  status: string;
  progress: { done: number; total: number; label: string } | null;
  kept: string[];
  hooks: string;
  undoable: number;
  redoable: number;
  runs: { what: string; metric: string; difference: number }[];
};

/** A view as others on the page may use it. `signal` ends with it. */
export type Handle = {
  root: HTMLElement;
  signal: AbortSignal;
  read: () => Presence;
  watch: (does: () => void) => void;
  stop: () => void;
  undo: () => void;
  redo: () => void;
};
