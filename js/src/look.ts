// The host's theme as canvases need it: dark or light, fonts and colours as they are on the page now.

import { PALETTES, luminance, parseCss, type Palette, type Rgb, type Theme } from "./color";

export type Look = {
  theme: Theme;
  palette: Palette;
  font: string;
  text: string;
  muted: string;
  paper: string;
  ground: Rgb;
  pick: string;
  line: string;
  density: number; // pixels of the screen to one of the page
};

/** What the page looks like where `root` stands. Sets `data-theme` first, which the stylesheet answers to. */
export function readLook(root: HTMLElement): Look {
  root.dataset.theme = themeBehind(root);
  const style = getComputedStyle(root);
  const color = (name: string) => style.getPropertyValue(`--mi-${name}`).trim();
  return {
    theme: root.dataset.theme as Theme,
    palette: PALETTES.find((name) => name === document.body.dataset.miPalette) ?? "cividis",
    font: style.fontFamily,
    text: color("text"),
    muted: color("muted"),
    paper: color("paper"),
    ground: parseCss(style.backgroundColor) ?? (root.dataset.theme === "dark" ? [21, 24, 28] : [255, 255, 255]),
    pick: color("pick"),
    line: color("line"),
    density: densityOf(root),
  };
}

/** Pixels of the screen to one of an element's own: more on fine screens, and where it is drawn enlarged. */
export const densityOf = (element: Element): number => (devicePixelRatio || 1) * (element.currentCSSZoom || 1);

/**
 * Call back with each new look: when the root comes onto the page (a notebook may render a view before that), and
 * whenever it is enlarged or the host changes its theme, at once and again after its stylesheet has had time to load.
 */
export function watchLook(root: HTMLElement, does: (look: Look) => void, signal: AbortSignal): void {
  let late = 0;
  let known = "";
  const changed = () => {
    const look = readLook(root);
    if (known !== (known = JSON.stringify(look))) does(look);
  };
  const soon = () => {
    changed();
    clearTimeout(late);
    late = window.setTimeout(changed, 400);
  };
  const observer = new MutationObserver(soon);
  for (const element of [document.documentElement, document.body])
    observer.observe(element, { attributes: true, attributeFilter: ["class", "style", "data-jp-theme-name", "data-theme", "data-mi-palette"] });
  observer.observe(root, { attributes: true, attributeFilter: ["data-presentation"] });
  for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"])
    matchMedia(query).addEventListener("change", soon, { signal });
  const arrival = new ResizeObserver(changed);
  arrival.observe(root);
  signal.addEventListener("abort", () => (observer.disconnect(), arrival.disconnect(), clearTimeout(late)));
}

function themeBehind(root: HTMLElement): Theme {
  for (let node: Element | null = root.parentElement ?? hostOf(root); node; node = node.parentElement ?? hostOf(node)) {
    const background = parseCss(getComputedStyle(node).backgroundColor);
    if (background) return luminance(background) < 0.3 ? "dark" : "light";
  }
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function hostOf(node: Element): Element | null {
  const home = node.getRootNode();
  return home instanceof ShadowRoot ? home.host : null;
}
