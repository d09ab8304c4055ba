// Bundles every widget into mi_widgets/static: one self-contained ES module per view, one stylesheet for all.
import { rmSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const WIDGETS = ["heatmap.ts", "attention.ts", "lens.ts", "attribution.ts", "workbench.ts", "brake.ts"];
const STYLE = "widget.css";
const LARGEST_SCRIPT = 150_000; // bytes: a saved notebook carries the script of every widget in it

const source = fileURLToPath(new URL("./src/", import.meta.url));
const target = fileURLToPath(new URL("../mi_widgets/static/", import.meta.url));

rmSync(target, { recursive: true, force: true }); // a view that was removed must not be shipped
const { metafile } = await build({
  entryPoints: [...WIDGETS, STYLE].map((file) => source + file),
  outdir: target,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  metafile: true,
});

for (const [path, { bytes }] of Object.entries(metafile.outputs)) {
  console.log(`${basename(path).padEnd(16)} ${(bytes / 1000).toFixed(1)} kB`);
  if (path.endsWith(".js") && bytes > LARGEST_SCRIPT) {
    throw new Error(`${basename(path)} has ${bytes} bytes; a widget's script may have ${LARGEST_SCRIPT}`);
  }
}
