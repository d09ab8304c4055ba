// The settings of js/lab/schema/settings.json: what views read stands on the page's body, the rest in `limits`.
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ISettingRegistry } from "@jupyterlab/settingregistry";
import { limits } from "./limits";

const ID = "mi-widgets:settings"; // of the plugin and of its schema

export const settings: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: "Palette, presentation and limits.",
  autoStart: true,
  optional: [ISettingRegistry],
  activate: async (_app: JupyterFrontEnd, registry: ISettingRegistry | null) => {
    const chosen = await registry?.load(ID);
    chosen?.changed.connect(apply);
    if (chosen) apply(chosen);
  },
};

/** The registry has checked them against the schema. */
function apply({ composite }: ISettingRegistry.ISettings): void {
  document.body.dataset.miPalette = String(composite.palette);
  document.body.dataset.miPresentation = String(composite.presentation);
  limits.mostRuns = composite.mostRuns as number;
  limits.largestCode = composite.largestCode as number;
}
