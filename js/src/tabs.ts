// Tabs: several scenes in one place, of which one is shown, or all below one another. Arrow keys move between them.

import { h, shown } from "./dom";

export type Tab = { name: string; label: string; scene: HTMLElement };

const ALL = "all";

export class Tabs {
  readonly element: HTMLElement;
  private readonly buttons: HTMLElement[];
  private readonly sheets: HTMLElement[];
  private chosen: string;

  constructor(private readonly tabs: Tab[]) {
    this.chosen = tabs[0].name;
    const id = `mi-tabs-${crypto.randomUUID()}`;
    this.sheets = tabs.map(({ name, scene }) => h("section", { role: "tabpanel", id: `${id}-${name}`, "aria-labelledby": `${id}-tab-${name}` }, scene));
    this.buttons = [...tabs, { name: ALL, label: "All" }].map(({ name, label }) => this.button(id, name, label));
    const list = h("div", { class: "mi-tabs", role: "tablist", "aria-label": "Maps" }, ...this.buttons);
    list.addEventListener("keydown", (event) => this.key(event));
    this.element = h("div", { class: "mi-part" }, list, ...this.sheets);
    this.show(this.chosen);
  }

  /** Tabs that have nothing to show are left out; `note` is written small behind a label, such as how many are picked. */
  offer(name: string, offered: boolean, note = ""): void {
    const button = this.buttons[this.tabs.findIndex((tab) => tab.name === name)];
    shown(button, offered);
    button.querySelector("small")!.textContent = note;
    if (!offered && this.chosen === name) this.show(this.tabs[0].name);
    else this.show(this.chosen);
  }

  private button(id: string, name: string, label: string): HTMLElement {
    const controls = name === ALL ? null : `${id}-${name}`;
    return h("button", { type: "button", role: "tab", id: `${id}-tab-${name}`, "aria-controls": controls, "data-tab": name, "data-testid": `tab-${name}`, onclick: () => this.show(name) }, label, h("small", {}));
  }

  private show(name: string): void {
    this.chosen = name;
    for (const button of this.buttons) {
      const here = button.dataset.tab === name;
      button.setAttribute("aria-selected", String(here));
      button.tabIndex = here ? 0 : -1;
    }
    this.tabs.forEach((tab, i) => shown(this.sheets[i], !this.buttons[i].hidden && [tab.name, ALL].includes(name)));
  }

  private key(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const there = this.buttons.filter((button) => !button.hidden);
    const next = there[(there.findIndex((button) => button.dataset.tab === this.chosen) + step + there.length) % there.length];
    this.show(next.dataset.tab!);
    next.focus();
    event.preventDefault();
    event.stopPropagation();
  }
}
