// Small pictures on buttons, drawn in the colour of their words.

import { svg } from "./dom";

const PATHS = {
  table: "M2 3h12v10H2zM2 6.5h12M2 9.75h12M6.5 3v10",
  maximise: "M6 2H2v4M10 2h4v4M6 14H2v-4M10 14h4v-4",
  restore: "M2 6h4V2M14 6h-4V2M2 10h4v4M14 10h-4v4",
};

export type Sign = keyof typeof PATHS;

export function icon(sign: Sign): SVGSVGElement {
  const path = svg("path", { d: PATHS[sign], fill: "none", stroke: "currentColor", "stroke-width": 1.5 });
  return svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, path);
}
