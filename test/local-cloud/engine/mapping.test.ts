import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { prepareEngine } from "../../../local-cloud/engine";
import { type PropertyType, readSdk } from "./sdkTypes";

/** One property as `pulumi-resource-… -mapping` prints it. */
interface Mapped extends Omit<PropertyType, "element" | "fields" | "optional"> {
  input: boolean;
  required: boolean;
  secret?: boolean;
  element?: Mapped;
  fields?: Record<string, Mapped>;
}

interface Mapping {
  version: string;
  config: Record<string, Mapped>;
  resources: Record<string, Record<string, Mapped>>;
  functions: Record<string, Record<string, Mapped>>;
}

const modules = path.resolve(__dirname, "../../../node_modules/@pulumi");

describe("the bridged plugins against their npm SDKs", function () {
  this.timeout(20 * 60_000);

  let bin: string;
  before(async () => {
    ({ bin } = await prepareEngine());
  });

  for (const name of ["hcloud", "github", "random"]) {
    it(`${name}: every resource and function has the SDK's properties and types`, () => {
      assert.deepEqual(compare(name, readMapping(bin, name)), []);
    });
  }
});

function readMapping(bin: string, name: string): Mapping {
  const plugin = path.join(bin, `pulumi-resource-${name}`);
  const output = execFileSync(plugin, ["-mapping"], { encoding: "utf8", maxBuffer: 1 << 26 });
  return JSON.parse(output) as Mapping;
}

function compare(name: string, mapping: Mapping): string[] {
  const folder = path.join(modules, name);
  const sdk = readSdk(folder);
  const manifest = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as {
    version: string;
  };
  const differences: string[] = [];
  if (mapping.version !== manifest.version) {
    differences.push(`version ${mapping.version}, SDK ${manifest.version}`);
  }
  assert.ok(sdk.resources.size > 0, `no resource found in ${folder}`);

  for (const [className, { inputs, outputs }] of sdk.resources) {
    const js = readFileSync(path.join(folder, `${lowerFirst(className)}.js`), "utf8");
    const token = /__pulumiType = '([^']+)'/.exec(js)?.[1];
    assert.ok(token, `${className} has no type token`);
    const mapped = mapping.resources[token];
    if (!mapped) {
      differences.push(`${token}: not mapped`);
      continue;
    }
    const own = Object.fromEntries(Object.entries(mapped).filter(([key]) => key !== "id"));
    differences.push(
      ...compareFields(`${token} outputs`, own, outputs),
      ...compareInputs(`${token} inputs`, own, inputs),
      ...compareSecrets(token, own, js),
    );
  }
  for (const [functionName, { inputs, results }] of sdk.functions) {
    const js = readFileSync(path.join(folder, `${functionName}.js`), "utf8");
    const token = /runtime\.invoke\("([^"]+)"/.exec(js)?.[1];
    assert.ok(token, `${functionName} has no token`);
    const mapped = mapping.functions[token];
    if (!mapped) {
      differences.push(`${token}: not mapped`);
      continue;
    }
    // The bridge itself adds an ID to the results of functions that declare none.
    if (!mapped["id"]) delete results["id"];
    differences.push(
      ...compareFields(`${token} results`, mapped, results),
      ...compareInputs(`${token} inputs`, mapped, inputs),
    );
  }
  differences.push(...compareFields(`${name} config`, mapping.config, sdk.provider));
  return differences;
}

function compareInputs(
  where: string,
  mapped: Record<string, Mapped>,
  sdk: Record<string, PropertyType>,
): string[] {
  const inputs = Object.fromEntries(Object.entries(mapped).filter(([, p]) => p.input));
  const differences = compareFields(where, inputs, sdk);
  for (const [key, { required }] of Object.entries(inputs)) {
    if (sdk[key] && required === sdk[key].optional) {
      differences.push(
        `${where}: ${key} is ${required ? "required" : "optional"}, not so in the SDK`,
      );
    }
  }
  return differences;
}

/** Nested objects have the same fields in inputs and in outputs. */
function compareFields(
  where: string,
  mapped: Record<string, Mapped>,
  sdk: Record<string, PropertyType>,
): string[] {
  const differences: string[] = [];
  for (const [key, property] of Object.entries(mapped)) {
    const declared = sdk[key];
    if (!declared) differences.push(`${where}: ${key} is not in the SDK`);
    else differences.push(...compareType(`${where}: ${key}`, property, declared));
  }
  for (const key of Object.keys(sdk)) {
    if (!mapped[key]) differences.push(`${where}: ${key} is not mapped`);
  }
  return differences;
}

function compareType(where: string, mapped: Mapped, sdk: PropertyType): string[] {
  if (mapped.type !== sdk.type) return [`${where} is ${mapped.type}, SDK ${sdk.type}`];
  if (mapped.element && sdk.element) {
    return compareType(`${where}[]`, mapped.element, sdk.element);
  }
  if (mapped.fields && sdk.fields) return compareFields(where, mapped.fields, sdk.fields);
  return [];
}

/** The SDK names its secret outputs to the engine; the plugin must mark the same ones. */
function compareSecrets(token: string, mapped: Record<string, Mapped>, js: string): string[] {
  const listed = /additionalSecretOutputs: (\[[^\]]*\])/.exec(js)?.[1] ?? "[]";
  const declared = (JSON.parse(listed) as string[]).sort();
  const secret = Object.keys(mapped).filter((key) => mapped[key]?.secret);
  return String(secret.sort()) === String(declared)
    ? []
    : [`${token} secrets: ${secret.join()}, SDK ${declared.join()}`];
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
