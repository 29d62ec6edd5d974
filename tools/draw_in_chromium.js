/* Draws ten digits with the mouse on the built page, tells what was answered, runs axe-core.

     npm install --prefix build/npm playwright-core axe-core
     NODE_PATH=build/npm/node_modules node tools/draw_in_chromium.js      after `make site`

   CHROMIUM names the browser (default /usr/bin/chromium). Screenshots: build/draw/. */
"use strict";

const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");
const { DIGITS, strokesOf } = require("../docs/draw/digits.js");

const build = path.join(__dirname, "..", "build");
const page_ = `file://${build}/site/docs/draw.html`;
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const schemes = ["light", "dark"], widths = { desktop: 1280, phone: 390 };
let faults = 0;

function check(good, ...told) {
  console.log(good ? "  " : "✗ ", ...told);
  faults += !good;
}

async function opened(browser, width, colorScheme) {
  const context = await browser.newContext({ viewport: { width, height: 1500 }, colorScheme });
  const page = await context.newPage();
  page.on("pageerror", (error) => check(false, error.message));
  page.on("requestfailed", (request) => check(false, "not found:", request.url()));
  await page.goto(page_);
  await page.getByText("Draw a digit.", { exact: true }).waitFor();
  return page;
}

async function drawn(page, strokes) {
  await page.click("#draw-clear");
  const box = await page.locator("#draw-pad").boundingBox();
  const at = ([x, y]) => [box.x + (x * box.width) / 100, box.y + (y * box.height) / 100];
  for (const [first, ...others] of strokes) {
    await page.mouse.move(...at(first));
    await page.mouse.down();
    for (const point of others) await page.mouse.move(...at(point), { steps: 3 });
    await page.mouse.up();
  }
  await page.waitForTimeout(300);
  return page.textContent("#draw-said");
}

(async () => {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
  for (const [name, width] of Object.entries(widths))
    for (const scheme of schemes) {
      const page = await opened(browser, width, scheme);
      console.log(`${name}, ${scheme}`);
      for (const [digit, points] of Object.entries(DIGITS)) {
        const said = await drawn(page, strokesOf(points));
        const answers = [...said.matchAll(/: (\d),/g)].map((found) => found[1]);
        check(answers.length === 2 && answers.every((each) => digit.includes(each)), digit, "→", said);
      }
      await page.locator("#draw-temperature").fill("4");
      await page.screenshot({ path: `${build}/draw/${name}-${scheme}.png`, fullPage: true });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      check(over <= 0, "wider than the screen by", over);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => axe.run({ preload: false }));
      check(!violations.length, "axe-core:", violations.map((each) =>
        `${each.impact} ${each.id} ${each.nodes.map((node) => node.target)}`));
      await page.context().close();
    }
  await browser.close();
  process.exit(faults ? 1 : 0);
})();
