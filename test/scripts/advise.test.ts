import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const ROOT = join(__dirname, "../..");

describe("npm run advise", function () {
  this.timeout(60_000);
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "advise-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const write = (name: string, text: string) => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  };
  const advise = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--import", "tsx", join(ROOT, "scripts/advise.ts"), ...args],
      { cwd: ROOT, encoding: "utf8" },
    );
    return { status, stdout, stderr };
  };

  it("ends with 0 when there is nothing to advise", () => {
    write("Dockerfile", "FROM debian:12\n");
    const { status, stdout } = advise(folder);
    assert.equal(status, 0);
    assert.equal(stdout, `${join(folder, "Dockerfile")}: no findings.\n`);
  });

  it("ends with 2 and shows the lines to use", () => {
    write("Dockerfile", "FROM node:24\nWORKDIR /app\nCOPY . .\nRUN npm ci\n");
    write("package.json", "{}\n");
    write("node_modules/other/package.json", "{}\n");
    const { status, stdout } = advise(folder);
    assert.equal(status, 2);
    assert.match(stdout, /Dockerfile:3: All sources are copied .* \[copy-before-install\]\n/);
    assert.match(stdout, /instead of line 3:\n {6}COPY package\.json \.\/\n/);
    assert.match(stdout, /\.dockerignore, before line 1:\n {6}\.git\n {6}node_modules\n/);
    assert.ok(!stdout.includes("other"), "what is installed is no part of the context");
    assert.match(stdout, /\n3 findings\.\n$/);
  });

  it("prints JSON, of a Dockerfile outside its context", () => {
    write(
      "docker/api.Dockerfile",
      "FROM golang:1.26\nCOPY . .\nRUN --mount=type=cache,target=/root/.cache go build\n",
    );
    write("go.mod", "module example.com/api\n");
    write(".dockerignore", "node_modules\n");
    write("docker/api.Dockerfile.dockerignore", ".git\n");
    const { status, stdout } = advise(
      join(folder, "docker/api.Dockerfile"),
      "--context",
      folder,
      "--json",
    );
    assert.equal(status, 0);
    assert.deepEqual(JSON.parse(stdout), { findings: [] });
    rmSync(join(folder, "docker/api.Dockerfile.dockerignore"));
    const second = advise(join(folder, "docker/api.Dockerfile"), "--context", folder, "--json");
    assert.equal(second.status, 2);
    const { findings } = JSON.parse(second.stdout) as {
      findings: { rule: string; file: string }[];
    };
    assert.deepEqual(
      findings.map(({ rule, file }) => [rule, file]),
      [["dockerignore", join(folder, ".dockerignore")]],
    );
  });

  it("takes a Containerfile", () => {
    write("Containerfile", "FROM debian\n");
    assert.equal(advise(folder).status, 2);
  });

  for (const [what, args, message] of [
    ["no path", () => [], /^advise: found 0 paths, expected one: .*\n$/],
    ["a path that is not there", () => [join(folder, "none")], /^advise: found nothing at .*\n$/],
    [
      "a folder without a Dockerfile",
      () => [folder],
      /^advise: found no Dockerfile or Containerfile in .*\n$/,
    ],
    [
      "an unknown option",
      () => [folder, "--what"],
      /^advise: Unknown option '--what', expected npm run advise -- PATH [^\n]*\.\n$/,
    ],
    [
      "a file that is no Dockerfile",
      () => [write("README.md", "# From here\n"), join(folder, "README.md")].slice(1) as string[],
      /^advise: found no FROM in .*README\.md, expected a Dockerfile\.\n$/,
    ],
    [
      "a context that is no folder",
      () => [write("Dockerfile", ""), folder, "--context", join(folder, "x")].slice(1) as string[],
      /^advise: --context: found .*\n$/,
    ],
  ] as [string, () => string[], RegExp][]) {
    it(`ends with 1 and one sentence for ${what}`, () => {
      const { status, stdout, stderr } = advise(...args());
      assert.equal(status, 1);
      assert.equal(stdout, "");
      assert.match(stderr, message);
    });
  }
});
