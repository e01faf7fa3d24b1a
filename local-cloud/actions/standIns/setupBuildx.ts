import { randomUUID } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ActionDefinition, ActionFailure, type ActionRun } from "../action";
import { builderExists, inspectBuilder } from "./buildx";
import { listOf } from "./lists";

const DEFAULT_FLAGS =
  "--allow-insecure-entitlement security.insecure --allow-insecure-entitlement network.host";
const CONFIG_FILE = "/etc/buildkit/buildkitd.toml";
const DRIVERS = ["docker", "docker-container", "remote"];
const BOOT_ATTEMPTS = 5;

/**
 * docker/setup-buildx-action with the buildx that is installed. Where the machine refuses privileged containers, the
 * container of the driver `docker-container` is made here, with the capabilities that BuildKit needs; buildx finds it
 * under the name that it would have given it.
 */
export const setupBuildx: ActionDefinition = {
  inputs: {
    version: {},
    driver: { default: "docker-container" },
    "driver-opts": {},
    "buildkitd-flags": {},
    "buildkitd-config": {},
    "buildkitd-config-inline": {},
    use: { default: "true" },
    name: {},
    endpoint: {},
    platforms: {},
    append: { unmodelled: true },
    "keep-state": { default: "false" },
    "cache-binary": { default: "true" },
    cleanup: { default: "true" },
  },
  main: async (run) => {
    const driver = run.input("driver") || "docker-container";
    if (!DRIVERS.includes(driver))
      throw new ActionFailure(
        `The local cloud does not model the driver ${driver}, expected ${DRIVERS.join(", ")}.`,
      );
    const keepState = run.booleanInput("keep-state");
    if (keepState && driver !== "docker-container")
      throw new ActionFailure(`Cannot use keep-state with ${driver} driver`);
    run.booleanInput("cache-binary");
    const { stdout: version } = await run.group("Buildx version", () =>
      run.exec("docker", ["buildx", "version"]),
    );
    if (run.input("version") !== "" && !version.includes(run.input("version").replace(/^v/, "")))
      run.info(
        `The local cloud downloads no buildx: ${run.input("version")} was asked for, the installed one is used.`,
      );
    const name =
      driver === "docker"
        ? (await run.exec("docker", ["context", "show"], { silent: true })).stdout.trim()
        : run.input("name") || `builder-${randomUUID()}`;
    run.setOutput("name", name);
    run.state.set("cleanup", String(run.booleanInput("cleanup")));
    run.state.set("keep-state", String(keepState));
    run.state.set("driver", driver);
    run.state.set("name", name);

    const config = await configFile(run);
    if (driver !== "docker")
      await run.group("Creating a new builder instance", async () => {
        if (await builderExists(run, name))
          run.info(`Builder ${name} already exists, skipping creation`);
        else await run.exec("docker", createArgs(run, driver, name, config));
      });
    await run.group("Booting builder", () => boot(run, driver, name, config));

    const builder = await inspectBuilder(run, name);
    await run.group("Inspect builder", () => {
      run.info(JSON.stringify(builder, undefined, 2));
    });
    const platforms = builder.nodes.flatMap((node) => node.platforms?.split(",") ?? []);
    run.setOutput("driver", builder.driver);
    run.setOutput("platforms", [...new Set(platforms)].join(","));
    run.setOutput("nodes", JSON.stringify(builder.nodes, undefined, 2));
  },
  post: async (run) => {
    const name = run.state.get("name") ?? "";
    if (run.state.get("cleanup") !== "true" || run.state.get("driver") === "docker" || name === "")
      return;
    await run.group("Removing builder", async () => {
      if (!(await builderExists(run, name))) {
        run.info(`${name} does not exist`);
        return;
      }
      const keep = run.state.get("keep-state") === "true" ? ["--keep-state"] : [];
      const { code, stderr } = await run.exec("docker", ["buildx", "rm", name, ...keep], {
        check: false,
      });
      if (code !== 0) run.warning(stderr.trim());
    });
  },
};

/** Path of BuildKit's configuration, if there is any. */
async function configFile(run: ActionRun): Promise<string | undefined> {
  if (run.input("buildkitd-config") !== "") return run.input("buildkitd-config");
  if (run.input("buildkitd-config-inline") === "") return undefined;
  const file = join(run.temp, `buildkitd-${randomUUID()}.toml`);
  await writeFile(file, run.input("buildkitd-config-inline"));
  return file;
}

function driverOptions(run: ActionRun): string[] {
  return listOf(run.rawInput("driver-opts"), { keepCommas: true, literalQuotes: true });
}

function createArgs(
  run: ActionRun,
  driver: string,
  name: string,
  config: string | undefined,
): string[] {
  const flags =
    run.input("buildkitd-flags") || (driver === "docker-container" ? DEFAULT_FLAGS : "");
  const platforms = listOf(run.input("platforms"));
  return [
    ...["buildx", "create", "--name", name, "--driver", driver],
    ...driverOptions(run).flatMap((option) => ["--driver-opt", option]),
    ...(flags === "" ? [] : ["--buildkitd-flags", flags]),
    ...(platforms.length === 0 ? [] : ["--platform", platforms.join(",")]),
    ...(run.booleanInput("use") ? ["--use"] : []),
    ...(config === undefined ? [] : ["--config", config]),
    ...(run.input("endpoint") === "" ? [] : [run.input("endpoint")]),
  ];
}

async function boot(
  run: ActionRun,
  driver: string,
  name: string,
  config: string | undefined,
): Promise<void> {
  const container = `buildx_buildkit_${name}0`;
  for (let attempt = 1; ; attempt++) {
    const { code, stderr } = await run.exec(
      "docker",
      ["buildx", "inspect", "--bootstrap", "--builder", name],
      { check: false },
    );
    if (code === 0) return;
    if (
      driver !== "docker-container" ||
      attempt === BOOT_ATTEMPTS ||
      !/operation not permitted/i.test(stderr)
    )
      throw new ActionFailure(
        stderr.trim().split("\n").at(-1) || `Builder ${name} does not start.`,
      );
    run.info(
      `This machine refuses privileged containers: ${container} gets the capabilities that BuildKit needs instead.`,
    );
    await replaceContainer(run, container, config);
  }
}

/**
 * Makes the container that buildx could not start. Another job may do the same at the same moment: the container gets
 * its name only when it is complete, and only a privileged one that does not run is removed.
 */
async function replaceContainer(
  run: ActionRun,
  container: string,
  config: string | undefined,
): Promise<void> {
  const quiet = { silent: true, check: false };
  const { stdout: privileged } = await run.exec(
    "docker",
    ["container", "inspect", "--format", "{{.HostConfig.Privileged}}", container],
    quiet,
  );
  if (privileged.trim() === "true") await run.exec("docker", ["container", "rm", container], quiet);

  const options = containerOptions(driverOptions(run));
  const fresh = `${container}_${randomUUID()}`;
  const flags = (run.input("buildkitd-flags") || DEFAULT_FLAGS).split(/\s+/);
  await run.exec("docker", [
    ...["container", "create", "--name", fresh, "--init"],
    ...["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE"],
    ...["seccomp", "apparmor", "systempaths"].flatMap((kind) => [
      "--security-opt",
      `${kind}=unconfined`,
    ]),
    ...["--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"],
    ...["--volume", `${container}_state:/var/lib/buildkit`],
    ...options.create,
    options.image,
    ...(config === undefined ? [] : ["--config", CONFIG_FILE]),
    ...flags,
  ]);
  if (config !== undefined) {
    const folder = join(run.temp, `buildkit-${randomUUID()}`);
    await mkdir(join(folder, "buildkit"), { recursive: true });
    try {
      const copy = join(folder, "buildkit", "buildkitd.toml");
      await run.exec("cp", [config, copy], { silent: true });
      await run.exec("docker", ["cp", join(folder, "buildkit"), `${fresh}:/etc/`]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  const { code } = await run.exec("docker", ["container", "rename", fresh, container], quiet);
  // The other job was faster: its container is used.
  if (code !== 0) await run.exec("docker", ["container", "rm", fresh], quiet);
}

function containerOptions(options: readonly string[]): { image: string; create: string[] } {
  let image = "moby/buildkit:buildx-stable-1";
  let restart = "unless-stopped";
  const create: string[] = [];
  for (const option of options.flatMap((line) => line.split(","))) {
    const at = option.indexOf("=");
    const [key, value] = [option.slice(0, at), option.slice(at + 1)];
    if (key === "image") image = value;
    else if (key === "network") create.push("--network", value);
    else if (key === "restart-policy") restart = value;
    else if (key.startsWith("env.")) create.push("--env", `${key.slice(4)}=${value}`);
    else if (!["default-load", "provenance-add-gha", "allow-untrusted-image"].includes(key))
      throw new ActionFailure(
        `The local cloud does not model the driver option ${key} where privileged containers are refused.`,
      );
  }
  return { image, create: ["--restart", restart, ...create] };
}
