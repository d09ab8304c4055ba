// The maps of a view, side by side where there is room, each with its title, readout and legend.

import { filled, readPanel, type Panel, type PanelWire, type Pick, type Token } from "./border";
import { h, shown } from "./dom";
import type { Cell } from "./geometry";
import { legend } from "./legend";
import { Brush } from "./brush";
import { Enlargement } from "./enlargement";
import type { Loop } from "./loop";
import type { Look } from "./look";
import { HeatMap, type Pointing } from "./map";
import { cellOf, keyOf } from "./places";
import { Ranks } from "./ranks";
import { cellsOf, picked } from "./selection";

/** What else on the page answers to a cell that is pointed at, or picked. */
export type Echo = {
  hover?: (panel: Panel, map: HeatMap, cell: Cell | null) => void;
  pick?: (panel: Panel, cell: Cell) => void;
};

/** One framed map. */
export class Frame {
  readonly element: HTMLElement;
  readonly map: HeatMap;
  private readonly life = new AbortController();
  private readonly legendSlot = h("div", {});
  private readonly title = h("h4", {});
  private readonly ranks: Ranks;
  private readonly enlargement: Enlargement;

  constructor(
    public panel: Panel,
    private readonly tokens: Token[],
    private look: Look,
    to: Pointing,
  ) {
    this.map = new HeatMap(panel, tokens, look, to, this.life.signal);
    this.ranks = new Ranks(to.pick && ((cell) => to.pick?.([cell], "toggle")));
    const tools = h("div", { class: "mi-tools" }, this.map.zoomBar.element);
    const caption = h("div", { class: "mi-caption" }, this.title, tools);
    this.element = h("figure", { class: "mi-panel", "data-panel": panel.name }, caption, this.map.element, this.map.readout, this.legendSlot, this.ranks.element);
    this.enlargement = new Enlargement(this.element, this.life.signal);
    tools.append(this.ranks.button, this.enlargement.button);
    this.element.addEventListener("keydown", (event) => this.key(event), true); // before Escape drops the map's picks
    this.caption();
  }

  setPanel(panel: Panel): void {
    this.panel = panel;
    this.map.setPanel(panel);
    this.caption();
  }

  setLook(look: Look): void {
    this.look = look;
    this.map.setLook(look);
    this.caption();
  }

  setPicked(cells: Cell[]): void {
    this.map.setPicked(cells);
    this.ranks.setPicked(cells);
  }

  /** Whether these numbers can be drawn where the old ones are, with focus and pointer left in place. */
  suits(panel: Panel): boolean {
    return JSON.stringify(axesOf(panel)) === JSON.stringify(axesOf(this.panel));
  }

  end(): void {
    this.life.abort();
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const escape = key === "escape";
    if (key === "t" || (escape && this.ranks.element.contains(event.target as Node))) this.turn();
    else if (key === "f" || (escape && this.enlargement.on)) this.enlargement.toggle();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** From the map to its table, or back. */
  private turn(): void {
    this.ranks.toggle();
    if (this.ranks.open) this.ranks.element.focus();
    else this.map.focus();
  }

  private caption(): void {
    this.title.textContent = this.panel.title || this.panel.name;
    this.ranks.show(this.panel, this.tokens);
    this.legendSlot.replaceChildren(legend(this.panel, this.look, this.map.dots));
  }
}

/** The panels of one instrument, or all of them. Numbers that change keep their map; other axes or tokens make new ones. */
export class Panels {
  private readonly waiting = h("p", { class: "mi-hint mi-pending mi-blank" }, "The map appears here with its first numbers.");
  readonly element = h("div", { class: "mi-panels", "data-testid": "panels" }, this.waiting);
  private readonly brush: Brush;
  private frames: Frame[] = [];
  private numbers: number[] = []; // where the frames' panels stand among all of the view
  private tokens = "";

  constructor(
    private readonly loop: Loop,
    private look: Look,
    private readonly echo: Echo = {},
    private readonly instrument = "",
  ) {
    this.brush = new Brush(loop, (key, from) => this.light(key, from));
    loop.watch(["panels", "tokens"], () => this.show());
    loop.watch(["runnable", "error"], () => this.await());
    loop.watchBusy(() => this.await());
    loop.watch(["picks"], () => this.mark());
    loop.signal.addEventListener("abort", () => this.frames.forEach((frame) => frame.end()));
  }

  setLook(look: Look): void {
    this.look = look;
    for (const frame of this.frames) frame.setLook(look);
  }

  setOpened(panel: number, cell: Cell | null): void {
    this.frames[this.numbers.indexOf(panel)]?.map.setOpened(cell);
  }

  /** A panel of no instrument belongs to whoever draws the view. */
  private owns({ instrument }: PanelWire): boolean {
    return !this.instrument || !instrument || instrument === this.instrument;
  }

  private show(): void {
    const mine = [...this.loop.get("panels").entries()].filter(([, wire]) => this.owns(wire));
    this.numbers = mine.map(([number]) => number);
    const panels = mine.map(([, wire]) => readPanel(wire));
    const tokens = JSON.stringify(this.loop.get("tokens"));
    const old = tokens === this.tokens ? this.frames : [];
    this.tokens = tokens;
    const next = panels.map((panel, i) => (old[i]?.suits(panel) ? old[i] : this.frame(panel)));
    next.forEach((frame, i) => frame.panel === panels[i] || frame.setPanel(panels[i]));
    this.place(next);
  }

  /** Put new maps where they belong without touching those that stay: moving an element would take its focus. */
  private place(next: Frame[]): void {
    for (const gone of this.frames.filter((frame) => !next.includes(frame))) {
      gone.end();
      gone.element.remove();
    }
    this.frames = next;
    const { children } = this.element;
    next.forEach(({ element }, i) => children[i] === element || this.element.insertBefore(element, children[i]));
    this.await();
    this.element.classList.toggle("mi-level", new Set(next.map(({ panel }) => panel.rows.labels.length)).size === 1);
    this.mark();
  }

  /** Say that a map is on its way, where one is. */
  private await(): void {
    const { loop, frames } = this;
    shown(this.waiting, !frames.length && loop.get("runnable") && !loop.lost && !filled(loop.get("error")));
  }

  private frame(panel: Panel): Frame {
    const { loop, echo } = this;
    const frame: Frame = new Frame(panel, loop.get("tokens"), this.look, {
      hover: (cell) => {
        echo.hover?.(frame.panel, frame.map, cell);
        this.brush.point(cell ? keyOf(frame.panel, cell) : "", frame);
      },
      clear: () => loop.pick([]),
      pick: (cells, mode) => {
        const number = this.numbers[this.frames.indexOf(frame)];
        loop.pick(picked(this.moved(loop.get("picks"), frame.panel, number), number, cells, mode));
        if (cells.length === 1) echo.pick?.(frame.panel, cells[0]);
      },
    });
    return frame;
  }

  /** Picked cells are outlined in every map that holds the same places. */
  private mark(): void {
    const picks = this.loop.get("picks");
    this.frames.forEach((frame, i) => frame.setPicked(cellsOf(this.moved(picks, frame.panel, this.numbers[i]), this.numbers[i])));
  }

  /** Picks as far as they are cells of one map: those in other maps that are the same places count as its own. */
  private moved(picks: Pick[], panel: Panel, number: number): Pick[] {
    const wires = this.loop.get("panels");
    return picks.map((pick) => {
      const [from, row, col] = pick;
      const cell = from === number || !wires[from] ? null : cellOf(panel, keyOf(wires[from], { row, col }));
      return cell ? [number, cell.row, cell.col] : pick;
    });
  }

  private light(key: string, from: object): void {
    for (const frame of this.frames) if (frame !== from) frame.map.light(key ? cellOf(frame.panel, key) : null);
  }
}

const axesOf = ({ name, rows, cols, causal, kind, part, thumbnails, texts }: Panel) => [name, rows, cols, causal, kind, part, !!thumbnails, !!texts];
