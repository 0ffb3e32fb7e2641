// One run of a scenario of `clients/scenarios.json`, whatever runs the client.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { startScript } from "./scripted.js";

export const { version, scenarios } = JSON.parse(readFileSync(new URL("../../scenarios.json", import.meta.url), "utf8"));
assert.equal(version, 1);
const LATE = 3000; // of a slow machine, in ms
const EARLY = 3; // of timers
const MEMBERS = new Set(["name", "over", "client", "server", "actions", "minutes", "expect"]);
const EXPECTED = new Set(["told", "outcome", "requests", "posts", "pauses", "lastId", "sentAtMost", "perMinute", "attempts"]);

/** Whether `seen` is what was expected, as far as that says. */
function fits(seen, expected) {
  if (expected === "open") return seen.open !== undefined;
  if (expected === "waiting") return seen.waiting === true;
  if (expected === "stalled" || expected === "recovered") return seen[expected] === true;
  return Object.entries(expected).every(([name, value]) => {
    try {
      assert.deepEqual(seen[name], value);
      return true;
    } catch {
      return false;
    }
  });
}

async function until(condition, what) {
  const limit = performance.now() + 30_000;
  while (!(await condition())) {
    if (performance.now() > limit) throw new Error(`in vain: ${what()}`);
    await sleep(1);
  }
}

/** `makeUser(url, client, transport)` is a user as in `user.js`; what it does may be promised.
 * `hidesRedirects`: there is no status of a redirect. */
export async function run(scenario, transport, makeUser, { hidesRedirects, ...how } = {}) {
  const { expect, actions = [] } = scenario;
  const server = await startScript(scenario.server, how);
  const user = await makeUser(server.url, scenario.client, transport);
  try {
    const polls = transport === "poll";
    const wanted = expect.told && (polls ? expect.told.filter((one) => one !== "open" && one !== "waiting") : expect.told);
    let last = await user.look();
    const look = async () => {
      last = await user.look();
      return last;
    };
    const seen = () => (polls ? last.told.filter((one) => !("open" in one || one.waiting)) : last.told);
    let acted = false;
    const acting = (async () => {
      for (const { after, answer, error, ...action } of actions) {
        if (after) await until(async () => (await look()).told.some((one) => fits(one, after)), () => `${JSON.stringify(after)} in ${JSON.stringify(last)}`);
        const said = await user.act(action);
        if (error) assert.deepEqual(said, { error });
        else assert.ok(fits(said, answer), `${JSON.stringify(said)} is not ${JSON.stringify(answer)}`);
      }
    })();
    const over = () => {
      acted = true;
      server.acted();
    };
    acting.then(over, over);
    await until(async () => {
      const { reason } = await look();
      return server.problems.length > 0 || ((expect.outcome ? reason : reason || seen().length >= wanted.length)
        && server.requests.length >= (expect.requests?.length ?? 0) && server.posts.length >= (expect.posts?.length ?? 0) && acted);
    }, () => JSON.stringify({ ...last, requests: server.requests.map(({ kind, id }) => [kind, id]) }));
    await acting;
    if (!expect.outcome) await sleep(5);
    await look();

    assert.deepEqual(server.problems, []);
    if (wanted) {
      assert.equal(seen().length, wanted.length, JSON.stringify(last));
      wanted.forEach((one, n) => assert.ok(fits(seen()[n], one), `${n}: ${JSON.stringify(seen()[n])} is not ${JSON.stringify(one)}`));
    }
    if (expect.outcome?.error) {
      assert.equal(last.reason, "error", JSON.stringify(last));
      const { status, detail, code } = expect.outcome.error;
      const redirects = status >= 300 && status < 400;
      if (status && !(redirects && hidesRedirects)) assert.equal(last.error.status, status);
      if (detail) assert.equal(last.error.message, detail);
      if (code) assert.equal(last.error.code, code);
    } else {
      assert.equal(last.reason, expect.outcome, JSON.stringify(last));
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
    if (expect.lastId) assert.equal(last.lastEventId, expect.lastId);
    if (expect.sentAtMost) assert.ok(server.sent <= expect.sentAtMost, `${server.sent} bytes`);
  } finally {
    await user.close();
    server.stop();
  }
}

for (const scenario of scenarios) {
  for (const name of Object.keys(scenario)) assert.ok(MEMBERS.has(name), name);
  for (const name of Object.keys(scenario.expect)) assert.ok(EXPECTED.has(name), name);
}

/** Each run of the table, but for those in simulated time. */
export const runs = scenarios.filter(({ minutes }) => !minutes).flatMap((scenario) =>
  (scenario.over ?? [undefined]).map((transport) => ({ scenario, transport, name: `${scenario.name}${transport ? ` (${transport})` : ""}` })));
