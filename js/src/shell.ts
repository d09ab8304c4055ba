// A view from top to bottom: heading, tokens, the maps that each view draws itself, action bar, result, code, small print.

import { announcer } from "./announcer";
import { ActionBar } from "./bar";
import { readPanel, filled, type Pick } from "./border";
import { errorCard } from "./card";
import { journal } from "./journal";
import { present } from "./presence";
import { lostNotice, restWhenLost } from "./connection";
import { undoKeys } from "./undo";
import { CodePane } from "./code";
import { h, shown } from "./dom";
import { Loop, type Host, type Model } from "./loop";
import { keysButton } from "./keys";
import { presentationButton } from "./presentation";
import { readLook, watchLook, type Look } from "./look";
import { short } from "./reading";
import { resultArea } from "./result";
import { statusChip } from "./status";
import { Strip } from "./strip";

/** What a view's own part gets, and what it gives back: its element, and how it takes a new theme. */
export type Stage = { loop: Loop; strip: Strip; look: Look };
export type Scene = { element: HTMLElement; setLook: (look: Look) => void; above?: HTMLElement[] };

type RenderProps = { model: unknown; el: HTMLElement; signal?: AbortSignal; host?: Host };

/** anywidget's module for a view that draws its maps with `draw`. */
export function view(draw: (stage: Stage) => Scene) {
  return {
    render({ model, el, signal, host }: RenderProps): () => void {
      const life = new AbortController();
      signal?.addEventListener("abort", () => life.abort());
      raise(new Loop(model as Model, life.signal, host), el, draw);
      return () => life.abort();
    },
  };
}

function raise(loop: Loop, el: HTMLElement, draw: (stage: Stage) => Scene): void {
  const root = h("div", { class: "mi-root", lang: "en", dir: "ltr", "data-testid": "mi-view" });
  keepKeys(root);
  el.append(root);
  const strip = new Strip();
  loop.watch(["tokens"], () => strip.show(loop.get("tokens")));
  const scene = draw({ loop, strip, look: readLook(root) });
  root.append(hideStill(loop), heading(loop, root), lostNotice(loop), errorCard(loop), ...(scene.above ?? []), strip.element, scene.element, ...actions(loop), announcer(loop, (pick) => nameOf(loop, pick)), smallPrint(loop));
  undoKeys(loop, root);
  restWhenLost(loop, root);
  present(loop, root);
  watchLook(root, (look) => scene.setLook(look), loop.signal);
  loop.watchBusy(() => {
    root.dataset.status = loop.get("status");
    root.setAttribute("aria-busy", String(loop.busy));
  });
  loop.signal.addEventListener("abort", () => root.remove());
}

/**
 * Keys pressed in the view are the view's. JupyterLab looks for its shortcuts from the focused element upwards, and many
 * of the notebook's are of whatever has the focus: so that element says it, and not only the view around it.
 */
function keepKeys(root: HTMLElement): void {
  root.addEventListener("focusin", ({ target }) => target instanceof Element && target.setAttribute("data-lm-suppress-shortcuts", "true"));
}

/** What remains of the view without a page (mi_widgets/view/still.py) is not shown beside the view, unless its maps are gone. */
function hideStill(loop: Loop): HTMLElement {
  const still = `.mi-still-${CSS.escape(loop.get("key"))}`;
  const style = h("style", {});
  const hide = () => {
    const alone = loop.lost && !loop.get("panels").length;
    style.textContent = alone ? "" : `${still}, .jp-OutputArea-child:has(${still}) { display: none }`;
  };
  loop.watchBusy(hide);
  loop.watch(["panels"], hide);
  return style;
}

function heading(loop: Loop, root: HTMLElement): HTMLElement {
  const title = h("h3", { "data-testid": "title" });
  const model = h("span", { class: "mi-model", "data-testid": "model" });
  loop.watch(["title", "provenance"], () => {
    const provenance = loop.get("provenance");
    title.textContent = loop.get("title");
    model.textContent = filled(provenance) ? [provenance.model, provenance.weights].filter(Boolean).join(" · ") : "";
  });
  const chip = statusChip(loop);
  loop.watch(["runnable"], () => shown(chip, loop.get("runnable")));
  const tools = h("div", { class: "mi-tools" }, chip, presentationButton(loop, root), keysButton(root));
  return h("header", { class: "mi-head" }, h("div", { class: "mi-heading" }, title, model), tools);
}

/** The bar, the result and the code of a view that can run; nothing where numbers are shown without a model. */
function actions(loop: Loop): HTMLElement[] {
  const code = new CodePane(loop);
  const bar = new ActionBar(loop, code, (pick) => nameOf(loop, pick));
  const result = resultArea(loop, (pick) => nameOf(loop, pick));
  loop.watch(["runnable"], () => shown(bar.element, loop.get("runnable")));
  return [bar.element, code.element, result, journal(loop)];
}

function nameOf(loop: Loop, [panel, row, col]: Pick): string {
  const wire = loop.get("panels")[panel];
  return wire ? short(readPanel(wire), { row, col }, loop.get("tokens")) : "";
}

function smallPrint(loop: Loop): HTMLElement {
  const foot = h("footer", { class: "mi-foot", "data-testid": "provenance" });
  loop.watch(["provenance"], () => {
    const provenance = loop.get("provenance");
    const said = filled(provenance) ? Object.entries(provenance).filter(([, words]) => words) : [];
    foot.replaceChildren(...said.map(([name, words]) => h("span", {}, `${name} ${words}`)));
  });
  return foot;
}
