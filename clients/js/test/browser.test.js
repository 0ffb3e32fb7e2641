// The client in real pages: CHROMIUM is the browser, NODE_PACKAGES has playwright-core.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { readFileSync } from "node:fs";
import { TRANSPORTS, problem, startHub, startProxy } from "./support.js";
import { run, runs } from "./table.js";

const { CHROMIUM, NODE_PACKAGES } = process.env;
const skip = CHROMIUM && NODE_PACKAGES ? false : "CHROMIUM and NODE_PACKAGES name no browser";
const PATIENCE = 20_000;
const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--ignore-certificate-errors"];

describe("in a browser", { skip, concurrency: 4, timeout: 100_000 }, () => {
  let browser;
  let hub;

  before(async () => {
    const { chromium } = createRequire(`${NODE_PACKAGES}/`)("playwright-core");
    [browser, hub] = await Promise.all([
      chromium.launch({ executablePath: CHROMIUM, args: ARGS }),
      startHub({ args: ["--tls-listen", "127.0.0.1:0"] }),
    ]);
  });
  after(async () => {
    await Promise.all([browser?.close(), hub?.stop()]);
  });

  /** A page of the hub's origin with nothing in it but the client. What it complains of fails the test. */
  async function openPage(t, url, context) {
    const own = context ?? await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await own.newPage();
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(String(error.stack)));
    t.after(async () => {
      await page.close();
      if (!context) await own.close();
      assert.deepEqual(complaints, []);
    });
    await page.goto(`${url}healthz`);
    await page.evaluate(async () => {
      const [{ EventCast }, { tabs }] = await Promise.all([import("/client/index.js"), import("/client/tabs.js")]);
      globalThis.seen = {};
      globalThis.clients = {};
      Object.assign(globalThis, { EventCast, tabs });
      globalThis.follow = (name, options) => {
        const client = clients[name] = new EventCast("/", { retry: 20, minRetry: 10, maxRetry: 100, attemptsPerMinute: 60_000, ...options });
        seen[name] = [];
        client.addEventListener("event", ({ data }) => seen[name].push(data));
        client.addEventListener("gap", ({ reason }) => seen[name].push(`gap ${reason}`));
        return new Promise((done, failed) => {
          client.addEventListener("open", () => done(client.transport), { once: true });
          client.addEventListener("error", ({ error }) => failed(error), { once: true });
        });
      };
      globalThis.followNatively = (name, channel) => {
        const source = clients[name] = new EventSource(`/events?format=json&channel=${encodeURIComponent(channel)}`);
        seen[name] = [];
        source.onmessage = ({ data }) => seen[name].push(JSON.parse(data).data);
        source.addEventListener("eventcast.gap", ({ data }) => seen[name].push(`gap ${JSON.parse(data).reason}`));
        return new Promise((done) => source.addEventListener("eventcast.open", done, { once: true })).then(() => {});
      };
    });
    return page;
  }

  describe("scenarios", { concurrency: 8 }, () => {
    let page;
    before(async () => {
      page = await browser.newPage();
      await page.goto(`${hub.url}healthz`);
      const source = readFileSync(new URL("user.js", import.meta.url), "utf8");
      await page.evaluate(async (source) => {
        const [{ user }, { EventCast }] = await Promise.all([
          import(URL.createObjectURL(new Blob([source], { type: "text/javascript" }))), import("/client/index.js")]);
        Object.assign(globalThis, { users: new Map(), user, EventCast });
      }, source);
    });

    let count = 0;
    const makeUser = async (...how) => {
      const name = (count += 1);
      await page.evaluate(([name, how]) => { users.set(name, user(EventCast, ...how)); }, [name, how.filter((one) => one !== undefined)]);
      return {
        look: () => page.evaluate((name) => users.get(name).look(), name),
        act: (action) => page.evaluate(([name, action]) => users.get(name).act(action), [name, action]),
        close: () => page.evaluate((name) => users.get(name).close(), name),
      };
    };
    for (const { scenario, transport, name } of runs) {
      test(name, { timeout: 60_000 }, () => run(scenario, transport, makeUser, { cors: true, hidesRedirects: true }));
    }
  });

  const publish = async (to, channel, data) => {
    const answer = await fetch(`${to.url}channels/${encodeURIComponent(channel)}`, { method: "POST", body: data });
    assert.equal(answer.status, 200);
  };

  /** Every one of the page's has seen exactly this. */
  const sees = async (page, names, wanted) => {
    try {
      await page.waitForFunction(([names, text]) => names.every((name) => JSON.stringify(seen[name]) === text), [names, JSON.stringify(wanted)], { timeout: PATIENCE });
    } catch (error) {
      assert.deepEqual(await page.evaluate(() => seen), Object.fromEntries(names.map((name) => [name, wanted])), error.message);
    }
  };

  const proxied = async (t, port, plan) => {
    const proxy = await startProxy(port, plan);
    t.after(() => proxy.stop());
    return proxy;
  };

  const hubOf = async (t) => {
    const own = await startHub();
    t.after(() => own.stop());
    return own;
  };

  test("EventSource and the client over every transport come back from everything, with each event once", async (t) => {
    let own = await hubOf(t);
    const proxy = await proxied(t, own.port);
    const page = await openPage(t, proxy.url);
    const all = ["EventSource", ...TRANSPORTS];
    const wanted = [];
    const publishes = async (...events) => {
      for (const event of events) await publish(own, "news", event);
      wanted.push(...events);
    };
    assert.deepEqual(await page.evaluate(async (transports) => {
      const opening = transports.map((name) => follow(name, { channels: "news", transports: name }));
      await followNatively("EventSource", "news");
      return Promise.all(opening);
    }, TRANSPORTS), TRANSPORTS);
    await publishes("one", "two");
    await sees(page, all, wanted);

    for (const round of [1, 2, 3]) {
      proxy.resetAll();
      await publishes(`while reset ${round}`, `after reset ${round}`);
      await sees(page, all, wanted);
    }

    await page.context().setOffline(true);
    await page.waitForFunction((names) => names.every((name) => clients[name].state === "paused"), TRANSPORTS);
    await publishes("while offline 1", "while offline 2");
    await page.context().setOffline(false);
    await publishes("online again");
    await sees(page, all, wanted);

    await own.stop("SIGKILL");
    proxy.resetAll();
    await page.waitForFunction((names) => names.every((name) => clients[name].state !== "open"), TRANSPORTS);
    own = await hubOf(t);
    wanted.push("gap epoch");
    await publishes("retained 1", "retained 2");
    proxy.port = own.port;
    await sees(page, all, wanted);
    await publishes("live again");
    await sees(page, all, wanted);
  });

  test("tokens are renewed over every transport", async (t) => {
    let valid = "first";
    const proxy = await proxied(t, hub.port, (head) => {
      if (!head.startsWith("GET /events") && !head.startsWith("HEAD /events")) return {};
      return head.includes(`Bearer ${valid}\r\n`) || head.includes(`access_token=${valid} `) || head.includes(`access_token=${valid}&`) ? {} : { answer: problem(401) };
    });
    const page = await openPage(t, proxy.url);
    await page.exposeFunction("freshToken", () => valid);
    await page.evaluate((transports) => {
      globalThis.refreshed = {};
      const token = (name) => {
        let cached = "expired";
        refreshed[name] = 0;
        return async ({ refresh }) => {
          if (refresh) {
            refreshed[name] += 1;
            cached = await freshToken();
          }
          return cached;
        };
      };
      return Promise.all(transports.map((name) =>
        follow(name, { channels: "secret", transports: [name, "poll"], tokenParameter: "access_token", token: token(name) })));
    }, TRANSPORTS);
    await publish(hub, "secret", "one");
    await sees(page, TRANSPORTS, ["one"]);
    valid = "second";
    proxy.cutAll();
    await publish(hub, "secret", "two");
    await sees(page, TRANSPORTS, ["one", "two"]);
    assert.deepEqual(await page.evaluate(() => Object.values(clients).map((client) => client.transport)), TRANSPORTS);
    assert.deepEqual(await page.evaluate(() => Object.values(refreshed)), [2, 2, 2, 2]);

    proxy.plan = () => ({ answer: problem(401) });
    proxy.cutAll();
    await page.waitForFunction(() => Object.values(clients).every(({ error }) => error?.status === 401), null, { timeout: PATIENCE });
  });

  test("where a proxy refuses upgrades the next transport is taken, and kept", async (t) => {
    let upgrades = 0;
    const proxy = await proxied(t, hub.port, (head) => {
      if (!/^upgrade:/im.test(head)) return {};
      upgrades += 1;
      return { answer: "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno" };
    });
    const page = await openPage(t, proxy.url);
    assert.equal(await page.evaluate(() => follow("any", { channels: "blocked" })), "sse");
    await publish(hub, "blocked", "one");
    await sees(page, ["any"], ["one"]);
    proxy.cutAll();
    await publish(hub, "blocked", "two");
    await sees(page, ["any"], ["one", "two"]);
    assert.equal(upgrades, 1);
  });

  test("what is blocked altogether but for plain answers is polled", async (t) => {
    const proxy = await proxied(t, hub.port, (head) => (/transport=(sse|stream)|^upgrade:/im.test(head) ? { silent: true } : {}));
    const page = await openPage(t, proxy.url);
    assert.equal(await page.evaluate(() => follow("any", { channels: "silent", connectTimeout: 300 })), "poll");
    await publish(hub, "silent", "one");
    await sees(page, ["any"], ["one"]);
  });

  const ten = Array.from({ length: 10 }, (_, n) => `ten ${n}`);

  test("ten EventSources stall on HTTP/1.1, where the client needs one connection", async (t) => {
    const proxy = await proxied(t, hub.port);
    const page = await openPage(t, proxy.url);
    await page.evaluate((names) => {
      globalThis.open = 0;
      for (const name of names) followNatively(name, name).then(() => { open += 1; });
    }, ten);
    await page.waitForFunction(() => open === 6);
    // A request of the page waits as well, however much comes over the six.
    await page.evaluate(() => {
      globalThis.answered = false;
      fetch("/healthz").then(() => { answered = true; });
    });
    const opened = await page.evaluate(() => Object.entries(clients).filter(([, { readyState }]) => readyState === 1).map(([name]) => name));
    for (const round of ["1", "2", "3"]) {
      for (const name of ten) await publish(hub, name, round);
      await page.waitForFunction(([names, round]) => names.every((name) => seen[name].at(-1) === round), [opened, round], { timeout: PATIENCE });
    }
    assert.deepEqual(await page.evaluate(() => [open, answered, Object.values(seen).filter(({ length }) => length > 0).length]), [6, false, 6]);
    await page.evaluate((name) => clients[name].close(), opened[0]);
    await page.waitForFunction(() => open === 7);
    await page.evaluate(() => Object.values(clients).forEach((source) => source.close()));
    await page.waitForFunction(() => answered);

    for (const transport of TRANSPORTS) {
      const before = proxy.heads.length;
      const one = `one over ${transport}`;
      await page.evaluate(([name, channels, transports]) => follow(name, { channels, transports }), [one, ten.slice(0, 5), transport]);
      for (const name of ten.slice(5)) await page.evaluate(([one, name]) => clients[one].subscribe(name).then(() => {}), [one, name]);
      for (const name of ten) await publish(hub, name, `${name} is here`);
      await sees(page, [one], ten.map((name) => `${name} is here`));
      assert.equal(await page.evaluate(() => fetch("/healthz").then(({ status }) => status)), 200);
      const subscriptions = proxy.heads.slice(before).filter((head) => head.startsWith("GET /events"));
      if (transport !== "poll") assert.equal(subscriptions.length, 1, subscriptions.join("\n"));
      await page.evaluate((one) => clients[one].close(), one);
    }
  });

  test("ten EventSources work on HTTP/2, and so does the client over every transport", async (t) => {
    const page = await openPage(t, hub.secure);
    await page.evaluate((names) => Promise.all(names.map((name) => followNatively(name, `h2 ${name}`))), ten);
    await page.evaluate(([channels, transports]) => Promise.all(transports.map((name) => follow(name, { channels, transports: name }))),
      [ten.map((name) => `h2 ${name}`), TRANSPORTS]);
    for (const name of ten) await publish(hub, `h2 ${name}`, name);
    for (const name of ten) await sees(page, [name], [name]);
    await sees(page, TRANSPORTS, ten);
    const protocols = await page.evaluate(() => performance.getEntriesByType("navigation").map(({ nextHopProtocol }) => nextHopProtocol));
    assert.deepEqual(protocols, ["h2"]);
  });

  test("in a worker, cut and resumed", async (t) => {
    const proxy = await proxied(t, hub.port);
    const page = await openPage(t, proxy.url);
    await page.evaluate((transports) => {
      const source = `
        const { EventCast } = await import("${location.origin}/client/index.js");
        for (const transports of ${JSON.stringify(transports)}) {
          const client = new EventCast("${location.origin}/events", { channels: "worker", transports, retry: 20, minRetry: 10 });
          client.addEventListener("event", ({ data }) => postMessage([transports, data]));
          client.addEventListener("open", () => postMessage([transports]), { once: true });
        }`;
      const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), { type: "module" });
      return new Promise((open, failed) => {
        let opened = 0;
        worker.onerror = failed;
        worker.onmessage = ({ data: [name, data] }) => {
          seen[name] ??= [];
          if (data !== undefined) seen[name].push(data);
          else if ((opened += 1) === transports.length) open();
        };
      });
    }, TRANSPORTS);
    await publish(hub, "worker", "one");
    await sees(page, TRANSPORTS, ["one"]);
    proxy.resetAll();
    await publish(hub, "worker", "two");
    await sees(page, TRANSPORTS, ["one", "two"]);
  });

  test("a page that is left for another keeps its place", async (t) => {
    const page = await openPage(t, hub.url);
    await page.evaluate(() => follow("any", { channels: "left" }));
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true })));
    await page.waitForFunction(() => clients.any.state === "paused");
    await publish(hub, "left", "meanwhile");
    await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
    await sees(page, ["any"], ["meanwhile"]);
  });

  test("tabs share one connection, each with its own channels and place", async (t) => {
    let own = await hubOf(t);
    const proxy = await proxied(t, own.port);
    const context = await browser.newContext();
    t.after(() => context.close());
    const pages = [];
    for (let n = 0; n < 3; n += 1) pages.push(await openPage(t, proxy.url, context));
    const wanted = pages.map(() => []);
    const lasting = () => proxy.heads.filter((head) => head.startsWith("GET /events") && !head.includes("transport=poll"));
    const publishes = async (channel, data, ...to) => {
      await publish(own, channel, data);
      to.forEach((n) => wanted[n].push(data));
    };
    const allSee = () => Promise.all(pages.map((page, n) => page.isClosed() || sees(page, ["tab"], wanted[n])));

    await publishes("all", "before", 2);
    for (const [n, channels] of [["all", "one"], ["all", "two"], ["all", "three/*"]].entries()) {
      const opening = pages[n].evaluate(([channels, start]) => follow("tab", { channels, start, transports: tabs() }), [channels.filter((one) => !one.endsWith("*")), n === 2 ? "earliest" : "live"]);
      assert.equal(await opening, "shared");
    }
    await publishes("all", "for all", 0, 1, 2);
    await publishes("one", "for the first", 0);
    await publishes("two", "for the second", 1);
    await allSee();
    assert.equal(lasting().length, 1, lasting().join("\n"));

    await pages[2].evaluate(() => clients.tab.subscribe("late").then(() => {}));
    await publishes("late", "for the third", 2);
    await allSee();
    assert.equal(lasting().length, 1, lasting().join("\n"));

    proxy.resetAll();
    await publishes("all", "while reset", 0, 1, 2);
    await publishes("two", "while reset, for the second", 1);
    await allSee();

    // The first one has the connection.
    await pages[0].close();
    await publishes("all", "without the first", 1, 2);
    await publishes("late", "for the third again", 2);
    await allSee();

    await own.stop("SIGKILL");
    proxy.resetAll();
    own = await hubOf(t);
    proxy.port = own.port;
    // Each is told of each channel that it lost.
    await pages[1].waitForFunction(() => seen.tab.filter((one) => one === "gap epoch").length >= 2, null, { timeout: PATIENCE });
    await pages[2].waitForFunction(() => seen.tab.filter((one) => one === "gap epoch").length >= 2, null, { timeout: PATIENCE });
    await publish(own, "all", "a new epoch");
    for (const page of pages.slice(1)) {
      await page.waitForFunction(() => seen.tab.filter((one) => one === "a new epoch").length === 1, null, { timeout: PATIENCE });
    }
  });
});
