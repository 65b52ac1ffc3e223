// What all scripts need: a browser, checks that are counted, and one line where one fails.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

export const TIMEOUT = 30_000; // For a busy machine; nothing here takes a second on a quiet one.

function findBrowser() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  for (const name of ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]) {
    for (const folder of [...folders, "/usr/bin"]) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // Not here; the next.
      }
    }
  }
  throw new Error("no Chromium in PATH: install one, or name it in CHROMIUM");
}

let held = 0;

/** How many checks have held. */
export const checks = () => held;

export function check(holds, what) {
  if (!holds) throw new Error(what);
  held += 1;
}

/** Starts it for one host, and with the only key that it is to trust, if any; `more` are arguments for it. */
export function launch(url, spki, more = []) {
  const args = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${url.hostname}`, ...more];
  if (spki) args.push(`--ignore-certificate-errors-spki-list=${spki}`);
  return chromium.launch({ executablePath: findBrowser(), headless: true, chromiumSandbox: false, args, timeout: TIMEOUT });
}

/** Tells in one line why a script has failed. */
export function fail(script, error) {
  const message = error.message.replace(/\x1b\[\d+m/g, "").trim().replace(/\s*\n\s*/g, " ");
  console.error(`${script}: FAILED: ${message}`);
  process.exitCode = 1;
}
