// Takes the picture of the hub's page that the README shows: a side was cut, missed events, and
// resumed.
//
// HUB_URL        where the hub listens
// CHROMIUM       the browser
// NODE_PACKAGES  the folder whose node_modules has playwright-core
// PICTURE        where the picture goes

import { createRequire } from "node:module";
import process from "node:process";

const { HUB_URL, CHROMIUM, NODE_PACKAGES, PICTURE } = process.env;
const { chromium } = createRequire(`${NODE_PACKAGES}/`)("playwright-core");
const WAIT = 10_000;

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
try {
  const page = await browser.newPage({ viewport: { width: 1400, height: 860 }, colorScheme: "light" });
  await page.goto(HUB_URL, { timeout: WAIT });
  const state = (side, wanted) =>
    page.waitForSelector(`#pane-${side}[data-state="${wanted}"]`, { timeout: WAIT });
  const press = (side, role) => page.click(`#pane-${side} [data-role="${role}"]`);
  const publish = async (text, event = "") => {
    await page.fill("#text", text);
    await page.fill("#event", event);
    await page.click("#publish-one");
    await page.locator("#pane-sse .data").getByText(text, { exact: true }).first().waitFor({ timeout: WAIT });
  };
  await Promise.all([state("sse", "open"), state("ws", "open")]);
  await publish("hello");
  await publish("apples", "created");
  await press("ws", "cut");
  await state("ws", "cut");
  await publish("while it was away");
  await publish("this too", "paid");
  await press("ws", "resume");
  await page.locator("#pane-ws .data").getByText("this too").first().waitFor({ timeout: WAIT });
  await publish("and on");
  await page.locator("#pane-ws .data").getByText("and on").first().waitFor({ timeout: WAIT });
  await page.locator('#admin [data-role="channels"] td').getByText("5", { exact: true }).waitFor({ timeout: WAIT });
  // The rows' colour fades.
  await page.emulateMedia({ reducedMotion: "reduce", colorScheme: "light" });
  await page.screenshot({ path: PICTURE });
} finally {
  await browser.close();
}
