import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { type ActionDefinition, ActionFailure, type ActionRun } from "../action";
import { get } from "./rest";

/**
 * actions/checkout as it works where git cannot be found: the tree comes as an archive of the REST API, there is no
 * `.git`, so no credentials persist and depth has no meaning.
 */
export const checkout: ActionDefinition = {
  inputs: {
    repository: { default: "${{ github.repository }}" },
    ref: {},
    token: { default: "${{ github.token }}" },
    "ssh-key": { unmodelled: true },
    "ssh-known-hosts": { unmodelled: true },
    "ssh-strict": { default: "true", unmodelled: true },
    "ssh-user": { default: "git", unmodelled: true },
    "persist-credentials": { default: "true" },
    path: {},
    clean: { default: "true" },
    filter: { unmodelled: true },
    "sparse-checkout": { unmodelled: true },
    "sparse-checkout-cone-mode": { default: "true", unmodelled: true },
    "fetch-depth": { default: "1" },
    "fetch-tags": { default: "false" },
    "show-progress": { default: "true" },
    lfs: { default: "false", unmodelled: true },
    submodules: { default: "false", unmodelled: true },
    "set-safe-directory": { default: "true" },
    "github-server-url": { unmodelled: true },
    "allow-unsafe-pr-checkout": { default: "false", unmodelled: true },
  },
  main: async (run) => {
    run.booleanInput("persist-credentials");
    const event = String(run.github["event_name"]);
    if (event === "pull_request_target" || event === "workflow_run")
      throw new ActionFailure(
        `The local cloud's stand-in does not model a checkout for ${event}, expected another event.`,
      );
    const repository = run.requiredInput("repository");
    if (!/^[\w.-]+\/[\w.-]+$/.test(repository))
      throw new ActionFailure(
        `Invalid repository '${repository}'. Expected format {owner}/{repo}.`,
      );
    const token = run.requiredInput("token");
    run.mask(token);
    const folder = resolve(run.workspace, run.input("path"));
    if (relative(run.workspace, folder).startsWith(".."))
      throw new ActionFailure(`Repository path '${folder}' is not under '${run.workspace}'`);

    const { ref, commit } = wanted(run, repository);
    await mkdir(folder, { recursive: true });
    await run.group(`Deleting the contents of '${folder}'`, async () => {
      for (const entry of await readdir(folder))
        await rm(join(folder, entry), { recursive: true, force: true });
    });
    run.info("The repository will be downloaded using the GitHub REST API");
    const version = commit === "" ? await named(run, repository, ref, token) : commit;
    const archive = join(run.temp, `${randomUUID()}.tar.gz`);
    run.info("Downloading the archive");
    try {
      const response = await get(
        run,
        `/repos/${repository}/tarball/${version.split("/").map(encodeURIComponent).join("/")}`,
        token,
      );
      if (response.body === null) throw new ActionFailure("GitHub answered with an empty archive.");
      await pipeline(
        Readable.fromWeb(response.body as ReadableStream<Uint8Array>),
        createWriteStream(archive),
        { signal: run.signal },
      );
      run.info("Extracting the archive");
      await run.exec("tar", ["-xzf", archive, "-C", folder, "--strip-components=1"]);
    } finally {
      await rm(archive, { force: true });
    }
    run.setOutput("ref", ref);
    run.setOutput("commit", commit);
  },
};

/** Both may be empty, which means the default branch. */
function wanted(run: ActionRun, repository: string): { ref: string; commit: string } {
  const given = run.input("ref");
  if (/^[0-9a-f]{40}$/.test(given)) return { ref: "", commit: given };
  if (given !== "") return { ref: given, commit: "" };
  if (repository.toLowerCase() !== String(run.github["repository"]).toLowerCase())
    return { ref: "", commit: "" };
  return { ref: String(run.github["ref"]), commit: String(run.github["sha"]) };
}

async function named(
  run: ActionRun,
  repository: string,
  ref: string,
  token: string,
): Promise<string> {
  if (ref !== "") return ref;
  run.info("Determining the default branch");
  const response = await get(run, `/repos/${repository}`, token);
  const { default_branch: branch } = (await response.json()) as { default_branch?: unknown };
  if (typeof branch !== "string" || branch === "")
    throw new ActionFailure(`${repository} has no default branch.`);
  return `refs/heads/${branch}`;
}
