import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { baseFiles, baseModel, type BaseModel } from "../../../components/host/base";
import { needs } from "./onPath";
import { ALONE, BASE } from "./models";

function contents(model: Partial<BaseModel> = {}): Record<string, string> {
  return Object.fromEntries(
    baseFiles({ ...BASE, ...model }).map(({ path, content }) => [path, content]),
  );
}
const SSHD = "/etc/ssh/sshd_config.d/10-runner-fleet.conf";
const DOCKER = "/etc/docker/daemon.json";
const TIMER = "/etc/systemd/system/runner-fleet-reboot.timer";
const REBOOT = "/etc/systemd/system/runner-fleet-reboot.service";
const FIRST_BOOT = "/opt/runner-fleet/bin/first-boot";

describe("baseFiles", () => {
  it("are these, for everyone to read", () => {
    assert.deepEqual(
      baseFiles(BASE).map(({ path, mode, owner }) => [path, mode, owner]),
      [
        ["/etc/runner-fleet/firewall.nft", "0644", undefined],
        ["/etc/systemd/system/runner-fleet-firewall.service", "0644", undefined],
        ["/etc/systemd/system/nftables.service.d/runner-fleet.conf", "0644", undefined],
        [SSHD, "0644", undefined],
        [DOCKER, "0644", undefined],
        ["/etc/apt/apt.conf.d/52runner-fleet", "0644", undefined],
        ["/etc/systemd/journald.conf.d/10-runner-fleet.conf", "0644", undefined],
        ["/etc/sysctl.d/60-runner-fleet-base.conf", "0644", undefined],
        [REBOOT, "0644", undefined],
        [TIMER, "0644", undefined],
        ["/etc/runner-fleet/base.env", "0644", undefined],
        ["/opt/runner-fleet/bin/base", "0755", undefined],
        ["/opt/runner-fleet/bin/reboot-if-required", "0755", undefined],
        [FIRST_BOOT, "0755", undefined],
      ],
    );
  });

  it("have scripts that are clean to shellcheck", function () {
    needs(this, "shellcheck", "--version");
    const all = contents({ packages: ["a b", "c'd"], runcmd: ['echo "it\'s" $HOME', "false"] });
    const scripts = Object.entries(all).filter(([path]) => path.startsWith("/opt/"));
    assert.equal(scripts.length, 3);
    for (const [path, input] of scripts) {
      const { stdout } = spawnSync("shellcheck", ["-"], { input, encoding: "utf8" });
      // What a configured command says is its owner's affair.
      if (path === FIRST_BOOT) assert.doesNotMatch(stdout, /error/);
      else assert.equal(stdout, "", path);
    }
  });

  it("say to the base what it needs, in words of a shell", () => {
    const read = (model: Partial<BaseModel>) =>
      spawnSync("bash", ["--norc", "-c", 'eval "$(cat)"; echo "$PACKAGES|$SSH|$REBOOT_WINDOW"'], {
        input: contents(model)["/etc/runner-fleet/base.env"],
        encoding: "utf8",
      }).stdout;
    const packages =
      "docker.io docker-cli docker-compose curl nftables unattended-upgrades systemd-timesyncd";
    assert.equal(read({}), `${packages}|yes|03:00-05:00\n`);
    assert.equal(read({ ssh: false, rebootWindow: "never" }), `${packages}|no|never\n`);
  });

  it("hold no configuration of SSH where nothing reaches into the host", () => {
    assert.match(contents()[SSHD] ?? "", /^Port 22\n/);
    assert.match(contents({ sshPort: 2222 })[SSHD] ?? "", /^Port 2222\n/);
    assert.equal(SSHD in contents(ALONE), false);
  });

  it("give Docker the mirrors of docker.io, and no others", () => {
    const daemon = (registryMirrors: BaseModel["registryMirrors"]) =>
      JSON.parse(contents({ registryMirrors })[DOCKER] ?? "") as Record<string, unknown>;
    const plain = {
      "live-restore": true,
      "log-driver": "json-file",
      "log-opts": { "max-file": "3", "max-size": "10m" },
    };
    assert.deepEqual(daemon({ "ghcr.io": ["mirror.example"] }), plain);
    assert.deepEqual(daemon({ "docker.io": ["mirror.example", "b.example:5000"] }), {
      ...plain,
      "registry-mirrors": ["https://mirror.example", "https://b.example:5000"],
    });
  });

  for (const [window, start, delay] of [
    ["03:00-05:00", "03:00:00", 7140],
    ["23:30-00:30", "23:30:00", 3540],
    ["22:00-21:00", "22:00:00", 82_740],
    ["03:00-03:01", "03:00:00", 0],
  ] as const) {
    it(`reboot within ${window}`, () => {
      const files = contents({ rebootWindow: window, drainSeconds: 60 });
      assert.match(files[TIMER] ?? "", new RegExp(`^OnCalendar=\\*-\\*-\\* ${start} UTC$`, "m"));
      assert.match(files[TIMER] ?? "", new RegExp(`^RandomizedDelaySec=${delay}$`, "m"));
      assert.match(files[TIMER] ?? "", /^FixedRandomDelay=true$/m);
      assert.match(files[REBOOT] ?? "", /^ExecStart=\S+\/reboot-if-required 60$/m);
    });
  }

  it("never reboot without a window", () => {
    assert.equal(TIMER in contents({ rebootWindow: "never" }), false);
  });

  it("repeat the packages and commands of the first boot as they are", () => {
    const script = contents({ packages: ["a b", "c=1"], runcmd: ["echo 'x y'", "exit 3"] });
    const { status, stdout } = spawnSync("bash", ["-s"], {
      input: `apt-get() { shift 6; printf '<%s>' "$@"; echo; }\n${script[FIRST_BOOT]}`,
      encoding: "utf8",
    });
    assert.deepEqual([status, stdout], [3, "<install><a b><c=1>\nx y\n"]);
  });
});

describe("baseModel", () => {
  const host = {
    firewall: { privatePorts: [3000], containersMayReach: [] },
    rebootWindow: "never",
    drainSeconds: 1,
    registryMirrors: {},
    packages: [],
    runcmd: [],
  };
  const fleet = { sshPort: 22, allowedCidrs: ["203.0.113.4/32"], ipRange: "10.0.0.0/8" };

  it("opens SSH only where it is how hosts are managed", () => {
    const { firewall, ...rest } = host;
    const common = { ...firewall, ...rest, sshPort: 22, privateRange: "10.0.0.0/8", rootPorts: [] };
    assert.deepEqual(baseModel({ ...fleet, management: "ssh" }, host), {
      ...common,
      ssh: true,
      allowedCidrs: ["203.0.113.4/32"],
    });
    assert.deepEqual(baseModel({ ...fleet, management: "none" }, host), {
      ...common,
      ssh: false,
      allowedCidrs: [],
    });
  });
});
