// The project's sign: four cells of a heatmap, of which one is picked.
import { LabIcon } from "@jupyterlab/ui-components";

const cell = (x: number, y: number, color: string) => `<rect x="${x}" y="${y}" width="8" height="8" rx="1.5" fill="${color}"/>`;

export const icon = new LabIcon({
  name: "mi-widgets:icon",
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16">${cell(3, 3, "#8ab8ea")}${cell(13, 3, "#1c63b7")}${cell(3, 13, "#d98a4b")}${cell(13, 13, "#b3137c")}</svg>`,
});
