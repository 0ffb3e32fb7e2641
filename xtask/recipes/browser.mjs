// Runs a script in a page of a headless Chromium, and prints what it logs.
//
// PAGE           an address of the origin that the page is to have
// SCRIPT         the file with the script, a module without imports
// CHROMIUM       the browser
// NODE_PACKAGES  the folder whose node_modules has playwright-core

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import process from "node:process";

const { PAGE, SCRIPT, CHROMIUM, NODE_PACKAGES } = process.env;
const { chromium } = createRequire(`${NODE_PACKAGES}/`)("playwright-core");

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const page = await browser.newPage();
page.on("console", (message) => console.log(message.text()));
page.on("pageerror", (error) => {
  console.error(error);
  process.exit(1);
});
await page.goto(PAGE);
await page.addScriptTag({ type: "module", content: await readFile(SCRIPT, "utf8") });
// Until it is killed, which closes the browser.
