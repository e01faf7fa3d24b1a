import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Scalar } from "../../../../local-cloud/actions/message";
import type { Advisory } from "../../../../local-cloud/actions/standIns/trivy";
import { compareVersions } from "../../../../local-cloud/actions/standIns/scan/versions";
import { FakeDocker, runSteps, uses, withServer } from "../support";

/** An executable that says what it was built from, as Go programs do. */
function goProgram(modules: string): Buffer {
  const text = (value: Buffer): Buffer => {
    const length: number[] = [];
    for (let left = value.length; ; left >>= 7) {
      if (left < 128) return Buffer.concat([Buffer.from([...length, left]), value]);
      length.push((left & 127) | 128);
    }
  };
  const header = Buffer.alloc(32);
  header.write("\xff Go buildinf:", "latin1");
  header[14] = 8;
  header[15] = 2;
  const frame = Buffer.alloc(16, 7);
  return Buffer.concat([
    Buffer.from("\x7fELF", "latin1"),
    // A program that reads build information has its mark as a text, too.
    Buffer.from("....\xff Go buildinf:", "latin1"),
    Buffer.alloc(300 * 1024 - 22),
    header,
    text(Buffer.from("go1.24.1")),
    text(Buffer.concat([frame, Buffer.from(modules), frame])),
  ]);
}

const DPKG = [
  "Package: libssl3\nStatus: install ok installed\nSource: openssl (3.0.1-1)\nVersion: 3.0.1-1+b1",
  "Package: gone\nStatus: deinstall ok config-files\nVersion: 1",
  "Package: bash\nStatus: install ok installed\nVersion: 5.2-1",
].join("\n\n");
const GO =
  "path\tcmd\nmod\texample.com/app\t(devel)\t\ndep\tgolang.org/x/net\tv0.10.0\th1:x\ndep\texample.com/old\tv1.0.0\th1:y\n=>\texample.com/new\tv1.5.0\th1:z\n";

const ADVISORIES: Advisory[] = [
  {
    id: "CVE-1",
    ecosystem: "debian",
    package: "openssl",
    fixed: "3.0.2-1",
    severity: "CRITICAL",
    title: "One",
  },
  { id: "CVE-2", ecosystem: "debian", package: "bash", severity: "HIGH", title: "No fix" },
  {
    id: "CVE-3",
    ecosystem: "debian",
    package: "bash",
    fixed: "5.1-1",
    severity: "HIGH",
    title: "Old",
  },
  {
    id: "CVE-4",
    ecosystem: "go",
    package: "golang.org/x/net",
    fixed: "v0.17.0",
    severity: "MEDIUM",
    title: "Net",
  },
  {
    id: "CVE-5",
    ecosystem: "go",
    package: "stdlib",
    fixed: "1.24.2",
    severity: "LOW",
    title: "Go",
  },
  {
    id: "CVE-6",
    ecosystem: "go",
    package: "example.com/old",
    fixed: "2.0.0",
    severity: "CRITICAL",
    title: "Replaced",
  },
  {
    id: "CVE-7",
    ecosystem: "debian",
    package: "gone",
    severity: "CRITICAL",
    title: "Not installed",
  },
  {
    id: "CVE-8",
    ecosystem: "alpine",
    package: "musl",
    fixed: "1.2.5-r1",
    severity: "HIGH",
    title: "Musl",
  },
];

describe("aquasecurity/trivy-action", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "trivy-"));
    await writeFile(join(folder, "advisories.json"), JSON.stringify(ADVISORIES));
    await image("debian.tar", [
      { "var/lib/dpkg/status": DPKG, "app/server": goProgram(GO), "app/removed": goProgram(GO) },
      { "app/.wh.removed": "" },
    ]);
    await image("alpine.tar", [
      { "lib/apk/db/installed": "P:musl-utils\nV:1.2.5-r0\no:musl\n\nP:zlib\nV:1.3-r2\n" },
    ]);
    await image("fixed.tar", [
      { "lib/apk/db/installed": "P:musl\nV:1.2.5-r0\no:musl\n" },
      { "lib/apk/db/installed": "P:musl\nV:1.2.5-r1\no:musl\n" },
    ]);
  });
  after(() => rm(folder, { recursive: true }));

  /** An archive as `docker save` makes it; every second layer is compressed. */
  async function image(name: string, layers: Record<string, string | Buffer>[]): Promise<void> {
    const root = await mkdtemp(join(folder, "image-"));
    const names: string[] = [];
    for (const [index, files] of layers.entries()) {
      const layer = join(root, `layer-${index}`);
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(layer, path)), { recursive: true });
        await writeFile(join(layer, path), content, { mode: 0o755 });
      }
      execFileSync("tar", ["-cf", `${layer}.tar`, "-C", layer, "."]);
      if (index % 2 === 1)
        await writeFile(`${layer}.tar`, gzipSync(await readFile(`${layer}.tar`)));
      await rm(layer, { recursive: true });
      names.push(`layer-${index}.tar`);
    }
    await writeFile(join(root, "manifest.json"), JSON.stringify([{ Layers: names }]));
    execFileSync("tar", ["-cf", join(folder, name), "-C", root, "."]);
  }

  const scan = (inputs: Record<string, Scalar>, env: Record<string, string> = {}) =>
    runSteps([{ uses: uses("aquasecurity/trivy-action"), with: inputs }], {
      processEnv: { RUNNER_FLEET_ADVISORIES: join(folder, "advisories.json"), ...env },
    });
  const found = (log: string): string[] => [...log.matchAll(/\bCVE-\d+\b/g)].map(([id]) => id);

  for (const [inputs, expected, result] of [
    [{}, ["CVE-1", "CVE-2", "CVE-4", "CVE-5"], "succeeded"],
    [{ "exit-code": 1 }, ["CVE-1", "CVE-2", "CVE-4", "CVE-5"], "failed"],
    [{ "exit-code": "1", severity: "CRITICAL,HIGH", "ignore-unfixed": true }, ["CVE-1"], "failed"],
    [{ "exit-code": "1", severity: "HIGH", "ignore-unfixed": true }, [], "succeeded"],
    [{ "vuln-type": "library" }, ["CVE-4", "CVE-5"], "succeeded"],
    [{ "vuln-type": "os", severity: "HIGH" }, ["CVE-2"], "succeeded"],
  ] as const)
    it(`finds ${expected.join(" ") || "nothing"} with ${JSON.stringify(inputs)}`, async () => {
      const { report, log } = await scan({ input: join(folder, "debian.tar"), ...inputs });
      assert.equal(report.result, result, log);
      assert.deepEqual(found(log), expected);
      assert.match(log, new RegExp(`^Total: ${expected.length} `, "m"));
    });

  it("reads Alpine's packages, of the last layer that has them", async () => {
    assert.deepEqual(found((await scan({ input: join(folder, "alpine.tar") })).log), ["CVE-8"]);
    assert.deepEqual(found((await scan({ input: join(folder, "fixed.tar") })).log), []);
  });

  it("saves an image that docker has", async () => {
    const docker = await FakeDocker.create(
      `case "$1" in save) cp '${join(folder, "alpine.tar")}' "$3" ;; esac`,
    );
    const { log } = await scan({ "image-ref": "ghcr.io/acme/webppt:1" }, docker.env);
    assert.deepEqual(found(log), ["CVE-8"]);
    assert.deepEqual(
      (await docker.calls()).map((call) => call.filter((word) => !word.endsWith(".tar"))),
      [
        ["image", "inspect", "ghcr.io/acme/webppt:1"],
        ["save", "--output", "ghcr.io/acme/webppt:1"],
      ],
    );
    await docker.remove();
  });

  describe("of an image in a registry", () => {
    const hash = (content: string | Buffer): string =>
      `sha256:${createHash("sha256").update(content).digest("hex")}`;
    const layer = (root: string, content: string): Buffer => {
      const file = join(root, "lib/apk/db/installed");
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
      return gzipSync(execFileSync("tar", ["-cf", "-", "-C", root, "."]));
    };

    /** A registry with login, and an index whose arm64 image has something that its amd64 image has not. */
    async function scanRemote(
      env: Record<string, string>,
      login: string,
      reference?: string,
      served: (content: Buffer, path: string) => Buffer = (content) => content,
    ): Promise<{ log: string; result: string | undefined }> {
      const work = await mkdtemp(join(folder, "registry-"));
      const contents = new Map<string, Buffer>();
      const put = (content: string | Buffer): string => {
        contents.set(hash(content), Buffer.from(content));
        return hash(content);
      };
      const platforms = [
        { os: "linux", architecture: "amd64" },
        { os: "linux", architecture: "arm64" },
        { os: "linux", architecture: "arm", variant: "v7" },
      ];
      const manifests = platforms.map((platform) => ({
        digest: put(
          JSON.stringify({
            layers: [
              {
                digest: put(
                  layer(
                    join(work, platform.architecture),
                    platform.architecture === "arm64" ? "P:musl\nV:1.2.5-r0\n" : "P:zlib\nV:1\n",
                  ),
                ),
              },
            ],
          }),
        ),
        platform,
      }));
      const index = put(JSON.stringify({ manifests }));
      contents.set("tag", contents.get(index) ?? Buffer.alloc(0));
      return withServer(
        (request, response) => {
          const path = request.url ?? "";
          const { authorization, host = "" } = request.headers;
          if (path.startsWith("/token")) {
            assert.match(path, /service=registry&scope=repository%3Aacme%2Fwebppt%3Apull/);
            const good = authorization === `Basic ${Buffer.from("me:secret").toString("base64")}`;
            response.writeHead(good ? 200 : 401).end('{"token":"bearer"}');
          } else if (authorization !== "Bearer bearer") {
            response
              .writeHead(401, {
                "www-authenticate": `Bearer realm="http://${host}/token",service="registry",scope="repository:acme/webppt:pull"`,
              })
              .end();
          } else {
            const content = contents.get(
              path.replace(/^\/v2\/acme\/webppt\/(manifests|blobs)\//, ""),
            );
            response
              .writeHead(content === undefined ? 404 : 200)
              .end(content && served(content, path));
          }
        },
        async (url) => {
          const host = new URL(url).host;
          const auths = { [host]: { auth: Buffer.from(login).toString("base64") } };
          await writeFile(join(work, "config.json"), JSON.stringify({ auths }));
          const { report, log } = await scan(
            { "image-ref": `${host}/acme/webppt${reference ?? `@${index}`}` },
            { DOCKER_CONFIG: work, TRIVY_IMAGE_SRC: "remote", ...env },
          );
          return { log, result: report.result };
        },
      );
    }

    it("reads the image of the platform, with Docker's login", async () => {
      const arm64 = await scanRemote({ TRIVY_PLATFORM: "linux/arm64" }, "me:secret");
      assert.deepEqual(found(arm64.log), ["CVE-8"], arm64.log);
      const amd64 = await scanRemote({ TRIVY_PLATFORM: "linux/amd64" }, "me:secret", ":tag");
      assert.equal(amd64.result, "succeeded", amd64.log);
      assert.deepEqual(found(amd64.log), []);
      assert.match(amd64.log, /^Scanned 1 packages/m);
    });

    it("takes arm for no beginning of arm64", async () => {
      for (const platform of ["linux/arm", "linux/arm/v7"]) {
        const arm = await scanRemote({ TRIVY_PLATFORM: platform }, "me:secret");
        assert.equal(arm.result, "succeeded", arm.log);
        assert.deepEqual(found(arm.log), []);
      }
      const { result, log } = await scanRemote({ TRIVY_PLATFORM: "linux/arm/v6" }, "me:secret");
      assert.equal(result, "failed");
      assert.match(log, /has no image for linux\/arm\/v6/);
    });

    for (const kind of ["manifests", "blobs"])
      it(`refuses ${kind} that are something else than their digest says`, async () => {
        const { result, log } = await scanRemote({}, "me:secret", undefined, (content, path) =>
          path.includes(`/${kind}/`) ? Buffer.concat([content, Buffer.from("\n")]) : content,
        );
        assert.equal(result, "failed");
        assert.match(log, /gave something else than sha256:/);
      });

    for (const [env, login, reference, message] of [
      [
        { TRIVY_PLATFORM: "linux/riscv64" },
        "me:secret",
        undefined,
        /has no image for linux\/riscv64/,
      ],
      [{}, "me:wrong", undefined, /refuses the login with status 401/],
      [{}, "me:secret", ":none", /answered 404 to manifests\/none of acme\/webppt/],
    ] as const)
      it(`fails with ${message.source}`, async () => {
        const { result, log } = await scanRemote(env, login, reference);
        assert.equal(result, "failed");
        assert.match(log, message);
      });
  });

  for (const [inputs, env, message] of [
    [{ input: "x" }, { RUNNER_FLEET_ADVISORIES: "" }, /RUNNER_FLEET_ADVISORIES is not set/],
    [{ input: "x" }, { RUNNER_FLEET_ADVISORIES: "/dev/null" }, /cannot be read as JSON/],
    [{}, {}, /Neither or both of image-ref and input/],
    [{ input: "missing.tar" }, {}, /missing\.tar cannot be scanned: ENOENT/],
    [{ input: "x", severity: "BAD" }, {}, /severity has BAD, expected UNKNOWN/],
    [{ input: "x", format: "sarif" }, {}, /does not model format sarif, expected table/],
    [{ input: "x", "scan-type": "fs" }, {}, /does not model scan-type fs/],
    [{ input: "x", output: "y" }, {}, /does not model the input output/],
  ] as const)
    it(`refuses ${JSON.stringify({ ...inputs, ...env })}`, async () => {
      const { report, log } = await scan(inputs, env);
      assert.equal(report.result, "failed");
      assert.match(log, message);
    });
});

describe("versions of packages", () => {
  for (const [ecosystem, older, newer] of [
    ["debian", "1.0-1", "1.0-2"],
    ["debian", "1.0~rc1-1", "1.0-1"],
    ["debian", "9.9-1", "1:0.1-1"],
    ["debian", "1.9", "1.10"],
    ["debian", "1.0", "1.0a"],
    ["debian", "1.0a", "1.0+b"],
    ["debian", "3.0.1-1", "3.0.1-1+deb12u1"],
    ["alpine", "1.2.5-r9", "1.2.5-r10"],
    ["alpine", "1.2_rc1-r0", "1.2-r0"],
    ["alpine", "1.2-r0", "1.2_p1-r0"],
    ["go", "v0.9.0", "v0.10.0"],
    ["go", "v1.0.0-20200101000000-abcdefabcdef", "v1.0.0"],
    ["go", "1.24", "1.24.1"],
  ] as const)
    it(`${ecosystem}: ${older} < ${newer}`, () => {
      assert.ok(compareVersions(ecosystem, older, newer) < 0);
      assert.ok(compareVersions(ecosystem, newer, older) > 0);
      assert.equal(compareVersions(ecosystem, newer, newer), 0);
    });
});
