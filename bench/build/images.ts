import { copyFile, chmod, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { cached, keyOf } from "../../local-cloud/hosts/cache";
import { run } from "../../local-cloud/hosts/run";
import type { Builder } from "./builder";

/** Mirrors of Docker Hub in the local registry. */
export const MIRROR = "library-of-each-platform";
/** As MIRROR, but what is labelled linux/arm64 holds amd64 programs that generate arm64 code. */
export const STAND_IN_MIRROR = "library-of-the-stand-in";

const IMAGE = "library/golang:1.26-alpine";
const ARCHITECTURES = ["amd64", "arm64"] as const;
type Architecture = (typeof ARCHITECTURES)[number];
const APPLETS = ["cat", "cp", "ls", "mkdir", "rm", "sh"];
/** Programs behind the go command that building and checking take. */
const TOOLS = ["asm", "compile", "link", "vet"];
const MINUTE = 60_000;

/**
 * Makes the image that the service's Dockerfile starts from and pushes it under both mirrors: Debian's busybox and the
 * Go toolchain of this machine, for arm64 built from the sources that come with it.
 */
export async function pushGoImage(
  builder: Builder,
  folder: string,
  log: (line: string) => void,
): Promise<void> {
  const goroot = (await go(["env", "GOROOT"])).trim();
  const programs = await cachedPrograms(log);
  const context = join(folder, "go-image");
  for (const architecture of ARCHITECTURES) {
    await layOut(join(context, architecture), architecture, goroot, programs);
  }
  await mkdir(join(context, "stand-in"), { recursive: true });
  const dockerfile = (arm64: string) =>
    [
      "FROM scratch AS amd64",
      "COPY amd64/ /",
      "FROM scratch AS arm64",
      arm64,
      "FROM ${TARGETARCH}",
      "ENV PATH=/usr/local/go/bin:/bin GOROOT=/usr/local/go GOPATH=/go HOME=/root",
      "WORKDIR /go",
      "",
    ].join("\n");
  const environment = join("usr", "local", "go", "go.env");
  await run("cp", [join(goroot, "go.env"), join(context, "stand-in", "go.env")]);
  await run("sh", ["-c", 'echo GOARCH=arm64 >> "$0"', join(context, "stand-in", "go.env")]);
  for (const [mirror, arm64] of [
    [MIRROR, "COPY arm64/ /"],
    [STAND_IN_MIRROR, `COPY amd64/ /\nCOPY stand-in/go.env /${environment}`],
  ] as const) {
    await writeFile(join(context, "Dockerfile"), dockerfile(arm64));
    await builder.build({
      context,
      platforms: ["linux/amd64", "linux/arm64"],
      name: `${mirror}/${IMAGE}`,
      provenance: false,
      timeoutMs: 10 * MINUTE,
    });
  }
}

async function layOut(
  root: string,
  architecture: Architecture,
  goroot: string,
  programs: string,
): Promise<void> {
  for (const name of ["bin", "etc", "go", "root", "tmp", "usr/local/go/pkg"]) {
    await mkdir(join(root, name), { recursive: true });
  }
  await chmod(join(root, "tmp"), 0o1777);
  await copyFile(join(programs, `busybox-${architecture}`), join(root, "bin", "busybox"));
  for (const applet of APPLETS) await symlink("busybox", join(root, "bin", applet));
  const target = join(root, "usr", "local", "go");
  const sources = ["--exclude=*_test.go", "--exclude=testdata", "--exclude=src/cmd"];
  const parts = ["src", "lib", "VERSION", "go.env", "pkg/include"];
  await run(
    "sh",
    ["-c", 'tar -C "$0" -c "$@" | tar -C "$TARGET" -x', goroot, ...sources, ...parts],
    {
      env: { ...process.env, TARGET: target },
      timeoutMs: 5 * MINUTE,
    },
  );
  // The dot: what is in the folder, not the folder.
  await run("cp", ["-r", `${join(programs, architecture)}/.`, target]);
}

/** What takes long to make, or comes from a package source. */
async function cachedPrograms(log: (line: string) => void): Promise<string> {
  const version = (await go(["env", "GOVERSION"])).trim();
  return cached("bench-programs", keyOf("1", version, ...TOOLS), async (folder) => {
    for (const architecture of ARCHITECTURES) {
      log(`Go toolchain for ${architecture}, from its sources …`);
      const target = join(folder, architecture);
      const build = (output: string, packages: readonly string[]) =>
        go(
          ["build", "-trimpath", "-ldflags=-s -w", "-o", `${join(target, output)}/`, ...packages],
          {
            GOOS: "linux",
            GOARCH: architecture,
          },
        );
      await mkdir(join(target, "bin"), { recursive: true });
      await build("bin", ["cmd/go", "cmd/gofmt"]);
      const tools = join("pkg", "tool", `linux_${architecture}`);
      await mkdir(join(target, tools), { recursive: true });
      await build(
        tools,
        TOOLS.map((tool) => `cmd/${tool}`),
      );
      log(`busybox for ${architecture}, from Debian …`);
      await fetchBusybox(folder, architecture);
    }
  });
}

/** The package lists of another architecture go into a folder of their own: the machine's are left as they are. */
async function fetchBusybox(folder: string, architecture: Architecture): Promise<void> {
  const state = join(folder, "apt");
  await mkdir(join(state, "lists", "partial"), { recursive: true });
  await mkdir(join(state, "cache", "archives", "partial"), { recursive: true });
  await writeFile(join(state, "status"), "");
  const apt = (args: readonly string[]) =>
    run(
      "apt-get",
      [
        "-qq",
        ...["-o", `APT::Architecture=${architecture}`, "-o", `APT::Architectures=${architecture}`],
        ...["-o", `Dir::State::Lists=${join(state, "lists")}`, "-o", `Dir::Cache=${state}/cache`],
        ...["-o", `Dir::State::status=${join(state, "status")}`, "-o", "APT::Sandbox::User=root"],
        ...args,
      ],
      { cwd: state, timeoutMs: 10 * MINUTE },
    );
  await apt(["update"]);
  await apt(["download", `busybox-static:${architecture}`]);
  const archive = (await readdir(state)).find((name) => name.endsWith(".deb"));
  if (archive === undefined) throw new Error("apt-get downloaded no package busybox-static.");
  const unpacked = join(state, "unpacked");
  await run("dpkg-deb", ["--extract", join(state, archive), unpacked]);
  const program = (await readdir(unpacked, { recursive: true })).find(
    (name) => basename(name) === "busybox" && name.includes("bin/"),
  );
  if (program === undefined) throw new Error("The package busybox-static holds no busybox.");
  const target = join(folder, `busybox-${architecture}`);
  await copyFile(join(unpacked, program), target);
  await chmod(target, 0o755);
  await run("rm", ["-rf", "--", state]);
}

function go(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  return run("nice", ["go", ...args], {
    timeoutMs: 20 * MINUTE,
    env: {
      ...process.env,
      CGO_ENABLED: "0",
      GOFLAGS: "",
      GOTOOLCHAIN: "local",
      GOWORK: "off",
      ...env,
    },
  });
}
