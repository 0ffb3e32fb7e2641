// What the client costs a page: bundled, minified, gzipped.
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const LIMIT = 9999;

const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL("../src/index.js", import.meta.url))],
  bundle: true, minify: true, format: "esm", target: "es2022", write: false,
});
const [{ contents }] = outputFiles;
const size = gzipSync(contents, { level: 9 }).length;
console.log(`minified ${contents.length} bytes, gzipped ${size} bytes, limit ${LIMIT}`);
if (size > LIMIT) process.exit(1);
