// What the client costs a page: bundled, minified, gzipped.
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** In bytes; the README says what they are. */
const LIMITS = { core: 5900, index: 8100, tabs: 9300 };

let tooLarge = false;
for (const [name, limit] of Object.entries(LIMITS)) {
  const { outputFiles: [{ contents }] } = await build({
    entryPoints: [fileURLToPath(new URL(`../src/${name}.js`, import.meta.url))],
    bundle: true, minify: true, format: "esm", target: "es2022", write: false,
  });
  const size = gzipSync(contents, { level: 9 }).length;
  console.log(`${name}: minified ${contents.length} bytes, gzipped ${size} bytes, limit ${limit}`);
  tooLarge ||= size > limit;
}
if (tooLarge) process.exit(1);
