import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { fleetStatus } from "../../components/status/model";
import { renderPage } from "../../components/status/page";
import { hostile } from "../components/status/hostile";

const execute = promisify(execFile);
const CHROMIUM = "/usr/bin/chromium";

/** The page in the browser of Debian, at the size of a phone and of a screen, in light and dark. */
describe("the status page in a browser", function () {
  this.timeout("3m");
  let folder: string;
  let server: Server;
  let base: string;
  const asked: string[] = [];

  before(async function () {
    if (!existsSync(CHROMIUM)) {
      const isDebian = existsSync("/usr/bin/apt-get");
      if (!isDebian || process.getuid?.() !== 0) {
        console.log(
          "      skipped: there is no /usr/bin/chromium, and only root on Debian can install it",
        );
        this.skip();
      }
      const packages = ["install", "--yes", "--no-install-recommends", "chromium"];
      const installed = await execute("apt-get", packages, { timeout: 150_000 }).then(
        () => true,
        () => false,
      );
      if (!installed) {
        console.log("      skipped: apt-get cannot install chromium");
        this.skip();
      }
    }
    folder = await mkdtemp(join(tmpdir(), "runner-fleet-page-"));
    const page = renderPage(fleetStatus(hostile()));
    // The frame is as wide as a phone whatever the browser's window is, and its script reads what came of the page.
    const frame = `<!doctype html><title>not measured</title>
<iframe src="/page" width="390" height="844" style="border:0"></iframe>
<script>
addEventListener("load", () => {
  const of = frames[0].document;
  document.title = JSON.stringify({
    scroll: of.documentElement.scrollWidth, client: of.documentElement.clientWidth,
    wide: [...of.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > 390.5).map((one) => one.outerHTML.slice(0, 80)),
    scripts: of.scripts.length, images: of.images.length, links: of.links.length,
    text: of.body.innerText,
  });
});
</script>`;
    server = createServer((request, response) => {
      asked.push(request.url ?? "");
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end(request.url === "/page" ? page : request.url === "/frame" ? frame : "");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(async () => {
    server?.close();
    server?.closeAllConnections();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  const chromium = async (...args: string[]) => {
    const profile = await mkdtemp(join(folder, "profile-"));
    return execute(
      CHROMIUM,
      [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        "--v=0",
        `--user-data-dir=${profile}`,
        "--virtual-time-budget=3000",
        ...args,
      ],
      { timeout: 60_000, maxBuffer: 32 * 1024 * 1024 },
    );
  };

  it("fits 390 pixels, runs nothing, asks for nothing and shows hostile names as text", async () => {
    asked.length = 0;
    const { stdout, stderr } = await chromium("--dump-dom", `${base}/frame`);
    const title = /<title>(.*?)<\/title>/s.exec(stdout)?.[1] ?? "";
    const text = title.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
    const found = JSON.parse(text) as Record<string, unknown> & { readonly text: string };
    assert.deepEqual(found.wide, []);
    assert.deepEqual(
      [found.scroll, found.client, found.scripts, found.images, found.links],
      [390, 390, 0, 0, 0],
    );
    assert.ok(found.text.includes('<script>document.title="owned"</script>'), found.text);
    assert.ok(found.text.includes('"><img src=x onerror=alert(1)>'), found.text);
    assert.deepEqual(
      stderr.split("\n").filter((line) => line.includes("CONSOLE")),
      [],
    );
    assert.deepEqual(
      asked.filter((path) => !["/frame", "/page", "/favicon.ico"].includes(path)),
      [],
    );
    assert.equal(asked.filter((path) => path === "/page").length, 1);
  });

  for (const [what, size, more] of [
    ["a phone", "390,844", []],
    ["a dark phone", "390,844", ["--blink-settings=preferredColorScheme=0"]],
    ["a screen", "1200,900", []],
  ] as const) {
    it(`is drawn on ${what}`, async () => {
      const file = join(
        process.env.STATUS_PAGE_SCREENSHOTS ?? folder,
        `${what.replaceAll(" ", "-")}.png`,
      );
      await chromium(`--screenshot=${file}`, `--window-size=${size}`, ...more, `${base}/page`);
      const image = await readFile(file);
      assert.equal(image.subarray(1, 4).toString(), "PNG");
      // Less is a page of one colour.
      assert.ok(image.length > 10_000, `${image.length} bytes`);
    });
  }

  it("is printed, from a file", async () => {
    const page = join(folder, "page.html");
    await writeFile(page, renderPage(fleetStatus(hostile())));
    const pdf = join(folder, "page.pdf");
    await chromium(`--print-to-pdf=${pdf}`, `file://${page}`);
    assert.equal((await readFile(pdf)).subarray(0, 5).toString(), "%PDF-");
  });
});
