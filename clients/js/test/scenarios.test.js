// The table that every client passes, against scripted servers.
import { describe, test } from "node:test";
import { EventCast } from "../src/index.js";
import { run, runs } from "./table.js";
import { user } from "./user.js";

describe("scenarios", { concurrency: 16 }, () => {
  for (const { scenario, transport, name } of runs) {
    test(name, { timeout: 60_000 }, () => run(scenario, transport, (...how) => user(EventCast, ...how)));
  }
});
