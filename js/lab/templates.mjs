// Gathers the project's notebooks into js/lab/templates.json, which the extension carries: title, first words, content.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const notebooks = fileURLToPath(new URL("../../notebooks/", import.meta.url));
const target = fileURLToPath(new URL("./templates.json", import.meta.url));
const FIRST = ["quickstart", "workbench"]; // then the others by name

const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
const names = readdirSync(notebooks)
  .filter((file) => file.endsWith(".ipynb"))
  .map((file) => basename(file, ".ipynb"))
  .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));

function template(name) {
  const content = JSON.parse(readFileSync(join(notebooks, `${name}.ipynb`), "utf8"));
  const [heading, about = ""] = [content.cells[0].source].flat().join("").split("\n\n");
  return { name, title: heading.replace(/^#+\s*/, ""), about: about.replaceAll(/[*_`]/g, ""), content };
}

writeFileSync(target, JSON.stringify(names.map(template)));
