#!/usr/bin/env node
// The page of `wsproto serve` in a real browser: headless Chromium loads it, uses it, and looks at what it shows.
//
//   node page.mjs --url http://127.0.0.1:PORT/ --out DIR [--spki PIN] [--subprotocol NAME]
//
// DIR gets screenshots, light and dark, wide and narrow. PIN is for an https URL whose certificate nobody signed: the
// base64 of the SHA-256 of its public key (SubjectPublicKeyInfo). NAME is a subprotocol that the server speaks. CHROMIUM
// names the browser; otherwise the first of chromium, chromium-browser, google-chrome in PATH. Exit status: 0 all checks
// passed, 1 one failed or could not run.
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { TIMEOUT, check, checks, fail, launch } from "./browser.mjs";

const MIB = 1024 * 1024;
const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };

/** Opens the page, and notes everything that it must not do. */
async function open(browser, url, complaints) {
  const context = await browser.newContext({ viewport: DESKTOP, colorScheme: "light" });
  context.setDefaultTimeout(TIMEOUT);
  const page = await context.newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("requestfailed", (request) => complaints.push(`failed: ${request.url()}`));
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {}); // The page may be gone; that it asked is noted.
  });
  const isOurs = (address) => ["data:", "blob:"].includes(address.protocol) || address.host === url.host;
  page.on("request", (request) => {
    if (!isOurs(new URL(request.url()))) complaints.push(`request to elsewhere: ${request.url()}`);
  });
  page.on("websocket", (socket) => {
    if (!isOurs(new URL(socket.url()))) complaints.push(`WebSocket to elsewhere: ${socket.url()}`);
  });
  const response = await page.goto(url.href);
  check(response.status() === 200, `GET ${url.href} gave ${response.status()}`);
  check((response.headers()["content-type"] ?? "").startsWith("text/html"), "the page is not text/html");
  const policy = response.headers()["content-security-policy"] ?? "";
  check(policy.includes("default-src 'none'"), `the page's Content-Security-Policy is '${policy}'`);
  return page;
}

const text = (page, id) => page.locator(`#${id}`).textContent();
const isState = (page, state) => page.locator(`#state[data-state=${state}]`).waitFor();

/** The server tells the version of HTTP, after the WebSocket has opened. Browsers take HTTP/2 with TLS alone. */
async function isVersion(page, url) {
  const version = page.locator("#http").filter({ hasText: "HTTP/" });
  await version.waitFor();
  const shown = await version.textContent();
  check(shown === (url.protocol === "https:" ? "HTTP/2" : "HTTP/1.1"), `the version of HTTP is shown as '${shown}'`);
}

async function negotiation(page, url) {
  await isState(page, "open");
  const transport = await text(page, "transport");
  const scheme = url.protocol === "https:" ? "wss, encrypted" : "ws, not encrypted";
  check(transport.startsWith(scheme), `the transport is shown as '${transport}'`);
  const extensions = await text(page, "extensions");
  check(extensions.includes("permessage-deflate"), `the extensions are shown as '${extensions}'`);
  await isVersion(page, url);
  check((await text(page, "protocol")) === "none", "a subprotocol is shown that nobody asked for");
  check((await text(page, "binary-type")) === "arraybuffer", "the binary type is not shown");
}

/** Sends what a person would type, and waits until the log has it twice: as it went and as it came back. */
async function say(page, words) {
  await page.locator("#text").fill(words);
  await page.keyboard.press("Enter");
  const back = page.locator("#log [data-kind=received]").filter({ hasText: words });
  await back.first().waitFor();
  check((await back.first().textContent()).includes("✓ identical"), `'${words}' came back as something else`);
  check((await page.locator("#log [data-kind=sent]").filter({ hasText: words }).count()) >= 1, `the log lacks '${words}' as sent`);
}

async function texts(page) {
  await say(page, "Grüße, 世界 👋");
  const markup = "<img src=x onerror=alert(1)><script>alert(2)</script>";
  await say(page, markup);
  check((await page.locator("#log img, #log script").count()) === 0, "the log took a peer's text for markup");
  await page.locator("#binary").check();
  await page.locator("#text").fill("bytes");
  await page.locator("#send").click();
  await page.locator("#log [data-kind=received]").filter({ hasText: "62 79 74 65 73" }).waitFor();
  await page.locator("#binary").uncheck();
}

/** Sends a file that does not compress and has no period, so that no piece is like another. */
async function file(page, name, size) {
  const buffer = Buffer.alloc(size);
  for (let i = 0, x = 1; i + 4 <= size; i += 4) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    buffer.writeUInt32LE((x ^ (x >>> 15)) >>> 0, i);
  }
  await page.locator("#file").setInputFiles({ name, mimeType: "application/octet-stream", buffer });
  const item = page.locator("#log [data-kind=received]").filter({ hasText: name });
  await item.waitFor();
  const result = await page.locator("#transfer").getAttribute("data-result");
  check(result === "identical", `${name} (${size} bytes): ${result}`);
}

async function dropped(page) {
  const files = await page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["let go over the page"], "dropped.txt"));
    return transfer;
  });
  await page.dispatchEvent("body", "drop", { dataTransfer: files });
  await page.locator("#log [data-kind=received]").filter({ hasText: "dropped.txt" }).filter({ hasText: "✓ identical" }).waitFor();
}

async function plots(page) {
  const samples = async (id) => Number(await page.locator(`#${id}`).getAttribute("data-samples"));
  await page.waitForFunction(() => Number(document.getElementById("rtt-plot").dataset.samples) >= 4);
  check(/^\d+(\.\d+)? m?s$/.test(await text(page, "rtt")), `the round-trip time is shown as '${await text(page, "rtt")}'`);
  check((await page.locator("#rtt-plot .curve").getAttribute("d")).includes("L"), "the round-trip time has no curve");
  check((await samples("buffered-plot")) >= 4, "the plot of waiting bytes has no samples");
  check(/^\d.* B$|^\d.* [KM]iB$/.test(await text(page, "buffered-max")), "the waiting bytes have no maximum");
  const [lost, differing] = [await text(page, "lost"), await text(page, "differing")];
  // The message that was too big, and a probe that was under way when the connection ended.
  check(Number(lost) >= 1 && differing === "0", `lost ${lost}, differing ${differing}`);
  check(!(await text(page, "log")).includes("ping "), "the probes flood the log");
}

async function closing(page) {
  await page.locator("#code").fill("1005");
  await page.locator("#disconnect").click();
  check((await text(page, "problem")).includes("1000"), "a code that no page may send is not refused");
  await page.locator("#code").fill("4001");
  await page.locator("#reason").fill("seen enough");
  await page.locator("#disconnect").click();
  await isState(page, "closed");
  const shown = await text(page, "closed");
  check(shown.includes("4001") && shown.includes("seen enough"), `the end is shown as '${shown}'`);
  check((await page.locator("#closed").getAttribute("data-clean")) === "true", `the close was not clean: '${shown}'`);
  await page.locator("#code").fill("1000");
  await page.locator("#reason").fill("");
}

async function reconnecting(page, url, subprotocol) {
  await page.locator("#subprotocols").fill(subprotocol ? `unheard-of.example, ${subprotocol}` : "");
  await page.locator("#path").fill("/chat?room=1");
  await page.locator("#connect").click();
  await isState(page, "open");
  await page.locator("#log [data-kind=open]").filter({ hasText: `${url.host}/chat?room=1&http-version` }).waitFor();
  const shown = await text(page, "protocol");
  check(shown === (subprotocol ?? "none"), `the subprotocol is shown as '${shown}'`);
  await isVersion(page, url);
  await say(page, "Back again");
}

/** The server's own close: a message beyond its limit. */
async function tooBig(page) {
  await page.locator("#text").fill("x".repeat(MIB + 1));
  await page.locator("#send").click();
  await page.locator("#closed[data-code]").filter({ hasText: /\d{4}/ }).waitFor();
  const shown = await text(page, "closed");
  check(/^Closed: 1009 message too big .* · clean · \d+ not back$/.test(shown), `a message that is too big ended as '${shown}'`);
  await page.locator("#connect").click();
  await isState(page, "open");
}

const isTooWide = (page) => page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).map(Number));

async function screenshots(page, out, scheme) {
  await page.setViewportSize({ width: 320, height: 640 });
  check(!(await isTooWide(page)), "at 320 pixels the page scrolls sideways");
  for (const [name, viewport] of Object.entries({ desktop: DESKTOP, mobile: PHONE })) {
    await page.setViewportSize(viewport);
    check(!(await isTooWide(page)), `at ${viewport.width} pixels the page scrolls sideways`);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      const isLight = (await background(page)).every((value) => value > 127);
      check(isLight === (colorScheme === "light"), `who prefers ${colorScheme} gets the other`);
      await page.evaluate(() => document.activeElement?.blur());
      await page.waitForTimeout(250); // The plots are drawn ten times a second.
      await page.screenshot({ path: join(out, `page-${scheme}-${name}-${colorScheme}.png`), fullPage: true });
    }
  }
}

/** What the page must do, in this order. */
function steps(page, url, scheme, { out, subprotocol }) {
  return [
    ["shows what was negotiated", () => negotiation(page, url)],
    ["sends text", () => texts(page)],
    ["closes with a code and a reason", () => closing(page)],
    ["connects again", () => reconnecting(page, url, subprotocol)],
    ["shows the server's close", () => tooBig(page)],
    ["sends a file of 3 MiB", () => file(page, "three.bin", 3 * MIB)],
    ["sends a file of no bytes", () => file(page, "empty.bin", 0)],
    ["takes a file that is dropped", () => dropped(page)],
    ["plots", () => plots(page)],
    ["fits wide and narrow windows", () => screenshots(page, out, scheme)],
  ];
}

async function main() {
  const string = { type: "string" };
  const { values } = parseArgs({ options: { url: string, out: string, spki: string, subprotocol: string } });
  if (!values.url || !values.out) throw new Error("usage: page.mjs --url URL --out DIR [--spki PIN] [--subprotocol NAME]");
  const url = new URL(values.url);
  const scheme = url.protocol === "https:" ? "wss" : "ws";
  mkdirSync(values.out, { recursive: true });
  const failure = join(values.out, `page-${scheme}-failed.png`);
  rmSync(failure, { force: true });
  const browser = await launch(url, values.spki);
  const version = browser.version();
  const complaints = [];
  let page;
  let step = "loads";
  try {
    page = await open(browser, url, complaints);
    for (const [name, work] of steps(page, url, scheme, values)) {
      step = name;
      await work();
      check(complaints.length === 0, complaints.join("; "));
    }
  } catch (error) {
    await page?.screenshot({ path: failure, fullPage: true }).catch(() => {});
    const seen = complaints.length ? ` (the browser's complaints: ${complaints.join("; ")})` : "";
    throw new Error(`Chromium ${version}, ${scheme}, "${step}": ${error.message}${seen}`);
  } finally {
    await browser.close();
  }
  console.log(`page: ok: Chromium ${version}, ${scheme}: ${checks()} checks; screenshots in ${values.out}`);
}

main().catch((error) => fail("page", error));
