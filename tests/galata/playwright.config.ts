// JupyterLab's own settings for Galata, with the server of this project's environment and the browser of CHROMIUM.
import base from "@jupyterlab/galata/lib/playwright-config";
import { defineConfig } from "@playwright/test";

export default defineConfig({
  ...base,
  testDir: ".",
  timeout: 240_000,
  use: {
    ...base.use,
    video: "off",
    launchOptions: {
      executablePath: process.env.CHROMIUM || undefined,
      args: ["--no-sandbox", "--disable-dev-shm-usage"],
    },
  },
  webServer: {
    command: "python -m jupyterlab --config jupyter_server_test_config.py --allow-root",
    url: "http://localhost:8888/lab",
    timeout: 120_000,
    reuseExistingServer: false,
  },
});
