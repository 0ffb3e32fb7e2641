// Drives a headless Chromium through the pages of the examples.
//
// PAGES          the examples and where they listen: {"ticker": "http://127.0.0.1:1234/", …}
// CHROMIUM       the browser
// NODE_PACKAGES  the folder whose node_modules has playwright-core

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import process from "node:process";

const { PAGES, CHROMIUM, NODE_PACKAGES } = process.env;
const { chromium } = createRequire(`${NODE_PACKAGES}/`)("playwright-core");
const urls = JSON.parse(PAGES);
const WAIT = 10_000;
const OVERALL = 60_000;

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const complaints = [];

/** A tab, in a browser of its own unless it shares one's cookies. */
async function open(url, context) {
  const page = await (context ?? (await browser.newContext())).newPage();
  page.on("pageerror", (error) => complaints.push(`${url}: ${error.message}`));
  page.setDefaultTimeout(WAIT);
  await page.goto(url);
  return page;
}

const texts = (page, selector) => page.locator(selector).allTextContents();
const until = (page, condition, argument) =>
  page.waitForFunction(condition, argument, { timeout: WAIT });

const checks = {
  /** A reload has all symbols at once, each with the newest price. */
  async ticker(url) {
    const page = await open(url);
    await until(page, () => document.querySelectorAll("#rows tr").length === 6);
    await page.reload();
    await until(page, () => document.querySelectorAll("#rows tr").length === 6);
    const symbols = await texts(page, "#rows td:first-child");
    assert.deepEqual(symbols, [...symbols].sort());
  },

  /** What a pause left out is told, and is no gap. */
  async dashboard(url) {
    const page = await open(url);
    const number = async (id) => Number((await page.textContent(`#${id}`)).replaceAll(",", ""));
    await until(page, () => document.querySelectorAll("figure").length === 8);
    await page.click("#toggle");
    const [published, left] = [await number("published"), await number("conflated")];
    await page.waitForTimeout(1000);
    await page.click("#toggle");
    const grows = (id, before) => until(page, ([id, before]) =>
      Number(document.getElementById(id).textContent.replaceAll(",", "")) > before, [id, before]);
    await grows("conflated", left);
    await grows("published", published);
    assert.equal(await number("gaps"), 0);
  },

  /** Both see what is said and who is there; a reload has it again, and who leaves is gone. */
  async chat(url) {
    const [ann, bob] = [await open(url), await open(url)];
    for (const [page, name] of [[ann, "ann"], [bob, "bob"]]) {
      await page.fill("#name", name);
      await page.press("#name", "Tab");
    }
    const people = (page, names) => until(page, (wanted) =>
      [...document.querySelectorAll("#people li")].map((one) => one.textContent).join() === wanted, names);
    await people(ann, "ann,bob");
    await bob.fill("#text", "hello <b>there</b>");
    await until(ann, () => document.getElementById("note").textContent === "bob is typing…");
    await bob.press("#text", "Enter");
    const said = ["bobhello <b>there</b>"];
    for (const page of [ann, bob]) {
      await page.locator("#messages li").first().waitFor();
      assert.deepEqual(await texts(page, "#messages li"), said);
    }
    await ann.reload();
    await ann.locator("#messages li").first().waitFor();
    assert.deepEqual(await texts(ann, "#messages li"), said);
    await bob.close();
    await people(ann, "ann");
  },

  /** One answer in two tabs, one of which is reloaded in the middle, and in a third that comes late. */
  async resumable_answer(url) {
    const first = await open(url);
    await first.click("form button");
    await until(first, () => document.getElementById("answer").textContent.length > 60);
    const second = await open(first.url(), first.context());
    await first.reload();
    await until(first, () => document.getElementById("answer").textContent.length > 100);
    const address = first.url();
    await first.close();
    const complete = (page) =>
      until(page, () => document.getElementById("state").textContent.endsWith("complete."));
    await complete(second);
    const late = await open(address);
    await complete(late);
    const answer = await second.textContent("#answer");
    assert.match(answer, /^An event .* at once\.$/);
    assert.equal(await late.textContent("#answer"), answer);
  },

  /** A login, and orders that both tabs of a user see. */
  async axum_app(url) {
    const page = await open(url);
    await page.click(".out button");
    await page.locator("#form").waitFor();
    const second = await open(url, page.context());
    await page.click("#form button");
    for (const tab of [page, second]) {
      await tab.locator("#orders li").first().waitFor();
      assert.match((await texts(tab, "#orders li"))[0], /^two apples/);
    }
  },
};

const overall = setTimeout(() => {
  console.error(`the pages took longer than ${OVERALL / 1000} s`);
  process.exit(1);
}, OVERALL);
try {
  for (const [name, check] of Object.entries(checks)) {
    await check(urls[name]);
    console.log(`the page of ${name} is as it should be`);
  }
  assert.deepEqual(complaints, [], "a page complained");
} catch (error) {
  console.error(error.stack);
  process.exitCode = 1;
} finally {
  clearTimeout(overall);
  await browser.close();
}
