// The side panel: the views of all open notebooks by their model, with what is in force, what runs, and what was run.
import { ILabShell, type JupyterFrontEnd, type JupyterFrontEndPlugin } from "@jupyterlab/application";
import { Widget } from "@lumino/widgets";
import type { Handle, Presence } from "./handle";
import { icon } from "./icon";
import { limits } from "./limits";
import { Roll } from "./presence";

export const panel: JupyterFrontEndPlugin<void> = {
  id: "mi-widgets:panel",
  description: "Lists the views of all open notebooks, what is applied in them, and what runs.",
  autoStart: true,
  optional: [ILabShell],
  activate: (app: JupyterFrontEnd, shell: ILabShell | null) => (shell ?? app.shell).add(new SidePanel(new Roll()), "left", { rank: 900 }),
};

class SidePanel extends Widget {
  private frame = 0;

  constructor(private readonly roll: Roll) {
    super();
    this.id = "mi-widgets-panel";
    this.title.icon = icon;
    this.title.caption = "mi_widgets: models, edits, runs";
    this.addClass("mi-sidebar");
    this.node.setAttribute("aria-label", this.title.caption);
    roll.changed.connect(() => this.soon());
    this.draw();
  }

  /** However often they speak, once a frame is drawn. */
  private soon(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    const focused = (document.activeElement as HTMLElement | null)?.dataset.does;
    const models = byModel(this.roll.views);
    const sections = [...models].map(([model, views]) => element("section", {}, element("h3", {}, model || "no model"), ...views.map(card)));
    const nothing = element("p", { class: "mi-sidebar-hint" }, "Views appear here when a notebook shows one, for instance mi.Workbench(model, task).");
    this.node.replaceChildren(element("h2", {}, "mi_widgets"), ...(sections.length ? sections : [nothing]));
    if (focused) this.node.querySelector<HTMLElement>(`[data-does="${CSS.escape(focused)}"]`)?.focus();
  }
}

const WORDS: Record<string, string> = { idle: "ready", shown: "numbers without a model" };

type Seen = { handle: Handle; says: Presence; number: number };

function byModel(views: Handle[]): Map<string, Seen[]> {
  const models = new Map<string, Seen[]>();
  views.forEach((handle, number) => {
    const says = handle.read();
    models.set(says.model, [...(models.get(says.model) ?? []), { handle, says, number }]);
  });
  return models;
}

function card({ handle, says, number }: Seen): HTMLElement {
  const go = button(says.title || "View", `${number}-go`, () => handle.root.scrollIntoView({ block: "start" }));
  const parts = [element("h4", {}, go), says.prompt && element("p", { class: "mi-sidebar-prompt", dir: "auto" }, says.prompt), state(handle, says, number)];
  const applied = [...says.kept, ...(says.hooks ? [says.hooks] : [])];
  return element("article", { "data-testid": "mi-sidebar-view" }, ...parts, list("Applied", applied), history(handle, says, number));
}

function state(handle: Handle, { status, progress }: Presence, number: number): HTMLElement {
  const words = progress?.total ? `${progress.label || status} · ${progress.done} of ${progress.total}` : (WORDS[status] ?? status);
  const works = progress !== null || status === "running" || status === "waiting";
  return element("p", { class: "mi-sidebar-state", "data-status": status }, words, works && button("Stop", `${number}-stop`, handle.stop));
}

function history(handle: Handle, { runs, undoable, redoable }: Presence, number: number): HTMLElement | null {
  if (!runs.length && !undoable && !redoable) return null;
  const undo = button("Undo", `${number}-undo`, handle.undo, !undoable);
  const redo = button("Redo", `${number}-redo`, handle.redo, !redoable);
  const lines = runs.slice(-limits.mostRuns).map(({ what, metric, difference }) => `${what}: ${signed(difference)} in ${metric}`);
  return element("div", {}, element("p", { class: "mi-sidebar-buttons" }, undo, redo), list("Runs", lines.reverse()));
}

const signed = (number: number) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(2)}`;

function list(name: string, lines: string[]): HTMLElement | null {
  if (!lines.length) return null;
  return element("div", {}, element("h5", {}, name), element("ul", {}, ...lines.map((line) => element("li", { dir: "auto" }, line))));
}

function button(words: string, does: string, act: () => void, disabled = false): HTMLElement {
  const made = element("button", { type: "button", "data-does": does }, words) as HTMLButtonElement;
  made.disabled = disabled;
  made.addEventListener("click", act);
  return made;
}

/** An element whose text is text. */
function element(tag: string, attributes: Record<string, string>, ...children: (Node | string | null | false)[]): HTMLElement {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child): child is Node | string => !!child));
  return made;
}
