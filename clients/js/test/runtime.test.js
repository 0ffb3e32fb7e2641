// Other runtimes than the one that runs the tests: BUN and DENO are their programs.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startHub } from "./support.js";

const { BUN, DENO } = process.env;
const SCRIPT = fileURLToPath(new URL("runtime.mjs", import.meta.url));
const RUNTIMES = [
  ["Node.js without a WebSocket", process.execPath, []],
  ["Node.js with a WebSocket", process.execPath, ["--experimental-websocket"]],
  ["Bun", BUN, []],
  ["Deno", DENO, ["run", "--no-config", "--allow-net", "--allow-env"]],
];

describe("runtimes", () => {
  let hub;
  before(async () => { hub = await startHub(); });
  after(() => hub.stop());

  for (const [name, program, args] of RUNTIMES) {
    test(name, { skip: program ? false : "BUN and DENO name no program", timeout: 60_000 }, async () => {
      const env = { ...process.env, HUB: hub.url, NODE_OPTIONS: "", NO_COLOR: "1" };
      const { stdout } = await promisify(execFile)(program, [...args, SCRIPT], { env });
      assert.match(stdout, /the client works here\n$/);
    });
  }
});
