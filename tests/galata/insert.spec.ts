// A view in JupyterLab as Galata drives it: a head is picked by key, run, and its code goes into the cell below.
import { expect, test } from "@jupyterlab/galata";

const CELL = [
  "import mi_widgets as mi",
  "from tests import tiny",
  "model = mi.Model(tiny.hugging_face('llama'), tiny.tokenizer(), 'tiny llama')",
  "mi.AttentionView(model, tiny.CLEAN, directions={})",
].join("\n");

test("pick, run, insert", async ({ page }) => {
  await page.notebook.createNew("smoke.ipynb");
  await page.notebook.setCell(0, "code", CELL);
  await page.notebook.runCell(0);
  const view = page.getByTestId("mi-view");
  await expect(view).toBeVisible({ timeout: 120_000 });
  await view.getByTestId("grid-heads").press("Enter");
  await view.getByTestId("run").click();
  await expect(view.getByTestId("result")).toBeVisible({ timeout: 60_000 });
  await view.getByTestId("code").click();
  await view.getByTestId("insert-code").click();
  await expect(page.locator(".jp-Notebook .jp-Cell")).toHaveCount(3); // the one below was there when the first had run
  expect(await page.notebook.getCellTextInput(1)).toContain("run_with_hooks");
});
