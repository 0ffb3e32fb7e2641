// What `npm pack` makes, as its users have it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

test("the package has all that its manifest names, and works", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "eventcast-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const run = (program, args, cwd = folder) => execFileSync(program, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const [{ filename, files }] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", folder], ROOT));
  mkdirSync(join(folder, "node_modules/eventcast"), { recursive: true });
  run("tar", ["-xzf", filename, "--strip-components=1", "-C", "node_modules/eventcast"]);

  const names = files.map(({ path }) => path);
  for (const name of ["README.md", "LICENSE-MIT", "LICENSE-APACHE"]) assert.ok(names.includes(name), name);
  assert.deepEqual(names.filter((name) => !/^(src|types)\/|^(README.md|LICENSE-\w+|package.json)$/.test(name)), []);
  const manifest = JSON.parse(readFileSync(join(folder, "node_modules/eventcast/package.json"), "utf8"));
  assert.equal(manifest.dependencies, undefined);
  for (const entry of Object.values(manifest.exports)) {
    for (const file of Object.values(typeof entry === "string" ? { entry } : entry)) assert.ok(names.includes(file.slice(2)), file);
  }
  const script = `
    import { EventCast, EventCastError } from "eventcast";
    import { EventCast as Core, EventCastError as Same } from "eventcast/core";
    import { tabs } from "eventcast/tabs";
    console.log(new EventCast("http://test/") instanceof Core, EventCastError === Same, typeof tabs, typeof Core.prototype.publish);`;
  assert.equal(run("node", ["--input-type=module", "-e", script]), "true true function undefined\n");
});
