import { mkdtemp, readFile } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { uninterrupted } from "../../local-cloud/core/interruption";
import { removeFolder, run } from "../../local-cloud/hosts/run";
import { RegistryClient } from "../../local-cloud/registry/client";
import { startRegistry } from "../../local-cloud/registry/process";
import { BUILDKIT_VERSION, BUILDX_VERSION, buildTools } from "../../local-cloud/tools";
import { emulateArm64 } from "../../local-cloud/tools/emulation";
import { Builder, combine, type Workshop } from "./builder";
import { MIRROR, pushGoImage, STAND_IN_MIRROR } from "./images";
import type { BenchOptions } from "./options";
import type { Environment, Measurements, Sample } from "./report";
import { checkImage, Service } from "./service";

const AMD64 = "linux/amd64";
const ARM64 = "linux/arm64";
/** Of the package qemu-user-static. */
const EMULATOR = "/usr/bin/qemu-aarch64-static";
const REPOSITORY = "example/folio";
const MINUTE = 60_000;
const NATIVE_TIMEOUT = 20 * MINUTE;
const EMULATED_TIMEOUT = 120 * MINUTE;

interface MutableLegs {
  amd64: Sample[];
  arm64: Sample[];
  combine: Sample[];
}

/** Runs every build and returns what it took. All that it starts is ended, and all that it writes removed. */
export async function measure(
  options: BenchOptions,
  log: (line: string) => void,
): Promise<{ environment: Environment; measurements: Measurements }> {
  if (process.platform !== "linux" || process.arch !== "x64" || process.getuid?.() !== 0) {
    throw new Error(
      `bench:build: found ${process.platform} on ${process.arch}${process.getuid?.() === 0 ? "" : ", not as root"}, expected Linux on x64 as root: BuildKit mounts and QEMU's registration take it.`,
    );
  }
  // Before this program itself makes work.
  const load = loadavg()[0]!;
  const tools = await buildTools(log);
  const folder = await mkdtemp(join(tmpdir(), "runner-fleet-bench-"));
  const undo: (() => Promise<void>)[] = [() => removeFolder(folder)];
  try {
    const emulation = await emulateArm64(EMULATOR);
    if (!emulation.available) {
      throw new Error(
        `The emulated baseline cannot be had, so there is nothing to compare with: ${emulation.reason}.`,
      );
    }
    undo.push(() => emulation.close());
    const registry = await startRegistry({
      program: "docker-registry",
      storage: join(folder, "registry"),
    });
    undo.push(() => registry.close());
    const workshop: Workshop = {
      folder,
      buildkitd: tools.buildkitd,
      buildx: tools.buildx,
      registry: new URL(registry.url).host,
    };
    const bench = new Bench(
      workshop,
      new RegistryClient(registry.url),
      await Service.prepare(folder),
      options,
      log,
    );
    await bench.prepareImages();
    const environment = await describe(bench.service, load);
    return { environment, measurements: await bench.run() };
  } finally {
    await uninterrupted(() => undoAll(undo));
  }
}

/** Takes every step back, the last one first, also when one of them fails. */
async function undoAll(steps: (() => Promise<void>)[]): Promise<void> {
  const step = steps.pop();
  if (step === undefined) return;
  try {
    await step();
  } finally {
    await undoAll(steps);
  }
}

class Bench {
  private builders = 0;

  constructor(
    private readonly workshop: Workshop,
    private readonly registry: RegistryClient,
    readonly service: Service,
    private readonly options: BenchOptions,
    private readonly log: (line: string) => void,
  ) {}

  /** The builder that makes the images goes, cache and all: no measured build starts with something in it. */
  prepareImages(): Promise<void> {
    return this.withBuilder(MIRROR, (builder) =>
      pushGoImage(builder, this.workshop.folder, this.log),
    );
  }

  async run(): Promise<Measurements> {
    const crossCompiled = await this.cold("cross-compiled, one job", {
      platforms: [AMD64, ARM64],
      tag: "cross",
      dockerfile: "Dockerfile.cross",
    });
    const amd64Only = await this.cold("amd64 alone", { platforms: [AMD64], tag: "amd64" });
    const hybrid = await this.hybrid();
    const qemu = await this.qemu();
    return { amd64Only, qemu, hybrid, crossCompiled };
  }

  private async cold(
    title: string,
    { platforms, tag, dockerfile }: { platforms: string[]; tag: string; dockerfile?: string },
  ): Promise<Sample[]> {
    return this.repeat(this.options.slowRuns, () =>
      this.withBuilder(MIRROR, async (builder) => {
        const sample = await this.build(title, builder, {
          platforms,
          name: `${REPOSITORY}:${tag}`,
          timeoutMs: NATIVE_TIMEOUT,
          ...(dockerfile === undefined ? {} : { dockerfile }),
        });
        if (platforms.length > 1) await this.check(tag);
        return sample;
      }),
    );
  }

  private async qemu(): Promise<Measurements["qemu"]> {
    const cold: Sample[] = [];
    const oneLine: Sample[] = [];
    const noChange: Sample[] = [];
    for (let n = 0; n < this.options.slowRuns; n++) {
      await this.withBuilder(MIRROR, async (builder) => {
        const build = (title: string) =>
          this.build(`QEMU, ${title}`, builder, {
            platforms: [AMD64, ARM64],
            name: `${REPOSITORY}:qemu`,
            timeoutMs: EMULATED_TIMEOUT,
          });
        this.log("QEMU, no cache: the slow one, for minutes …");
        cold.push(await build("no cache"));
        await this.check("qemu");
        await this.service.changeOneLine();
        oneLine.push(await build("one-line change"));
        noChange.push(await build("no change"));
      });
    }
    return { cold, oneLine, noChange };
  }

  private async hybrid(): Promise<Measurements["hybrid"]> {
    const [cold, oneLine, noChange] = [legs(), legs(), legs()];
    const sharedCores: Sample[] = [];
    for (let n = 0; n < this.options.slowRuns; n++) {
      const last = n === this.options.slowRuns - 1;
      await this.withLegs(async (amd64, arm64) => {
        await this.inTurn("no cache", cold, amd64, arm64);
        for (let quick = 0; last && quick < this.options.runs; quick++) {
          await this.service.changeOneLine();
          await this.inTurn("one-line change", oneLine, amd64, arm64);
          await this.inTurn("no change", noChange, amd64, arm64);
        }
      });
      await this.withLegs(async (amd64, arm64) => {
        sharedCores.push(await this.atOnce(amd64, arm64));
      });
    }
    return { cold, oneLine, noChange, sharedCores };
  }

  private withLegs(use: (amd64: Builder, arm64: Builder) => Promise<void>): Promise<void> {
    return this.withBuilder(MIRROR, (amd64) =>
      this.withBuilder(STAND_IN_MIRROR, (arm64) => use(amd64, arm64)),
    );
  }

  /** One leg after the other, so that each has all cores, as on a machine of its own. */
  private async inTurn(
    title: string,
    into: MutableLegs,
    amd64: Builder,
    arm64: Builder,
  ): Promise<void> {
    const one = await this.leg(`amd64 leg, ${title}`, amd64, AMD64);
    const other = await this.leg(`arm64 leg, ${title}`, arm64, ARM64);
    into.amd64.push(one);
    into.arm64.push(other);
    into.combine.push(await combine(this.workshop, REPOSITORY, "hybrid", digests(one, other)));
    await this.check("hybrid");
  }

  private async atOnce(amd64: Builder, arm64: Builder): Promise<Sample> {
    const start = performance.now();
    const [one, other] = await Promise.all([
      this.leg("amd64 leg at once, no cache", amd64, AMD64),
      this.leg("arm64 leg at once, no cache", arm64, ARM64),
    ]);
    const last = await combine(this.workshop, REPOSITORY, "at-once", digests(one, other));
    const seconds = (performance.now() - start) / 1000;
    const cpu = [one.cpuSeconds, other.cpuSeconds, last.cpuSeconds];
    return {
      seconds,
      cpuSeconds: cpu.every((value) => value !== undefined)
        ? cpu.reduce((sum, value) => sum + value, 0)
        : undefined,
    };
  }

  private leg(title: string, builder: Builder, platform: string): Promise<BuiltSample> {
    return this.build(title, builder, {
      platforms: [platform],
      name: REPOSITORY,
      byDigest: true,
      timeoutMs: NATIVE_TIMEOUT,
    });
  }

  private async build(
    title: string,
    builder: Builder,
    request: Omit<Parameters<Builder["build"]>[0], "context">,
  ): Promise<BuiltSample> {
    const sample = await builder.build({ ...request, context: this.service.context });
    this.log(`${title}: ${sample.seconds.toFixed(1)} s`);
    return sample;
  }

  private check(tag: string): Promise<void> {
    return checkImage(this.registry, REPOSITORY, tag, this.workshop.folder);
  }

  private async withBuilder<T>(mirror: string, use: (builder: Builder) => Promise<T>): Promise<T> {
    const builder = await Builder.start(this.workshop, `builder-${++this.builders}`, mirror);
    try {
      return await use(builder);
    } finally {
      await uninterrupted(() => builder.remove());
    }
  }

  private async repeat<T>(times: number, task: () => Promise<T>): Promise<T[]> {
    const results: T[] = [];
    for (let n = 0; n < times; n++) results.push(await task());
    return results;
  }
}

type BuiltSample = Sample & { readonly digest: string };

function legs(): MutableLegs {
  return { amd64: [], arm64: [], combine: [] };
}

function digests(...samples: readonly BuiltSample[]): string[] {
  return samples.map(({ digest }) => digest);
}

async function describe(service: Service, load: number): Promise<Environment> {
  const firstLine = async (program: string, ...args: string[]) =>
    (await run(program, args)).split("\n")[0]!;
  return {
    cpus: cpus().length,
    model: cpus()[0]?.model.trim() || "unknown processor",
    load,
    versions: {
      BuildKit: BUILDKIT_VERSION,
      buildx: BUILDX_VERSION,
      Go: (await firstLine("go", "env", "GOVERSION")).replace(/^go/, ""),
      QEMU: /version (\S+)/.exec(await firstLine(EMULATOR, "--version"))?.[1] ?? "?",
      runc: /version (\S+)/.exec(await firstLine("runc", "--version"))?.[1] ?? "?",
      Linux: (await readFile("/proc/sys/kernel/osrelease", "utf8")).trim(),
    },
    service: { lines: service.lines, modules: service.modules },
  };
}
