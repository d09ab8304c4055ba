// Where in which notebook: the cell that a node of the page belongs to.
import type { INotebookTracker, Notebook } from "@jupyterlab/notebook";

export interface Place {
  notebook: Notebook;
  index: number;
}

/** The cell whose output (or any other part) holds the node, in whichever open notebook that is. */
export function cellAround(target: EventTarget | null, notebooks: INotebookTracker): Place | null {
  if (!(target instanceof Node)) return null;
  const panel = notebooks.find((candidate) => candidate.content.node.contains(target));
  const index = panel?.content.widgets.findIndex((cell) => cell.node.contains(target)) ?? -1;
  return panel && index >= 0 ? { notebook: panel.content, index } : null;
}

/** Puts the code into a new cell below, selects it, and says whether it could. */
export function insertBelow({ notebook, index }: Place, code: string): boolean {
  const model = notebook.model;
  if (model === null || model.readOnly) return false;
  model.sharedModel.insertCell(index + 1, { cell_type: "code", source: code, metadata: {} });
  notebook.activeCellIndex = index + 1;
  return true;
}
