import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildkitConfig } from "../../components/runnerHost/buildkit";
import { uninterrupted } from "../../local-cloud/core/interruption";
import { unmountBelow } from "../../local-cloud/hosts/instance";
import { capture, removeFolder } from "../../local-cloud/hosts/run";
import { ControlGroup } from "./cgroup";
import { Daemon } from "./daemon";
import type { Sample } from "./report";

/** Part of the disk, in percent, that the cache may fill: the fleet's default. */
const MAX_USED_PERCENT = 60;

/** Programs and places that all builders of a run share. */
export interface Workshop {
  readonly folder: string;
  readonly buildkitd: string;
  readonly buildx: string;
  /** host:port */
  readonly registry: string;
}

export interface BuildRequest {
  readonly context: string;
  /** Default Dockerfile. */
  readonly dockerfile?: string;
  readonly platforms: readonly string[];
  /** Repository of the registry, with a tag unless `byDigest`. */
  readonly name: string;
  readonly byDigest?: boolean;
  /** Default true. */
  readonly provenance?: boolean;
  /** Milliseconds. */
  readonly timeoutMs: number;
}

/** A BuildKit daemon of its own, with an empty cache at first, as the fleet's hosts configure it. */
export class Builder {
  private constructor(
    readonly name: string,
    private readonly workshop: Workshop,
    private readonly folder: string,
    private readonly group: ControlGroup,
    private readonly daemon: Daemon,
  ) {}

  /** @param mirror Folder of the registry that stands in for Docker Hub. */
  static async start(workshop: Workshop, name: string, mirror: string): Promise<Builder> {
    const folder = join(workshop.folder, name);
    const config = join(folder, "buildkitd.toml");
    const socket = join(folder, "buildkitd.sock");
    await mkdir(folder, { recursive: true });
    const group = await ControlGroup.create(`runner-fleet-bench-${process.pid}-${name}`);
    const [program, args] = group.wrap(workshop.buildkitd, [
      ...["--config", config, "--root", join(folder, "state"), "--addr", `unix://${socket}`],
    ]);
    let daemon: Daemon | undefined;
    try {
      await writeFile(config, configuration(workshop.registry, mirror, group.name));
      daemon = await Daemon.start(program, args, {
        name: "buildkitd",
        log: join(folder, "log"),
        ready: () => Promise.resolve(existsSync(socket)),
      });
      const builder = new Builder(name, workshop, folder, group, daemon);
      await builder.buildx(["create", "--name", name, "--driver", "remote", `unix://${socket}`]);
      return builder;
    } catch (error) {
      await uninterrupted(() => endAndRemove(folder, group, daemon));
      throw error;
    }
  }

  /** Builds and pushes; the time is that of the whole command. */
  async build(request: BuildRequest): Promise<Sample & { readonly digest: string }> {
    const metadata = join(this.folder, "metadata.json");
    const output = [
      `type=image,name=${this.workshop.registry}/${request.name},push=true`,
      ...(request.byDigest ? ["push-by-digest=true", "name-canonical=true"] : []),
    ].join(",");
    const before = this.group.cpuSeconds();
    const start = performance.now();
    await this.buildx(
      [
        ...["build", "--builder", this.name, "--progress", "plain"],
        ...["--file", join(request.context, request.dockerfile ?? "Dockerfile")],
        ...["--platform", request.platforms.join(",")],
        `--provenance=${request.provenance === false ? "false" : "mode=min"}`,
        ...["--output", output, "--metadata-file", metadata, request.context],
      ],
      request.timeoutMs,
    );
    const seconds = (performance.now() - start) / 1000;
    const after = this.group.cpuSeconds();
    const { "containerimage.digest": digest } = JSON.parse(await readFile(metadata, "utf8")) as {
      "containerimage.digest": string;
    };
    return {
      seconds,
      cpuSeconds: before === undefined || after === undefined ? undefined : after - before,
      digest,
    };
  }

  /** Ends the daemon and removes its cache. */
  async remove(): Promise<void> {
    try {
      await this.buildx(["rm", this.name]);
    } finally {
      await endAndRemove(this.folder, this.group, this.daemon);
    }
  }

  private buildx(args: readonly string[], timeoutMs = 60_000): Promise<void> {
    return runBuildx(this.workshop, this.group, args, timeoutMs);
  }
}

async function endAndRemove(
  folder: string,
  group: ControlGroup,
  daemon: Daemon | undefined,
): Promise<void> {
  await daemon?.stop();
  await group.remove();
  await unmountBelow(folder);
  await removeFolder(folder);
}

/** Makes one index of the images that the legs pushed, as the workflow's last job does. */
export async function combine(
  workshop: Workshop,
  repository: string,
  tag: string,
  digests: readonly string[],
): Promise<Sample> {
  const group = await ControlGroup.create(`runner-fleet-bench-${process.pid}-combine`);
  try {
    const name = `${workshop.registry}/${repository}`;
    const start = performance.now();
    await runBuildx(
      workshop,
      group,
      [
        ...["imagetools", "create", "--tag", `${name}:${tag}`],
        ...digests.map((digest) => `${name}@${digest}`),
      ],
      60_000,
    );
    const seconds = (performance.now() - start) / 1000;
    return { seconds, cpuSeconds: group.cpuSeconds() };
  } finally {
    await group.remove();
  }
}

async function runBuildx(
  { buildx, folder }: Workshop,
  group: ControlGroup,
  args: readonly string[],
  timeoutMs: number,
): Promise<void> {
  const [program, wrapped] = group.wrap(buildx, args);
  const { code, stderr } = await capture(program, wrapped, {
    timeoutMs,
    // A configuration of its own keeps the user's builders and registries out of it.
    env: { PATH: process.env.PATH, HOME: folder, DOCKER_CONFIG: join(folder, "docker") },
  });
  if (code !== 0) {
    const said = stderr.trim().split("\n").slice(-12).join("\n");
    throw new Error(`buildx ${args[0]} failed with code ${code}:\n${said}`);
  }
}

/** The fleet's configuration, the local registry for Docker Hub, and a control group to count processor time in. */
export function configuration(registry: string, mirror: string, group: string): string {
  const section = "[worker.oci]\n";
  const fleet = buildkitConfig({ buildCachePercent: MAX_USED_PERCENT, registryMirrors: {} });
  if (!fleet.includes(section)) throw new Error("buildkitd.toml: found no section [worker.oci].");
  return `${fleet.replace(section, `${section}  defaultCgroupParent = "${group}"\n`)}
[registry."docker.io"]
  mirrors = ["${registry}/${mirror}"]

[registry."${registry}"]
  http = true
`;
}
