import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { parse } from "yaml";
import {
  configHash,
  hostScript,
  type HostStack,
  MAX_USER_DATA_BYTES,
  renderCloudInit,
  userDataBytes,
} from "../../../components/host/cloudInit";
import { hostKeyFromSecret } from "../../../components/host/hostKey";
import { assertGolden } from "./golden";
import { ALONE, BASE, STACK } from "./models";
import { needs } from "./onPath";

const hostKey = hostKeyFromSecret("a secret");
/** Texts that YAML 1.1 takes for something else when they are bare. */
const TRICKY = ["yes", "off", "22:22", "0777", "1_000", "~", "2026-01-01", "a: b", "# c", "é\t✓"];
const FIREWALL = ["systemctl", "enable", "--now", "runner-fleet-firewall.service"];
const DOCKER = ["systemctl", "enable", "--now", "docker.service"];

interface CloudConfig {
  readonly packages: string[];
  readonly ssh_keys?: Record<string, string>;
  readonly runcmd: (string | string[])[];
  readonly write_files: {
    readonly path: string;
    readonly permissions: string;
    readonly content: string;
    readonly encoding?: string;
  }[];
}

function render(change: Partial<typeof BASE> = {}): string {
  return renderCloudInit(hostKey, { ...BASE, ...change }, STACK);
}

function parsed(text: string): CloudConfig {
  assert.match(text, /^#cloud-config\n/);
  return parse(text, { version: "1.1" }) as CloudConfig;
}

describe("renderCloudInit, with SSH", () => {
  it("is the golden file, byte for byte", () => {
    assertGolden(render(), join(__dirname, "golden", "user-data.yaml"));
  });

  it("closes the firewall before it starts Docker", () => {
    const { runcmd, write_files } = parsed(render());
    assert.deepEqual(runcmd, [FIREWALL, DOCKER]);
    assert.deepEqual(
      write_files.map(({ path, permissions }) => [path, permissions]),
      [
        ["/etc/ssh/sshd_config.d/10-runner-fleet.conf", "0644"],
        ["/etc/docker/daemon.json", "0644"],
        ["/etc/runner-fleet/firewall.nft", "0644"],
        ["/etc/systemd/system/runner-fleet-firewall.service", "0644"],
        ["/etc/systemd/system/nftables.service.d/runner-fleet.conf", "0644"],
      ],
    );
  });

  it("runs configured packages and commands after its own, in order and unchanged", () => {
    const own = parsed(render());
    const { packages, runcmd } = parsed(
      render({ packages: TRICKY, runcmd: [...TRICKY].reverse() }),
    );
    assert.deepEqual(packages, [...own.packages, ...TRICKY]);
    assert.deepEqual(runcmd, [...own.runcmd, ...[...TRICKY].reverse()]);
  });

  it("says the same to PyYAML, which cloud-init reads with", function () {
    needs(this, "python3", "--version");
    const piece = fc.oneof(
      fc.constantFrom(...TRICKY, "\t", "\n", " #", ": ", "=", "---", "'", '"', "\\", "$x"),
      fc.string({ maxLength: 5 }),
    );
    const text = fc
      .array(piece, { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join(""))
      .filter((one) => one !== "");
    const texts = [...TRICKY, "=", ...fc.sample(text, 300)];
    const userData = render({ packages: texts, runcmd: [...texts].reverse() });
    const program =
      "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin.buffer.read()), sys.stdout)";
    const { status, stdout, stderr } = spawnSync("python3", ["-c", program], {
      input: userData,
      encoding: "utf8",
    });
    if (stderr.includes("No module named 'yaml'")) {
      console.warn("      python3 has no PyYAML: the test is skipped");
      this.skip();
    }
    assert.equal(status, 0, stderr);
    const read = JSON.parse(stdout) as CloudConfig;
    assert.deepEqual(read.packages.slice(-texts.length), texts);
    assert.deepEqual(read.runcmd.slice(-texts.length), [...texts].reverse());
    assert.deepEqual(read, parsed(userData));
  });

  it("moves sshd to another port before anything else may fail", () => {
    const { runcmd, write_files } = parsed(render({ sshPort: 2222, runcmd: ["false"] }));
    assert.match(write_files[0]!.content, /^Port 2222$/m);
    const restart = ["systemctl", "restart", "ssh.service"];
    assert.deepEqual(runcmd, [FIREWALL, DOCKER, restart, "false"]);
  });

  it("leaves most of Hetzner's limit to the configuration", () => {
    assert.ok(Buffer.byteLength(render()) < MAX_USER_DATA_BYTES / 6);
  });

  it("holds no key but the host's own, and nothing of the stack", () => {
    const text = render();
    assert.equal(text.match(/PRIVATE KEY/g)?.length, 2);
    // Nothing else is long enough, or named like one.
    const others = text.replaceAll(/^ {4}[A-Za-z0-9+/=-].*$/gm, "").replace(hostKey.publicKey, "");
    assert.doesNotMatch(others, /[A-Za-z0-9+_]{30}/);
    assert.doesNotMatch(text, /PAT_|token|canary|applied/i);
  });
});

describe("renderCloudInit, without SSH", () => {
  const text = renderCloudInit(hostKey, { ...ALONE, runcmd: ["touch /srv/own"] }, STACK);

  it("holds the whole script, for root alone, and starts it last", () => {
    const { runcmd, write_files, ssh_keys } = parsed(text);
    assert.equal(ssh_keys, undefined);
    assert.deepEqual(runcmd, [
      "touch /srv/own",
      ["systemctl", "daemon-reload"],
      ["systemctl", "enable", "runner-fleet-apply.service"],
      ["systemctl", "start", "--no-block", "runner-fleet-apply.service"],
    ]);
    const apply = write_files.at(-1)!;
    assert.deepEqual(
      [apply.path, apply.permissions, apply.encoding],
      ["/var/lib/runner-fleet/apply", "0600", "gz+b64"],
    );
    assert.equal(
      gunzipSync(Buffer.from(apply.content, "base64")).toString(),
      hostScript({ ...ALONE, runcmd: ["touch /srv/own"] }, STACK),
    );
    const secretive = write_files.filter(({ permissions }) => permissions !== "0644");
    assert.deepEqual(secretive, [apply]);
  });

  it("opens SSH to nobody", () => {
    assert.doesNotMatch(hostScript(ALONE, STACK), /dport 22|sshd_config\.d\/.*new/);
  });
});

describe("hostScript", () => {
  it("brings the base first, then what the stack says", () => {
    const script = hostScript(BASE, STACK);
    const end = script.slice(script.lastIndexOf("/opt/runner-fleet/bin/base\n"));
    assert.equal(end, "/opt/runner-fleet/bin/base\necho applied\n}\napply </dev/null\n");
    assert.ok(script.indexOf("canary-secret") > script.indexOf("/etc/runner-fleet/base.env"));
  });
});

describe("userDataBytes", () => {
  it("are those of the real user_data, whatever the host key", () => {
    for (const base of [BASE, { ...BASE, packages: ["naïve"] }, ALONE]) {
      for (const secret of ["", "one", "x".repeat(64)]) {
        const real = renderCloudInit(hostKeyFromSecret(secret), base, STACK);
        assert.equal(userDataBytes(base, STACK), Buffer.byteLength(real));
      }
    }
  });
});

describe("configHash", () => {
  const with_ = (file: Partial<HostStack["files"][number]>, index: number): HostStack => ({
    ...STACK,
    files: STACK.files.map((one, at) => (at === index ? { ...one, ...file } : one)),
  });

  it("is a label's text, the same for the same host", () => {
    assert.match(configHash(ALONE, STACK), /^[0-9a-f]{16}$/);
    assert.equal(configHash(ALONE, STACK), configHash({ ...ALONE }, { ...STACK }));
  });

  for (const [what, base, stack] of [
    ["a file", ALONE, with_({ content: "other\n" }, 0)],
    ["the mode of a file", ALONE, with_({ mode: "0755" }, 0)],
    ["the owner of a secret file", ALONE, with_({ owner: "1:1" }, 1)],
    ["a command", ALONE, { ...STACK, commands: ["echo other"] }],
    ["a package", { ...ALONE, packages: ["htop"] }, STACK],
    ["a port", { ...ALONE, privatePorts: [1] }, STACK],
    ["the window for reboots", { ...ALONE, rebootWindow: "never" }, STACK],
  ] as const) {
    it(`is another one after a change of ${what}`, () => {
      assert.notEqual(configHash(base, stack), configHash(ALONE, STACK));
    });
  }

  it("tells nothing of what its owner alone may read", () => {
    assert.equal(configHash(ALONE, with_({ content: "other" }, 1)), configHash(ALONE, STACK));
  });
});
