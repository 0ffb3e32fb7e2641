// The table's long runs, in simulated time. They have a process of their own: connections that were
// made in real time would see it leap.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventCast } from "../src/index.js";
import { busiestMinute, simulate } from "./simulated.js";
import { scenarios } from "./table.js";
import { options } from "./user.js";

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
