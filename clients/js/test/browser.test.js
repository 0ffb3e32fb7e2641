// The client in a real page: CHROMIUM is the browser, NODE_PACKAGES has playwright-core.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { TRANSPORTS, startHub, startProxy } from "./support.js";

const { CHROMIUM, NODE_PACKAGES } = process.env;
const skip = CHROMIUM && NODE_PACKAGES ? false : "CHROMIUM and NODE_PACKAGES name no browser";

test("in a browser, cut and offline, over every transport", { skip, timeout: 90_000 }, async (t) => {
  const { chromium } = createRequire(`${NODE_PACKAGES}/`)("playwright-core");
  const { build } = await import("esbuild");
  const { outputFiles: [bundle] } = await build({
    entryPoints: [fileURLToPath(new URL("../src/index.js", import.meta.url))],
    bundle: true, minify: true, format: "iife", globalName: "eventcast", target: "es2022", write: false,
  });
  const hub = await startHub();
  t.after(() => hub.stop());
  const proxy = await startProxy(hub.port);
  t.after(() => proxy.stop());
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  t.after(() => browser.close());
  const context = await browser.newContext();
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(proxy.url);
  await page.addScriptTag({ content: bundle.text });

  for (const transport of TRANSPORTS) {
    const channel = `page/${transport}`;
    const publish = (data) => fetch(`${hub.url}channels/${encodeURIComponent(channel)}`, { method: "POST", body: data });
    const sees = (wanted) => page.waitForFunction((text) => seen.join() === text, wanted.join(), { timeout: 20_000 });
    await page.evaluate(([channels, transports]) => {
      globalThis.seen = [];
      globalThis.client = new eventcast.EventCast(undefined, { channels, transports, retry: 10, maxRetry: 50 });
      client.addEventListener("event", ({ data }) => seen.push(data));
      client.addEventListener("gap", () => seen.push("gap"));
      return new Promise((open) => client.addEventListener("open", open, { once: true })).then(() => {});
    }, [channel, transport]);
    assert.equal(await page.evaluate(() => client.transport), transport);
    await page.evaluate((name) => client.publish(name, "one"), channel);
    await sees(["one"]);
    proxy.cutAll();
    await publish("two");
    await sees(["one", "two"]);
    await context.setOffline(true);
    await page.waitForFunction(() => client.state === "paused");
    await publish("three");
    await context.setOffline(false);
    await sees(["one", "two", "three"]);
    await page.evaluate(() => client.close());
  }
  assert.deepEqual(complaints, []);
});
