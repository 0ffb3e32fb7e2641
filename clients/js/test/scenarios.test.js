// The table that every client passes, against scripted servers.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EventCast } from "../src/index.js";
import { busiestMinute, simulate } from "./simulated.js";
import { run, runs, scenarios } from "./table.js";
import { options, user } from "./user.js";

describe("scenarios", { concurrency: 16 }, () => {
  for (const { scenario, transport, name } of runs) {
    test(name, { timeout: 60_000 }, () => run(scenario, transport, (...how) => user(EventCast, ...how)));
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
