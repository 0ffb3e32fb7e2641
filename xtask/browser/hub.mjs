// Drives a headless Chromium through the hub's page.
//
// HUB_URL        where the hub listens
// CHROMIUM       the browser
// NODE_PACKAGES  the folder whose node_modules has playwright-core
// SCREENSHOT     where the last picture goes

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import net from "node:net";
import process from "node:process";

const { HUB_URL, CHROMIUM, NODE_PACKAGES, SCREENSHOT } = process.env;
const { chromium } = createRequire(`${NODE_PACKAGES}/`)("playwright-core");

const WAIT = 10_000;
const OVERALL = 90_000;
const CHANNEL = "browser-check";

const pane = (page, name) => {
  const root = page.locator(`#pane-${name}`);
  const part = (role) => root.locator(`[data-role="${role}"]`);
  const state = (wanted) =>
    page.waitForSelector(`#pane-${name}[data-state="${wanted}"]`, { timeout: WAIT });
  const rows = () =>
    part("rows").locator('li[data-kind="event"]').evaluateAll((rows) =>
      rows.map((row) => ({
        id: row.dataset.id,
        event: row.querySelector(".name").textContent,
        data: row.querySelector(".data").textContent,
        latency: row.querySelector(".ms").textContent,
      })));
  return {
    name,
    rows,
    state,
    repeated: async () => Number(await part("repeated").textContent()),
    gaps: () => part("rows").locator('li[data-kind="gap"]').count(),
    lastId: () => part("last-id").textContent(),
    /** Waits for an event with this payload, which need not be the last. */
    sees: (data) =>
      part("rows").locator("li .data").getByText(data, { exact: true }).first().waitFor({ timeout: WAIT }),
    cut: async () => {
      await part("cut").click();
      await state("cut");
    },
    resume: async () => {
      await part("resume").click();
      await state("open");
    },
  };
};

/** Publishes through the form and returns the id that the page shows. */
async function publish(page, text, { event = "", kind = "text" } = {}) {
  await page.fill("#text", text);
  await page.fill("#event", event);
  await page.selectOption("#kind", kind);
  await page.locator("#publish-note").evaluate((note) => { note.textContent = ""; });
  await page.click("#publish-one");
  await page.waitForFunction(
    () => document.getElementById("publish-note").textContent !== "", null, { timeout: WAIT });
  const said = await page.textContent("#publish-note");
  const id = /^Published as (\S+)$/.exec(said)?.[1];
  assert.ok(id, `publishing ${text}: the page says: ${said}`);
  return { id, event: event || "message", data: text };
}

/** A way to the hub that can be cut under the browser's feet. */
async function cuttable(target) {
  const { hostname, port } = new URL(target);
  const sockets = new Set();
  const server = net.createServer((near) => {
    const far = net.connect(Number(port), hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => { sockets.delete(from); to.destroy(); });
    }
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    cut: () => { for (const socket of sockets) socket.resetAndDestroy(); },
    close: () => server.close(),
  };
}

const plain = (rows) => rows.map(({ id, event, data }) => ({ id, event, data }));

/** All sides hold exactly these events, in this order. */
async function holds(panes, wanted, when) {
  for (const side of panes) {
    assert.deepEqual(plain(await side.rows()), wanted, `${side.name}, ${when}`);
    assert.equal(await side.repeated(), 0, `${side.name} got an event twice, ${when}`);
    assert.equal(await side.gaps(), 0, `${side.name} shows a gap, ${when}`);
    assert.equal(await side.lastId(), wanted.at(-1).id, `${side.name}'s last id, ${when}`);
  }
}

async function check(page, hub, complaints) {
  const sse = pane(page, "sse");
  const ws = pane(page, "ws");
  const client = pane(page, "client");
  const sides = [sse, ws, client];
  const all = [];
  const publishAll = async (...texts) => {
    for (const text of texts) all.push(await publish(page, text));
  };

  await page.goto(`${hub.url}?channel=${CHANNEL}`, { timeout: WAIT });
  for (const side of sides) await side.state("open");

  await publishAll("one", "two", "three");
  for (const side of sides) await side.sees("three");
  await holds(sides, all, "after three events");
  for (const side of sides) {
    for (const row of await side.rows()) assert.match(row.latency, /^\d+\.\d ms$/, side.name);
  }
  console.log("three events reached all sides with equal ids");

  for (const [side, other] of [[sse, ws], [ws, client], [client, sse]]) {
    const before = all.length;
    await side.cut();
    await publishAll(`${side.name} away 1`, `${side.name} away 2`);
    await other.sees(`${side.name} away 2`);
    assert.deepEqual(plain(await side.rows()), all.slice(0, before), `${side.name} while cut`);
    await side.resume();
    await side.sees(`${side.name} away 2`);
    // Events keep their order: whatever came twice would be before this one.
    await publishAll(`${side.name} is back`);
    for (const each of sides) await each.sees(`${side.name} is back`);
    await holds(sides, all, `after ${side.name} resumed`);
    const replayed = (await side.rows()).slice(before, before + 2).map((row) => row.latency);
    assert.deepEqual(replayed, ["replay", "replay"], `${side.name}'s missed events`);
    console.log(`${side.name} resumed with exactly what it had missed`);
  }

  all.push(await publish(page, "with a name", { event: "greeting" }));
  all.push(await publish(page, '{"n":[1,"zwei",null]}', { event: "greeting", kind: "json" }));
  all.push(await publish(page, '<img src=x onerror="throw 1"> & ünï ☃'));
  for (const side of sides) await side.sees(all.at(-1).data);
  await holds(sides, all, "after names, JSON and markup");
  assert.equal(await page.locator(".rows img").count(), 0, "a payload became markup");
  console.log("names, JSON and markup came through as published");

  assert.deepEqual(complaints, [], "the page complained");
  hub.cut();
  await publishAll("cut 1", "cut 2");
  for (const side of sides) await side.sees("cut 2");
  await publishAll("whole again");
  for (const side of sides) await side.sees("whole again");
  await holds(sides, all, "after the connections were reset");
  // The browser itself reports the resets.
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !/net::ERR_/.test(text)));
  console.log("all came back by themselves after a reset, with exactly what they had missed");

  await page.fill("#text", "many");
  await page.selectOption("#kind", "text");
  await page.fill("#event", "");
  await page.click("#publish-ten");
  for (const side of sides) await side.sees("many 10");
  const left = await sse.rows();
  for (const side of [ws, client]) assert.deepEqual(plain(await side.rows()), plain(left), `${side.name} after ten more`);
  assert.equal(left.length, all.length + 10);
  await page.waitForSelector('#agreement[data-agree="yes"]', { timeout: WAIT });

  // What the hub itself says: all that was published to this channel, to its three sessions.
  const line = page.locator('#admin [data-role="channels"] tr').filter({ hasText: CHANNEL });
  await line.locator("td:nth-child(3)").getByText(String(left.length), { exact: true }).waitFor({ timeout: WAIT });
  assert.deepEqual((await line.locator("td").allTextContents()).slice(0, 2), [CHANNEL, "3"]);
  assert.equal(await line.locator("td:last-child").textContent(), left.at(-1).id);
  const sessions = page.locator('#admin [data-role="sessions"] tr');
  await page.waitForFunction(
    () => document.querySelectorAll('#admin [data-role="sessions"] tr:not([data-behind])').length === 3,
    null, { timeout: WAIT });
  assert.deepEqual((await sessions.locator("td:nth-child(2)").allTextContents()).sort(), ["sse", "websocket", "websocket"]);
  console.log("the hub shows its channel, its sessions and its bounds");

  await page.fill("#text", "{ not JSON");
  await page.selectOption("#kind", "json");
  await page.click("#publish-one");
  await page.waitForSelector('#publish-note[data-level="error"]', { timeout: WAIT });
  await page.fill("#text", "hello");
  await page.selectOption("#kind", "text");
  await publish(page, "done");
  for (const side of sides) await side.sees("done");
  console.log("all sides agree on every event");
}

const overall = setTimeout(() => {
  console.error(`the browser check took longer than ${OVERALL / 1000} s`);
  process.exit(1);
}, OVERALL);

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const hub = await cuttable(HUB_URL);
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()}`);
  });
  try {
    await check(page, hub, complaints);
  } finally {
    await page.screenshot({ path: SCREENSHOT });
    console.log(`screenshot: ${SCREENSHOT}`);
    for (const complaint of complaints) console.error(complaint);
  }
  assert.deepEqual(complaints, [], "the page complained");
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  clearTimeout(overall);
  await browser.close();
  hub.close();
}
