// The maps of a view, side by side where there is room, each with its title, readout and legend.

import { readPanel, type Panel, type PanelWire, type Token } from "./border";
import { h } from "./dom";
import type { Cell } from "./geometry";
import { legend } from "./legend";
import type { Loop } from "./loop";
import type { Look } from "./look";
import { HeatMap } from "./map";
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
  private readonly legendSlot = h("div", {});
  private readonly title = h("h4", {});

  constructor(
    public panel: Panel,
    tokens: Token[],
    private look: Look,
    to: ConstructorParameters<typeof HeatMap>[3],
    signal: AbortSignal,
  ) {
    this.map = new HeatMap(panel, tokens, look, to, signal);
    this.element = h("figure", { class: "mi-panel", "data-panel": panel.name }, this.title, this.map.element, this.map.readout, this.legendSlot);
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

  private caption(): void {
    this.title.textContent = this.panel.title || this.panel.name;
    this.legendSlot.replaceChildren(legend(this.panel, this.look));
  }
}

/** All panels of a loop. Numbers that change keep their map; other axes or tokens make new ones. */
export class Panels {
  readonly element = h("div", { class: "mi-panels", "data-testid": "panels" });
  private frames: Frame[] = [];
  private outline = "";
  private life = new AbortController();

  constructor(
    private readonly loop: Loop,
    private look: Look,
    private readonly echo: Echo = {},
  ) {
    loop.watch(["panels", "tokens"], () => this.show());
    loop.watch(["picks"], () => this.mark());
    loop.signal.addEventListener("abort", () => this.life.abort());
  }

  setLook(look: Look): void {
    this.look = look;
    for (const frame of this.frames) frame.setLook(look);
  }

  setOpened(panel: number, cell: Cell | null): void {
    this.frames[panel]?.map.setOpened(cell);
  }

  private show(): void {
    const panels = this.loop.get("panels").map(readPanel);
    const outline = JSON.stringify([panels.map(axesOf), this.loop.get("tokens")]);
    if (outline === this.outline) this.frames.forEach((frame, i) => frame.setPanel(panels[i]));
    else this.build(panels);
    this.outline = outline;
  }

  private build(panels: Panel[]): void {
    this.life.abort();
    this.life = new AbortController();
    this.frames = panels.map((panel, index) => this.frame(panel, index));
    this.element.replaceChildren(...(panels.length ? this.frames.map(({ element }) => element) : [waiting()]));
    this.element.classList.toggle("mi-level", new Set(panels.map(({ rows }) => rows.labels.length)).size === 1);
    this.mark();
  }

  private frame(panel: Panel, index: number): Frame {
    const { loop, echo } = this;
    const frame: Frame = new Frame(
      panel,
      loop.get("tokens"),
      this.look,
      {
        hover: (cell) => echo.hover?.(frame.panel, frame.map, cell),
        clear: () => loop.pick([]),
        pick: (cells, mode) => {
          loop.pick(picked(loop.get("picks"), index, cells, mode));
          if (cells.length === 1) echo.pick?.(frame.panel, cells[0]);
        },
      },
      this.life.signal,
    );
    return frame;
  }

  private mark(): void {
    this.frames.forEach((frame, index) => frame.map.setPicked(cellsOf(this.loop.get("picks"), index)));
  }
}

const waiting = () => h("p", { class: "mi-hint mi-pending mi-blank" }, "The map appears here as soon as its first numbers are there.");
const axesOf = ({ name, rows, cols, causal }: PanelWire | Panel) => [name, rows, cols, causal];
