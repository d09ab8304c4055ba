// The gallery: every notebook of the project as a card in the launcher and a command in the palette. A card opens a copy.
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ICommandPalette, showErrorMessage } from "@jupyterlab/apputils";
import { PathExt } from "@jupyterlab/coreutils";
import { ILauncher } from "@jupyterlab/launcher";
import type { Contents } from "@jupyterlab/services";
import { icon } from "./icon";
import templates from "./templates.json";

const CATEGORY = "mi_widgets";
type Template = (typeof templates)[number];

export const gallery: JupyterFrontEndPlugin<void> = {
  id: "mi-widgets:gallery",
  description: "Opens copies of the project's notebooks from the launcher and the command palette.",
  autoStart: true,
  optional: [ILauncher, ICommandPalette],
  activate: (app: JupyterFrontEnd, launcher: ILauncher | null, palette: ICommandPalette | null) => {
    templates.forEach((template, rank) => {
      const command = `mi-widgets:open-${template.name}`;
      app.commands.addCommand(command, {
        label: ({ isPalette }) => `${isPalette ? "New notebook: " : ""}${template.name} · ${template.title}`,
        caption: template.about,
        icon,
        execute: (args) => open(app, template, typeof args.cwd === "string" ? args.cwd : ""),
      });
      launcher?.add({ command, category: CATEGORY, rank });
      palette?.addItem({ command, category: CATEGORY, rank, args: { isPalette: true } });
    });
  },
};

/** Save a copy into a folder, under a name that is free there, and open it. */
async function open(app: JupyterFrontEnd, { name, content }: Template, folder: string): Promise<void> {
  const { contents } = app.serviceManager;
  try {
    const path = await freePath(contents, folder, name);
    await contents.save(path, { type: "notebook", format: "json", content });
    await app.commands.execute("docmanager:open", { path, factory: "Notebook" });
  } catch (error) {
    await showErrorMessage(`The notebook ${name} could not be opened`, error instanceof Error ? error : String(error));
  }
}

/** NAME.ipynb, or NAME-1.ipynb and so on where that is taken: nobody's work is written over. */
async function freePath(contents: Contents.IManager, folder: string, name: string): Promise<string> {
  const taken = new Set(((await contents.get(folder)).content as Contents.IModel[]).map((file) => file.name));
  for (let number = 0; ; number++) {
    const file = number ? `${name}-${number}.ipynb` : `${name}.ipynb`;
    if (!taken.has(file)) return PathExt.join(folder, file);
  }
}
