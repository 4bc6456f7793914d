// Headless Chromium with a profile of its own.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

/** A browser whose waits take at most `ms`; `close` removes its profile too. */
export async function openBrowser(ms = 10_000) {
  const profile = await mkdtemp(join(tmpdir(), "interop-chromium-"));
  const browser = await chromium.launchPersistentContext(profile, {
    args: FLAGS,
    executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium",
    headless: true,
    timeout: 60_000,
  });
  browser.setDefaultTimeout(ms);
  browser.on("close", () => rm(profile, { force: true, maxRetries: 5, recursive: true }));
  return browser;
}
