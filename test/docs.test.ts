import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { z } from "zod";
import { fleetSchema } from "../components/config/schema";

const ROOT = dirname(__dirname);
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const README = read("README.md");

const DOCUMENTS = [
  "README.md",
  "CONTRIBUTING.md",
  "docs/architecture.md",
  "docs/threat-model.md",
  "docs/operations.md",
  ...readdirSync(join(ROOT, "docs/adr")).map((name) => `docs/adr/${name}`),
];

/** Rows of the tables below a heading, up to the next one of its level, as cells without the code marks. */
function tables(markdown: string, heading: string): string[][] {
  const start = markdown.indexOf(`\n## ${heading}\n`);
  assert.ok(start >= 0, `there is no heading ${heading}`);
  const end = markdown.indexOf("\n## ", start + 1);
  return markdown
    .slice(start, end < 0 ? undefined : end)
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split(/(?<!\\)\|/).slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim()));
}

const code = (cell = "") => /^`([^`]+)`$/.exec(cell)?.[1];

interface Key {
  readonly required: boolean;
  readonly default: unknown;
}

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Every key that holds a value, by path; names of the user's choice are `*`. */
function keysOf(
  schema: JsonSchema,
  path: readonly string[] = [],
  required = true,
): [string, Key][] {
  const of = (one: unknown, name: string, isRequired: boolean) =>
    keysOf(one as JsonSchema, [...path, name], isRequired);
  const variants = schema.oneOf ?? schema.anyOf;
  if (variants !== undefined) {
    return variants.flatMap((one) => keysOf(one, path, required));
  }
  if (schema.properties !== undefined) {
    return Object.entries(schema.properties).flatMap(([name, one]) =>
      of(one, name, schema.required?.includes(name) ?? false),
    );
  }
  if (typeof schema.additionalProperties === "object") {
    return of(schema.additionalProperties, "*", required);
  }
  return [[path.join("."), { required, default: schema.default }]];
}

/** GitHub's anchor of a heading. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");

function anchors(path: string): string[] {
  return [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => anchor(heading));
}

describe("the documentation", () => {
  describe("of the configuration", () => {
    const rows = tables(README, "Configuration");
    const own = new Map(
      rows
        .filter(([key]) => !key?.includes(":"))
        .map(([key, , fallback]) => [code(key)?.replaceAll(/<\w+>/g, "*") ?? "", fallback ?? ""]),
    );
    const keys = new Map(keysOf(z.toJSONSchema(fleetSchema, { io: "input" })));

    it("has every key of the schema and no other", () => {
      assert.ok(keys.size > 30, `the schema has ${keys.size} keys`);
      assert.deepEqual([...own.keys()].sort(), [...keys.keys()].sort());
    });

    it("gives the defaults of the schema", () => {
      for (const [name, key] of keys) {
        const cell = own.get(name) ?? "";
        if (key.default !== undefined) {
          const shown = typeof key.default === "string" ? key.default : JSON.stringify(key.default);
          assert.equal(code(cell), shown, name);
        } else {
          assert.equal(cell === "required", key.required, `${name} says ${cell}`);
        }
      }
    });

    it("has every key of the two providers that is read, with its variable", () => {
      const loader = read("components/config/load.ts");
      const readKeys = [
        ...loader.matchAll(
          /\b(hcloud|github)\.get(?:Number)?\("(\w+)"\)(?: \?\? process\.env\.(\w+))?/g,
        ),
      ].map(([, provider, key, variable]) => ({ key: `${provider}:${key}`, variable }));
      const documented = rows.filter(([key]) => key?.includes(":"));
      assert.ok(documented.length > 0);
      assert.deepEqual(
        documented.map(([key]) => code(key)).sort(),
        [...new Set(readKeys.map(({ key }) => key))].sort(),
      );
      for (const { key, variable } of readKeys) {
        if (variable === undefined) continue;
        const row = documented.find(([cell]) => code(cell) === key);
        assert.ok(row?.[1]?.includes(`\`${variable}\``), `${key} names ${variable}`);
      }
    });
  });

  it("of the outputs has those of the program and no other", () => {
    const returned = /^ {2}return \{\n(.*?)^ {2}\};/ms.exec(read("index.ts"))?.[1] ?? "";
    const outputs = [...returned.matchAll(/^ {4}(\w+)[:,]/gm)].map(([, name]) => name);
    assert.ok(outputs.length > 0);
    assert.deepEqual(
      tables(README, "Outputs")
        .map(([name]) => code(name))
        .sort(),
      outputs.sort(),
    );
  });

  it("names phases of the demo as they are, in their order", () => {
    const story = read("local-cloud/story.ts");
    const phases = [...story.matchAll(/^ {4}name: "([^"]+)",$/gm)].map(([, name]) => name);
    const output = /^```\n(up: .*?)^```$/ms.exec(README)?.[1] ?? "";
    const shown = [...output.matchAll(/^([a-z ]+): /gm)].map(([, name]) => name);
    assert.ok(phases.length > 0);
    assert.deepEqual(shown, phases);
  });

  it("names scripts that exist", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    for (const path of DOCUMENTS) {
      const named = [...read(path).matchAll(/\bnpm (?:run (?:--silent )?([\w:-]+)|(test)\b)/g)];
      for (const [, script = "test"] of named) {
        assert.ok(script in scripts, `${path} names the script ${script}`);
      }
    }
  });

  it("links to files and headings that exist", () => {
    let count = 0;
    for (const path of DOCUMENTS) {
      for (const [, target = ""] of read(path).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue;
        count++;
        const [file = "", heading] = target.split("#");
        const full = file === "" ? join(ROOT, path) : resolve(ROOT, dirname(path), file);
        assert.ok(existsSync(full), `${path} links to ${target}`);
        if (heading !== undefined) {
          const headings = anchors(relative(ROOT, full));
          assert.ok(headings.includes(heading), `${path} links to ${target}`);
        }
      }
    }
    assert.ok(count > 0);
  });

  it("names tests in the threat model that exist", () => {
    const titles = new Set(
      readdirSync(join(ROOT, "test"), { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".test.ts"))
        .flatMap((name) => [...read(join("test", name)).matchAll(/\bit\("([^"]+)"/g)])
        .map(([, title]) => title),
    );
    const cells = read("docs/threat-model.md")
      .split("\n")
      .filter((line) => line.startsWith("|"))
      .map((line) => line.split("|").at(-2) ?? "");
    const named = cells.flatMap((cell) =>
      [...cell.matchAll(/"([^"]+)"/g)].map(([, title]) => title),
    );
    assert.ok(named.length > 20);
    assert.deepEqual(
      named.filter((title) => !titles.has(title)),
      [],
    );
  });

  it("quotes the program as it speaks", () => {
    const sources = [
      "preflight/check",
      "preflight/obstacles",
      "preflight/facts",
      "host/retire",
      "host/host",
      "host/waitOnline",
    ]
      .map((name) => read(`components/${name}.ts`))
      .join("\n");
    for (const words of [
      "a key that cannot be read as an RSA key without a passphrase",
      ", which GitHub does not know with this private key",
      ", without the organization permission",
      ", which GitHub does not serve since ",
      "a pool whose runners have names of ",
      "another key than the one that opens ",
      "no address of those that ",
      ", made with management none and so without a way in",
      ", so it is not drained.",
      " and does not shut down, so it is not waited for any more.",
      "is outdated: its configuration has changed since it was made, and nothing reaches into it",
      ": found no runner online of ",
      "power it off at Hetzner to have it deleted as it is",
    ]) {
      assert.ok(README.includes(words), `the README quotes "${words}"`);
      assert.ok(sources.includes(words), `the program says "${words}"`);
    }
  });

  it("lists every decision", () => {
    const list = read("docs/architecture.md");
    for (const name of readdirSync(join(ROOT, "docs/adr"))) {
      assert.match(name, /^\d{4}-[a-z0-9-]+\.md$/);
      const title = /^# (\d+)\. (.+)$/m.exec(read(`docs/adr/${name}`));
      assert.equal(Number(title?.[1]), Number(name.slice(0, 4)), name);
      assert.ok(list.includes(`[${title?.[2]}](adr/${name})`), `${name} is listed by its title`);
    }
  });
});
