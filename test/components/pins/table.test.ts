import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as pins from "../../../components/pins/pins";
import { EXCEPTIONS, type Pin, pinTable } from "../../../components/pins/table";

const ROOT = join(__dirname, "../../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const manifest = JSON.parse(read("package.json")) as {
  readonly engines: { readonly node: string };
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};
const table = pinTable(manifest);
const named = (name: string): Pin | undefined => table.find((pin) => pin.name === name);

/** Actions of other repositories in a workflow file, as the table would have them. */
function actionsOf(text: string): readonly (readonly [string, string, string])[] {
  return [...text.matchAll(/\buses: ([^\s./][^\s@]*)@(\S+)(?: # (\S+))?/g)].flatMap(
    ([, path = "", ref = "", tag = ""]) => {
      const [owner, name, ...below] = path.split("/");
      // A reusable workflow of the organization's own is at its commit or branch.
      return below[0] === ".github" ? [] : [[`${owner}/${name}`, ref, tag] as const];
    },
  );
}

describe("the table of pins", () => {
  const folders = [".github/workflows", "test/components/imageWorkflow/golden"];
  const workflows = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith(".yml"))
      .map((name) => `${folder}/${name}`),
  );
  const used = workflows.flatMap((file) =>
    actionsOf(read(file)).map((one) => [file, one] as const),
  );

  it("has every action of emitted workflows and of this repository's own, at its commit", () => {
    assert.ok(used.length > 20, `there are ${used.length} uses`);
    for (const [file, [name, sha, tag]] of used) {
      const pin = named(name);
      assert.deepEqual([sha, tag], [pin?.digest, pin?.current], `${name} in ${file}`);
    }
  });

  it("has no action of its own that no workflow uses", () => {
    const own = workflows
      .filter((file) => file.startsWith(".github"))
      .flatMap((file) => actionsOf(read(file)).map(([name]) => name));
    for (const name of Object.keys(pins.OWN_ACTIONS)) assert.ok(own.includes(name), name);
  });

  it("has every constant of an image or a version", () => {
    const constants = Object.entries<unknown>(pins).flatMap(([name, value]) =>
      typeof value === "string" ? [[name, value] as const] : [],
    );
    assert.ok(constants.length >= 8, `there are ${constants.length} constants`);
    for (const [constant, value] of constants) {
      const has = ({ name, current }: Pin) =>
        value === current || value.split("@")[0]?.endsWith(`${name}:${current}`);
      assert.ok(table.some(has), constant);
    }
  });

  it("has every action of the constants", () => {
    const actions = { ...pins.ACTIONS, ...pins.OWN_ACTIONS };
    assert.deepEqual(
      table
        .filter(({ kind }) => kind === "action")
        .map(({ name, current, digest }) => [name, { tag: current, sha: digest }]),
      Object.entries(actions),
    );
  });

  it("has every Pulumi package, at an exact version", () => {
    const all = { ...manifest.dependencies, ...manifest.devDependencies };
    const pulumi = Object.entries(all).filter(([name]) => name.startsWith("@pulumi/"));
    assert.ok(pulumi.length >= 5);
    for (const [name, version] of pulumi) {
      assert.match(version, /^\d+\.\d+\.\d+$/, name);
      assert.equal(named(name)?.current, version);
    }
  });

  it("names each pin once", () => {
    const names = table.map(({ name }) => name);
    assert.deepEqual(names, [...new Set(names)]);
  });

  it("matches today's versions by the patterns of the next ones", () => {
    for (const { name, current, source } of table) {
      if (source.kind === "releases" || source.kind === "tags") {
        assert.match(current, source.pattern, name);
      }
    }
  });

  it("writes each place as the file has it, once", () => {
    for (const { name, current, digest, places } of table) {
      for (const { file, text } of places) {
        const found = read(file).split(text(current, digest ?? "")).length - 1;
        assert.equal(found, 1, `${name} in ${file}`);
      }
    }
  });

  it("leaves no digest in the product outside of pins.ts", () => {
    const files = readdirSync(join(ROOT, "components"), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts") && path !== "pins/pins.ts")
      .filter((path) => /sha256:[0-9a-f]{64}/.test(read(`components/${path}`)));
    assert.deepEqual(files, []);
  });

  it("excepts only what it has, below versions that are newer", () => {
    for (const { name, below, reason } of EXCEPTIONS) {
      assert.ok(named(name), name);
      assert.match(below, /^\d+\.\d+\.\d+$/);
      assert.ok(reason.length > 0);
    }
  });

  it("holds Pulumi's SDK back as long as Node.js 20 is supported", () => {
    assert.match(manifest.engines.node, /^>=20\./);
    assert.ok(EXCEPTIONS.some(({ name }) => name === "@pulumi/pulumi"));
  });
});
