import { parseDocument } from "yaml";
import { type FleetSettings, stackNameProblem, validateSettings } from "../config/schema";

/** Stands where the value of a secret would be. */
export const SECRET = "<secret>";

/** What stands in for an encrypted value where the schema wants more than a text. */
const PRIVATE_KEY = `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----\n`;
const STAND_INS: Readonly<Record<string, string>> = {
  "githubAuth.privateKey": PRIVATE_KEY,
  "ssh.privateKey": PRIVATE_KEY,
};

export interface StackFile {
  /** Name of the project, which is the namespace of its configuration keys. */
  readonly project: string;
  readonly settings: FleetSettings;
}

export type StackFileResult =
  | ({ readonly ok: true } & StackFile)
  | { readonly ok: false; readonly problems: readonly string[] };

/**
 * The settings of a stack from its two files, without the engine: encrypted values stay unread and `SECRET` stands in
 * for them.
 * @param projectFile text of Pulumi.yaml, whose defaults hold for keys that the stack leaves out
 * @param stackFile text of Pulumi.<stack>.yaml
 */
export function readStackFile(
  stack: string,
  projectFile: string,
  stackFile: string,
): StackFileResult {
  const project = parseBlock("Pulumi.yaml", projectFile);
  const own = parseBlock(`Pulumi.${stack}.yaml`, stackFile);
  if (typeof project === "string" || typeof own === "string") {
    return { ok: false, problems: [project, own].filter((one) => typeof one === "string") };
  }
  const { name } = project;
  if (typeof name !== "string" || name === "") {
    return { ok: false, problems: ["name in Pulumi.yaml: found nothing, expected a text."] };
  }
  const raw = {
    ...defaultsOf(block(project.config), name),
    ...valuesOf(block(own.config), name),
  };
  const encrypted: string[] = [];
  const readable = Object.fromEntries(
    Object.entries(raw).map(([key, value]) => [key, withStandIns(value, key, encrypted)]),
  );
  const validated = validateSettings(readable, name);
  const problems = [
    stackNameProblem(stack),
    ...(validated.ok ? [] : validated.problems.map(explained(name, encrypted))),
  ].filter((problem) => problem !== undefined);
  return validated.ok && problems.length === 0
    ? { ok: true, project: name, settings: validated.settings }
    : { ok: false, problems };
}

/** What is wrong where an encrypted value stands is that it cannot be read. */
function explained(namespace: string, encrypted: readonly string[]) {
  return (problem: string): string => {
    const key = encrypted
      .map((path) => `${namespace}:${path}`)
      .find((path) => problem.startsWith(`${path}: `));
    return key === undefined
      ? problem
      : `${key}: found an encrypted value, expected one in plain text with at most tokens, keys and passwords in it encrypted, since rendering reads no secret.`;
  };
}

type Block = Readonly<Record<string, unknown>>;

/** The file's content, or what is wrong with it as one sentence. */
function parseBlock(file: string, text: string): Block | string {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) {
    const at = error.linePos?.[0];
    return `${file}: found no YAML${at === undefined ? "" : ` at line ${at.line}, column ${at.col}`} (${error.code}), expected a YAML file.`;
  }
  const content: unknown = document.toJS();
  return isBlock(content) ? content : `${file}: found no block of keys, expected one.`;
}

/** Defaults of the project's own keys. */
function defaultsOf(config: Block, namespace: string): Block {
  return Object.fromEntries(
    Object.entries(valuesOf(config, namespace)).flatMap(([key, declaration]) => {
      // A key without a declaration is given its value directly.
      if (!isBlock(declaration)) return [[key, declaration]];
      const value = declaration.value ?? declaration.default;
      return value === undefined ? [] : [[key, value]];
    }),
  );
}

/** Values by their name in the namespace, which may be left out; what is not structured is text, as for the engine. */
function valuesOf(config: Block, namespace: string): Block {
  return Object.fromEntries(
    Object.entries(config).flatMap(([key, value]): [string, unknown][] => {
      const [owner = "", name = ""] = key.includes(":") ? key.split(":", 2) : [namespace, key];
      if (owner !== namespace) return [];
      return [[name, typeof value === "object" && value !== null ? value : String(value)]];
    }),
  );
}

/** The value with a stand-in for each part that is encrypted; their paths are added to `encrypted`. */
function withStandIns(value: unknown, path: string, encrypted: string[]): unknown {
  if (Array.isArray(value)) {
    return value.map((item, index) => withStandIns(item, `${path}.${index}`, encrypted));
  }
  if (!isBlock(value)) return value;
  const entries = Object.entries(value);
  if (entries.length === 1 && typeof value.secure === "string") {
    encrypted.push(path);
    return STAND_INS[path] ?? SECRET;
  }
  return Object.fromEntries(
    entries.map(([key, part]) => [key, withStandIns(part, `${path}.${key}`, encrypted)]),
  );
}

function block(value: unknown): Block {
  return isBlock(value) ? value : {};
}

function isBlock(value: unknown): value is Block {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
