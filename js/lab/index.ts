// The JupyterLab extension: code below its widget, the gallery of notebooks, the side panel, the settings.
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { INotebookTracker } from "@jupyterlab/notebook";
import { codeFrom, INSERT_CODE } from "./request";
import { gallery } from "./gallery";
import { panel } from "./panel";
import { settings } from "./settings";
import { cellAround, insertBelow } from "./place";

const insertCode: JupyterFrontEndPlugin<void> = {
  id: "mi-widgets:insert-code",
  description: "Inserts the code of a selection as a cell below the widget it was made in.",
  autoStart: true,
  requires: [INotebookTracker],
  activate: (_app: JupyterFrontEnd, notebooks: INotebookTracker) => {
    document.addEventListener(INSERT_CODE, (event) => {
      const code = codeFrom(event);
      const place = code === null ? null : cellAround(event.target, notebooks);
      if (code !== null && place !== null && insertBelow(place, code)) {
        event.preventDefault(); // tells the widget that the code has arrived
      }
    });
  },
};

export default [insertCode, gallery, panel, settings];
