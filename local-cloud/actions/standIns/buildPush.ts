import { randomUUID } from "node:crypto";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type ActionDefinition, ActionFailure, type ActionRun } from "../action";
import { inspectBuilder } from "./buildx";
import { fieldsOf, listOf, pairOf } from "./lists";

/** docker/build-push-action: one `docker buildx build` with the flags that its inputs stand for. */
export const buildPush: ActionDefinition = {
  inputs: {
    "add-hosts": {},
    allow: {},
    annotations: {},
    attests: {},
    "build-args": {},
    "build-contexts": {},
    builder: {},
    "cache-from": {},
    "cache-to": {},
    call: {},
    "cgroup-parent": {},
    context: {},
    file: {},
    labels: {},
    load: { default: "false" },
    network: {},
    "no-cache": { default: "false" },
    "no-cache-filters": {},
    outputs: {},
    platforms: {},
    provenance: {},
    pull: { default: "false" },
    push: { default: "false" },
    sbom: {},
    secrets: {},
    "secret-envs": {},
    "secret-files": {},
    "shm-size": {},
    ssh: {},
    tags: {},
    target: {},
    ulimit: {},
    "github-token": { default: "${{ github.token }}" },
  },
  main: async (run) => {
    const folder = join(run.temp, `docker-actions-toolkit-${randomUUID()}`);
    await mkdir(folder, { mode: 0o700 });
    run.state.set("folder", folder);
    await run.group("Buildx version", () => run.exec("docker", ["buildx", "version"]));
    await run.group("Builder info", async () => {
      run.info(JSON.stringify(await inspectBuilder(run, run.input("builder")), undefined, 2));
    });
    const args = await buildArguments(run, folder);
    const result = await run.exec("docker", ["buildx", ...args], {
      check: false,
      env: { BUILDX_METADATA_WARNINGS: "true" },
    });

    const imageId = await contentOf(join(folder, IMAGE_ID_FILE));
    if (imageId !== undefined) {
      await run.group("ImageID", () => run.info(imageId));
      run.setOutput("imageid", imageId);
    }
    const metadata = await contentOf(join(folder, METADATA_FILE));
    if (metadata !== undefined && metadata !== "null") {
      const parsed = JSON.parse(metadata) as Record<string, unknown>;
      const digest = parsed["containerimage.digest"];
      if (typeof digest === "string") {
        await run.group("Digest", () => run.info(digest));
        run.setOutput("digest", digest);
      }
      const text = JSON.stringify(parsed, null, 2);
      await run.group("Metadata", () => run.info(text));
      run.setOutput("metadata", text);
    }
    if (result.code !== 0) {
      const output = run.input("call") === "check" && result.stdout !== "" ? "stdout" : "stderr";
      throw new ActionFailure(
        output === "stdout"
          ? (result.stdout.split("\n")[0] ?? "").trim()
          : `buildx failed with: ${result.stderr.trim().split("\n").at(-1) || "unknown error"}`,
      );
    }
  },
  post: async (run) => {
    await rm(run.state.get("folder") ?? join(run.temp, randomUUID()), {
      recursive: true,
      force: true,
    });
  },
};

const IMAGE_ID_FILE = "build-iidfile.txt";
const METADATA_FILE = "build-metadata.json";

/**
 * Arguments after `docker buildx`, in the action's order. buildx and BuildKit are taken to be recent: the action's
 * checks for versions before attestations have no counterpart.
 * @param folder Where secrets, and what buildx reports, go as files.
 */
async function buildArguments(run: ActionRun, folder: string): Promise<string[]> {
  const lines = (name: string): string[] => listOf(run.rawInput(name), { keepCommas: true });
  const items = (name: string): string[] => listOf(run.rawInput(name));
  const each = (flag: string, values: readonly string[]): string[] =>
    values.flatMap((value) => [flag, value]);
  const one = (flag: string, name: string): string[] =>
    run.input(name) === "" ? [] : [flag, run.input(name)];
  const when = (flag: string, name: string): string[] => (run.booleanInput(name) ? [flag] : []);

  const defaultContext = gitContext(run);
  const resolved = (text: string): string =>
    text.replaceAll(/\{\{\s*defaultContext\s*\}\}/g, defaultContext);
  const context = resolved(run.input("context")) || defaultContext;
  const outputs = listOf(run.rawInput("outputs"), { keepCommas: true, literalQuotes: true });
  const types = outputs.map(exporterType);
  const platforms = items("platforms");
  const caches = [...lines("cache-from"), ...lines("cache-to")];
  if (caches.some((cache) => exporterType(cache) === "gha"))
    throw new ActionFailure(
      "The local cloud has no cache service of GitHub Actions, expected a cache of another type than gha.",
    );
  return [
    "build",
    ...each("--add-host", items("add-hosts")),
    ...each("--allow", items("allow")),
    ...each("--annotation", lines("annotations")),
    ...each("--build-arg", lines("build-args")),
    ...each("--build-context", lines("build-contexts").map(resolved)),
    ...each("--cache-from", lines("cache-from")),
    ...each("--cache-to", lines("cache-to")),
    ...one("--call", "call"),
    ...one("--cgroup-parent", "cgroup-parent"),
    ...each("--secret", secretVariables(run, items("secret-envs"))),
    ...one("--file", "file"),
    ...(types.includes("local") || types.includes("tar")
      ? []
      : ["--iidfile", join(folder, IMAGE_ID_FILE)]),
    ...each("--label", lines("labels")),
    ...each("--no-cache-filter", items("no-cache-filters")),
    ...each("--output", outputs),
    ...(platforms.length === 0 ? [] : ["--platform", platforms.join(",")]),
    ...each("--attest", attestations(run, types)),
    ...each("--secret", await secretFiles(run, folder, context.startsWith(defaultContext))),
    ...one("--shm-size", "shm-size"),
    ...each("--ssh", items("ssh")),
    ...each("--tag", items("tags")),
    ...one("--target", "target"),
    ...each("--ulimit", lines("ulimit")),
    ...one("--builder", "builder"),
    ...when("--load", "load"),
    ...["--metadata-file", join(folder, METADATA_FILE)],
    ...one("--network", "network"),
    ...when("--no-cache", "no-cache"),
    ...when("--pull", "pull"),
    ...when("--push", "push"),
    context,
  ];
}

function gitContext(run: ActionRun): string {
  const { server_url: server, repository, ref, sha } = run.github;
  return `${String(server)}/${String(repository)}.git?ref=${String(ref)}&checksum=${String(sha)}`;
}

/** Type of an exporter or a cache. One without a type is a folder, or for a cache an image. */
function exporterType(text: string): string {
  const fields = fieldsOf(text).map(pairOf);
  return fields.find(([key]) => key === "type")?.[1] ?? (fields.length === 1 ? "local" : "");
}

function attestations(run: ActionRun, exporters: readonly string[]): string[] {
  const given = listOf(run.rawInput("attests"), { keepCommas: true });
  const typeOf = (text: string): string | undefined =>
    fieldsOf(text)
      .map(pairOf)
      .find(([key]) => key === "type")?.[1];
  const found: string[] = [];
  const provenance = provenanceInput(run);
  const { event } = run.github as {
    event?: { repository?: { private?: boolean } };
  };
  if (provenance !== "") found.push(attestation(`type=provenance,${provenance}`));
  else if (
    !given.some((text) => typeOf(text) === "provenance") &&
    !isTrue(run.env["BUILDX_NO_DEFAULT_ATTESTATIONS"] ?? "") &&
    !run.booleanInput("load") &&
    !exporters.includes("docker")
  )
    found.push(
      `type=provenance,${withBuilder(
        run,
        event?.repository?.private === true ? "mode=min,inline-only=true" : "mode=max",
      )}`,
    );
  if (run.input("sbom") !== "") found.push(attestation(`type=sbom,${run.input("sbom")}`));
  for (const text of given) {
    const type = typeOf(text);
    if (type === "provenance") {
      if (provenance === "") found.push(withBuilder(run, text));
    } else if (type === "sbom") {
      if (run.input("sbom") === "") found.push(text);
    } else found.push(attestation(text));
  }
  return found;
}

function provenanceInput(run: ActionRun): string {
  const value = run.input("provenance");
  if (value === "") return "";
  if (/^(true|True|TRUE)$/.test(value)) return `builder-id=${runUrl(run)}`;
  if (/^(false|False|FALSE)$/.test(value)) return "false";
  return withBuilder(run, value);
}

/** Names the run in an attestation that names no builder. */
function withBuilder(run: ActionRun, attributes: string): string {
  return fieldsOf(attributes).some((field) => pairOf(field)[0] === "builder-id")
    ? attributes
    : `${attributes},builder-id=${runUrl(run)}`;
}

function runUrl(run: ActionRun): string {
  const { server_url: server, repository, run_id: id, run_attempt: attempt } = run.github;
  return `${String(server)}/${String(repository)}/actions/runs/${String(id)}/attempts/${String(attempt)}`;
}

/** buildx takes `disabled=…` where the inputs allow a boolean. */
function attestation(attributes: string): string {
  return fieldsOf(attributes)
    .map((field) => (isTrue(field) ? "disabled=false" : isFalse(field) ? "disabled=true" : field))
    .join(",");
}

function isTrue(text: string): boolean {
  return /^(1|t|T|true|True|TRUE)$/.test(text);
}

function isFalse(text: string): boolean {
  return /^(0|f|F|false|False|FALSE)$/.test(text);
}

function secretVariables(run: ActionRun, secrets: readonly string[]): string[] {
  return secrets.flatMap((secret) => {
    const pair = keyAndValue(run, secret);
    return pair === undefined ? [] : [`id=${pair[0]},env=${pair[1]}`];
  });
}

/** Each secret as a file of its own, so that no command line shows it. */
async function secretFiles(run: ActionRun, folder: string, fromGit: boolean): Promise<string[]> {
  const texts = listOf(run.rawInput("secrets"), { keepCommas: true, keepSpaces: true });
  const token = run.input("github-token");
  const flags: string[] = [];
  const put = async (id: string, fill: (file: string) => Promise<void>): Promise<void> => {
    const file = join(folder, `secret-${randomUUID()}`);
    await fill(file);
    flags.push(`id=${id},src=${file}`);
  };
  for (const secret of texts) {
    const pair = keyAndValue(run, secret);
    if (pair === undefined) continue;
    run.mask(pair[1]);
    await put(pair[0], (file) => writeFile(file, pair[1], { mode: 0o600 }));
  }
  for (const secret of listOf(run.rawInput("secret-files"), { keepCommas: true })) {
    const pair = keyAndValue(run, secret);
    if (pair === undefined) continue;
    try {
      await put(pair[0], (file) => copyFile(resolve(run.workspace, pair[1]), file));
    } catch {
      run.warning(`secret file ${pair[1]} not found`);
    }
  }
  if (token !== "" && fromGit && !texts.some((secret) => secret.startsWith("GIT_AUTH_TOKEN="))) {
    const host = new URL(String(run.github["server_url"])).host;
    await put(`GIT_AUTH_TOKEN.${host}`, (file) => writeFile(file, token, { mode: 0o600 }));
  }
  return flags;
}

function keyAndValue(run: ActionRun, text: string): [string, string] | undefined {
  const at = text.indexOf("=");
  const [key, value] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1)];
  if (key !== "" && value !== "") return [key, value];
  // The text may be a secret; the action shows it, the local cloud does not.
  run.warning("A secret is not valid, expected <id>=<value>.");
  return undefined;
}

async function contentOf(file: string): Promise<string | undefined> {
  return readFile(file, "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );
}
