// The table that every client passes, against a scripted server.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { EventCast } from "../src/index.js";
import { busiestMinute, simulate } from "./simulated.js";
import { startScript } from "./scripted.js";

const { version, scenarios } = JSON.parse(readFileSync(new URL("../../scenarios.json", import.meta.url), "utf8"));
assert.equal(version, 1);
const QUICK = { retry: 20, minRetry: 1, maxRetry: 1000, connectTimeout: 5000, attemptsPerMinute: 60_000 };
const LATE = 3000; // of a slow machine, in ms
const EARLY = 3; // of timers
const MEMBERS = new Set(["name", "over", "client", "server", "actions", "minutes", "expect"]);
const EXPECTED = new Set(["told", "outcome", "requests", "posts", "pauses", "lastId", "sentAtMost", "perMinute", "attempts"]);

const given = (value) => Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined));
const plain = (data) => (data instanceof Uint8Array ? [...data] : data);

/** Whether `seen` is what was expected, as far as that says. */
function fits(seen, expected) {
  if (expected === "open") return seen.open !== undefined;
  if (expected === "waiting") return seen.waiting === true;
  return Object.entries(expected).every(([name, value]) => {
    try {
      assert.deepEqual(seen[name], value);
      return true;
    } catch {
      return false;
    }
  });
}

function options({ tokens, defaults, ...rest }, transport) {
  const made = { ...(defaults ? {} : QUICK), ...rest };
  if (transport) made.transports = [transport];
  if (tokens) {
    let asked = 0;
    made.token = async () => {
      const token = tokens[Math.min(asked, tokens.length - 1)];
      asked += 1;
      if (token === null) throw new Error("no token");
      return token;
    };
  }
  return made;
}

/** Everything that the user is told, as the table has it. */
function listen(client, told) {
  client.addEventListener("open", ({ transport }) => told.push({ open: transport }));
  client.addEventListener("state", ({ state }) => { if (state === "waiting") told.push({ waiting: true }); });
  client.addEventListener("event", ({ kind, id, channel, name, data, encoding }) =>
    told.push(given({ [kind]: plain(data), id, channel, name, encoding })));
  client.addEventListener("gap", ({ id, channel, reason, missed }) => told.push(given({ gap: reason, id, channel, missed })));
  client.addEventListener("completed", ({ channel, outcome, reason }) => told.push(given({ completed: outcome, channel, reason })));
  client.addEventListener("conflated", ({ channel, count }) => told.push({ conflated: count, channel }));
}

async function act(client, action) {
  const { subscribe, unsubscribe, publish, request, start, data, name, key, answer, error } = action;
  let acting;
  if (subscribe) acting = client.subscribe(subscribe, { start });
  else if (unsubscribe) acting = client.unsubscribe(unsubscribe);
  else if (publish) acting = client.publish(publish, data, { name, idempotencyKey: key });
  else acting = client.request(request, data);
  if (error) {
    const code = { no_answer: "unreachable" }[error.code] ?? error.code;
    return assert.rejects(acting, { code });
  }
  const said = await acting;
  if (answer.channels) assert.deepEqual(said?.channels ?? client.channels, answer.channels);
  if (answer.history) assert.deepEqual(said.history.flatMap(({ events }) => events.map((event) => event.data)), answer.history);
  if (answer.id) assert.equal(said.id, answer.id);
  if ("data" in answer) assert.deepEqual(said, answer.data);
}

async function until(condition, what) {
  const limit = performance.now() + 15_000;
  while (!condition()) {
    if (performance.now() > limit) throw new Error(`in vain: ${what()}`);
    await sleep(1);
  }
}

async function run(scenario, transport) {
  const { expect, actions = [] } = scenario;
  const server = await startScript(scenario.server);
  const client = new EventCast(server.url, options(scenario.client, transport));
  try {
    const told = [];
    const polls = transport === "poll";
    const seen = () => (polls ? told.filter((one) => !("open" in one || one.waiting)) : told);
    const wanted = expect.told && (polls ? expect.told.filter((one) => one !== "open" && one !== "waiting") : expect.told);
    listen(client, told);
    const acted = (async () => {
      for (const action of actions) {
        const { after } = action;
        if (after) await until(() => told.some((one) => fits(one, after)), () => `${JSON.stringify(after)} in ${JSON.stringify(told)}`);
        await act(client, action);
      }
    })();
    let done = false;
    acted.then(() => { done = true; }, () => { done = true; });
    const outcome = () => client.reason;
    const enough = () => server.problems.length > 0 || ((expect.outcome ? outcome() : (outcome() || seen().length >= wanted.length))
      && server.requests.length >= (expect.requests?.length ?? 0) && server.posts.length >= (expect.posts?.length ?? 0) && done);
    await until(enough, () => JSON.stringify({ told, requests: server.requests.map(({ kind, id }) => [kind, id]), reason: client.reason, state: client.state, error: String(client.error) }));
    await acted;
    if (!expect.outcome) await sleep(5);

    assert.deepEqual(server.problems, []);
    if (wanted) {
      assert.equal(seen().length, wanted.length, JSON.stringify(told));
      wanted.forEach((one, n) => assert.ok(fits(seen()[n], one), `${n}: ${JSON.stringify(seen()[n])} is not ${JSON.stringify(one)}`));
    }
    if (expect.outcome?.error) {
      assert.equal(client.reason, "error", String(client.error));
      const { status, detail, code } = expect.outcome.error;
      if (status) assert.equal(client.error.status, status);
      if (detail) assert.equal(client.error.message, detail);
      if (code) assert.equal(client.error.code, code);
    } else {
      assert.equal(client.reason, expect.outcome, String(client.error?.stack));
    }
    if (expect.requests) {
      assert.equal(server.requests.length, expect.requests.length);
      expect.requests.forEach((one, n) => {
        const { kind, id, channels, query, headers } = server.requests[n];
        if (one.transport) assert.equal(kind, one.transport);
        if ("id" in one) assert.equal(id, one.id, `request ${n}`);
        if (one.channels) assert.deepEqual([...channels].sort(), [...one.channels].sort());
        for (const [name, values] of Object.entries(one.query ?? {})) assert.deepEqual(query[name], values);
        for (const [name, value] of Object.entries(one.headers ?? {})) assert.equal(headers[name], value);
      });
    }
    expect.posts?.forEach((one, n) => {
      const { path, headers, body } = server.posts[n];
      assert.deepEqual([path, body], [one.path, one.body]);
      for (const [name, value] of Object.entries(one.headers ?? {})) assert.equal(headers[name], value);
    });
    if (!polls) expect.pauses?.forEach(([least, most], n) => {
      const pause = server.requests[n + 1].at - server.requests[n].at;
      assert.ok(pause >= least - EARLY && pause <= most + LATE, `pause ${n} is ${pause} ms`);
    });
    if (expect.lastId) assert.equal(client.lastEventId, expect.lastId);
    if (expect.sentAtMost) assert.ok(server.sent <= expect.sentAtMost, `${server.sent} bytes`);
  } finally {
    client.close();
    server.stop();
  }
}

describe("scenarios", { concurrency: 16 }, () => {
  for (const scenario of scenarios) {
    for (const name of Object.keys(scenario)) assert.ok(MEMBERS.has(name), name);
    for (const name of Object.keys(scenario.expect)) assert.ok(EXPECTED.has(name), name);
    if (scenario.minutes) continue;
    for (const transport of scenario.over ?? [undefined]) {
      test(`${scenario.name}${transport ? ` (${transport})` : ""}`, { timeout: 30_000 }, () => run(scenario, transport));
    }
  }
});

for (const scenario of scenarios.filter(({ minutes }) => minutes)) {
  test(scenario.name, { timeout: 30_000 }, async (t) => {
    const attempts = await simulate(t, scenario, (given) => new EventCast("http://test/events", { ...options(scenario.client), ...given }));
    const { perMinute, attempts: [least, most] } = scenario.expect;
    const busiest = busiestMinute(attempts);
    t.diagnostic(`${attempts.length} in ${scenario.minutes} minutes, ${busiest} in the busiest`);
    assert.ok(busiest <= perMinute, `${busiest} in a minute`);
    assert.ok(attempts.length >= least && attempts.length <= most, `${attempts.length} in all`);
  });
}
