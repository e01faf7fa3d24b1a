import assert from "node:assert/strict";
import { baseModel, type HostFirewall } from "../../components/host/base";
import { type HostStack, hostScript, renderCloudInit } from "../../components/host/cloudInit";
import { hostKeyFromSecret } from "../../components/host/hostKey";
import { runOverSsh } from "../../components/host/ssh";
import { createBootedHosts } from "../../local-cloud/hosts/booted";
import type { HostBackend } from "../../local-cloud/hosts/types";
import { booted, dial, eventually, keyPair, shell } from "../local-cloud/hosts/support";
import { preparedImages } from "../local-cloud/hosts/prepared";

const RANGE = "10.0.0.0/16";
const [SERVICE, RUNNER, BROKEN, ALONE] = [11, 12, 13, 14] as const;
const PRIVATE: Readonly<Record<number, string>> = { [SERVICE]: "10.0.1.254", [RUNNER]: "10.0.1.2" };
const FIREWALLS: Readonly<Record<number, HostFirewall>> = {
  [SERVICE]: { privatePorts: [3000], containersMayReach: [] },
};
const CLOSED: HostFirewall = { privatePorts: [], containersMayReach: [], rootPorts: [3000] };
const LOGIN = keyPair();
const HOST_KEY = hostKeyFromSecret("a host");
const IMAGE = "runner-fleet-test";

/** The base of every host, on systems that really boot. */
describe("the base of a host", function () {
  this.timeout("2m");
  this.bail(true);
  let hosts: HostBackend;
  const address = new Map<number, string>();

  before(async function () {
    const images = await preparedImages(this);
    hosts = await createBootedHosts({
      images,
      services: {
        names: ["api.github.com"],
        handler: () => new Response("here"),
        metadata: () => ({ status: 200, body: "secret user_data" }),
      },
    });
    await Promise.all([create(SERVICE), create(RUNNER)]);
    await attach(SERVICE);
    await attach(RUNNER);
  });
  after(() => hosts?.close());

  interface Choice {
    readonly firewall?: HostFirewall;
    readonly management?: "ssh" | "none";
    readonly packages?: readonly string[];
    readonly runcmd?: readonly string[];
    readonly rebootWindow?: string;
    readonly stack?: HostStack;
  }

  function base(id: number, choice: Choice) {
    const { packages = [], runcmd = [], rebootWindow = "23:30-00:30", management = "ssh" } = choice;
    return baseModel(
      {
        management,
        sshPort: 22,
        allowedCidrs: [`${hosts.gateway}/32`],
        ipRange: RANGE,
      },
      {
        firewall: choice.firewall ?? FIREWALLS[id] ?? CLOSED,
        rebootWindow,
        registryMirrors: {},
        drainSeconds: 30,
        packages,
        runcmd,
      },
    );
  }

  const EMPTY: HostStack = { files: [], commands: [] };

  async function create(id: number, choice: Choice = {}): Promise<void> {
    const ipv4 = hosts.reserveAddress();
    address.set(id, ipv4);
    await hosts.create({
      id,
      name: `host-${id}`,
      ipv4,
      userData: renderCloudInit(HOST_KEY, base(id, choice), choice.stack ?? EMPTY),
      publicKeys: [LOGIN.public],
      cores: 2,
      memoryGb: 4,
      location: "fsn1",
    });
    await hosts.powerOn(id);
  }

  async function attach(id: number): Promise<void> {
    await hosts.attachNetwork(id, {
      networkId: 1,
      ipRange: RANGE,
      ip: PRIVATE[id] ?? assert.fail(),
      macAddress: `96:00:00:00:00:${id}`,
    });
  }

  function apply(id: number, choice: Choice = {}) {
    return hosts.exec(id, ["bash", "-s"], {
      stdin: hostScript(base(id, choice), choice.stack ?? EMPTY),
      timeoutMs: 90_000,
    });
  }

  async function applied(id: number, choice: Choice = {}): Promise<void> {
    const { code, stdout, stderr } = await apply(id, choice);
    assert.deepEqual([code, stdout, stderr], [0, "", ""]);
  }

  const run = (id: number, script: string): Promise<string> => shell(hosts, id, script);
  const addressOf = (id: number): string => address.get(id) ?? assert.fail(`no host ${id}`);

  /** What a TCP connection or request from there gives, as an exit code: 0 for an answer. */
  async function reaches(
    id: number,
    target: string,
    from: "root" | "nobody" | "container",
  ): Promise<boolean> {
    const get = `curl --silent --output /dev/null --max-time 3 --connect-timeout 2 ${target}`;
    const commands = {
      root: get,
      nobody: `setpriv --reuid nobody --clear-groups ${get}`,
      container: `docker run --rm ${IMAGE} ${get}`,
    };
    const { code, stderr } = await hosts.exec(id, ["bash", "-c", commands[from]], {
      timeoutMs: 60_000,
    });
    // 7 and 28: refused, and no answer in time. Anything else is a mistake of this test.
    assert.ok([0, 7, 28].includes(code), `${from} ${target}: ${code} ${stderr}`);
    return code === 0;
  }

  const METADATA = "http://169.254.169.254/hetzner/v1/userdata";
  const service = `http://${PRIVATE[SERVICE]}:3000/`;

  it("boots to a firewall before anything is applied", async () => {
    await Promise.all([booted(hosts, SERVICE), booted(hosts, RUNNER)]);
    for (const id of [SERVICE, RUNNER]) {
      assert.match(await run(id, "cloud-init status --long"), /errors: \[\]/);
      assert.match(await run(id, "nft list table inet runner_fleet"), /policy drop/);
      assert.equal(await run(id, "systemctl is-enabled runner-fleet-firewall"), "enabled\n");
      // By cloud-init's own schema.
      await run(id, "cloud-init schema --system >/dev/null");
    }
  });

  it("is applied", async () => {
    await Promise.all([applied(SERVICE), applied(RUNNER)]);
    // A web server of a user other than root, as the token service is; and an image to run.
    await run(
      SERVICE,
      `systemd-run --quiet --unit service --property User=nobody --property WorkingDirectory=/usr/share/doc/base-files python3 -m http.server 3000 --bind ${PRIVATE[SERVICE]}`,
    );
    await run(
      RUNNER,
      `docker tag "$(docker images --format '{{.Repository}}:{{.Tag}}' | grep actions-runner | head -n 1)" ${IMAGE}`,
    );
    await eventually("the service answers", () => reaches(RUNNER, service, "root"));
  });

  it("is left alone by a second run", async () => {
    const units = "docker ssh systemd-journald runner-fleet-firewall runner-fleet-reboot.timer";
    const look = [
      `systemctl show --property Id,ActiveEnterTimestampMonotonic,InvocationID,StateChangeTimestampMonotonic ${units}`,
      // Handles count up with every load.
      "nft --handle list table inet runner_fleet",
      "find /etc /var/lib/runner-fleet /usr/local -newer /root/marker -type f ! -name base.env",
      "journalctl --quiet --since=@$(stat -c %Y /root/marker) | grep -ciE 'reload(ing|ed)' || true",
    ].join("; ");
    await run(RUNNER, "sleep 1.1; touch /root/marker; sleep 1.1");
    const before = await run(RUNNER, look);
    await run(RUNNER, "/opt/runner-fleet/bin/base");
    assert.equal(await run(RUNNER, look), before);
    assert.match(before, /\n0\n$/);
  });

  it("lets root alone ask the metadata service", async () => {
    assert.equal(await reaches(RUNNER, METADATA, "root"), true);
    assert.equal(await reaches(RUNNER, METADATA, "nobody"), false);
    assert.equal(await reaches(RUNNER, METADATA, "container"), false);
    // What they may reach, to show that they reach anything.
    assert.equal(await reaches(RUNNER, "https://api.github.com/", "nobody"), true);
    assert.equal(await reaches(RUNNER, "https://api.github.com/", "container"), true);
  });

  it("keeps containers and users off the private network", async () => {
    assert.equal(await reaches(RUNNER, service, "root"), true);
    assert.equal(await reaches(RUNNER, service, "nobody"), false);
    assert.equal(await reaches(RUNNER, service, "container"), false);
    // The user that serves may ask itself.
    assert.equal(await reaches(SERVICE, service, "nobody"), true);
  });

  it("keeps containers off their host, and users off a port of root's", async () => {
    await run(
      RUNNER,
      "systemd-run --quiet --unit local python3 -m http.server 3000 --bind 0.0.0.0",
    );
    await eventually("it answers", () => reaches(RUNNER, "http://127.0.0.1:3000/", "root"));
    assert.equal(await reaches(RUNNER, "http://127.0.0.1:3000/", "nobody"), false);
    for (const own of ["172.17.0.1", addressOf(RUNNER), PRIVATE[RUNNER]]) {
      assert.equal(await reaches(RUNNER, `http://${own}:3000/`, "container"), false, own);
    }
    await run(RUNNER, "systemctl stop local");
  });

  it("opens a port of the private network to the private network alone", async () => {
    await run(
      SERVICE,
      "systemd-run --quiet --unit everywhere --property User=nobody python3 -m http.server 3001 --bind 0.0.0.0",
    );
    await applied(SERVICE, { firewall: { privatePorts: [3000, 3001], containersMayReach: [] } });
    assert.equal(await reaches(RUNNER, `http://${PRIVATE[SERVICE]}:3001/`, "root"), true);
    assert.equal(await reaches(RUNNER, `http://${addressOf(SERVICE)}:3001/`, "root"), false);
    assert.equal(await dial(addressOf(SERVICE), 3001), "timeout");
    // Closed again, in place.
    await applied(SERVICE);
    assert.equal(await reaches(RUNNER, `http://${PRIVATE[SERVICE]}:3001/`, "root"), false);
  });

  it("makes an exception for containers where one is wanted", async () => {
    const containersMayReach = [{ address: PRIVATE[SERVICE] ?? "", port: 3000 }];
    await applied(RUNNER, { firewall: { ...CLOSED, containersMayReach } });
    assert.equal(await reaches(RUNNER, service, "container"), true);
    assert.equal(await reaches(RUNNER, METADATA, "container"), false);
    await applied(RUNNER);
    assert.equal(await reaches(RUNNER, service, "container"), false);
  });

  it("answers SSH by key, to the management ranges alone", async () => {
    const target = { host: addressOf(RUNNER), port: 22, hostKey: HOST_KEY.publicKey };
    const login = { ...target, privateKey: LOGIN.private };
    assert.equal(await runOverSsh(login, "id --user", 10), "0\n");
    await assert.rejects(runOverSsh({ ...target, privateKey: keyPair().private }, "true", 10), {
      failure: "refused",
    });
    const settings = await run(RUNNER, "sshd -T");
    assert.match(settings, /^passwordauthentication no$/m);
    assert.match(settings, /^authenticationmethods publickey$/m);
    assert.match(settings, /^allowtcpforwarding no$/m);
    assert.equal(await run(RUNNER, "getent shadow root | cut -d: -f2"), "*\n");
    const knock = (to: string) =>
      run(SERVICE, `timeout 3 bash -c 'head -c 3 </dev/tcp/${to}/22' 2>/dev/null || echo closed`);
    assert.equal(await knock(addressOf(RUNNER)), "closed\n");
    assert.equal(await knock(PRIVATE[RUNNER] ?? ""), "closed\n");
  });

  it("keeps its rules when others change theirs", async () => {
    const rules = () => run(RUNNER, "nft --stateless list table inet runner_fleet");
    const before = await rules();
    for (const change of [
      "systemctl restart docker",
      "nft flush table ip filter",
      "systemctl start nftables",
      "systemctl reload nftables",
      "systemctl stop nftables",
    ]) {
      await run(RUNNER, change);
      assert.equal(await rules(), before, change);
    }
    await run(RUNNER, "systemctl restart docker");
    assert.equal(await reaches(RUNNER, METADATA, "container"), false);
    assert.equal(await reaches(RUNNER, "https://api.github.com/", "container"), true);
  });

  it("bounds its journal, keeps time, and installs security updates alone", async () => {
    const journal = await run(RUNNER, "systemd-analyze cat-config systemd/journald.conf");
    assert.match(journal, /^SystemMaxUse=500M$/m);
    assert.match(
      await run(RUNNER, "journalctl --quiet --unit systemd-journald --output cat"),
      /max(imum)? 500(\.0)?M/,
    );
    assert.equal(await run(RUNNER, "systemctl is-enabled systemd-timesyncd"), "enabled\n");
    const apt = await run(RUNNER, "apt-config dump");
    const origins = [...apt.matchAll(/^Unattended-Upgrade::Origins-Pattern:: "(.*)";$/gm)];
    assert.equal(origins.length, 2);
    for (const [, origin] of origins) assert.match(origin ?? "", /label=Debian-Security/);
    assert.match(apt, /^APT::Periodic::Unattended-Upgrade "1";$/m);
    assert.match(apt, /^Unattended-Upgrade::Automatic-Reboot "false";$/m);
    assert.match(
      await run(RUNNER, "unattended-upgrade --dry-run --verbose 2>&1 || true"),
      /Debian-Security/,
    );
    assert.equal(await run(RUNNER, "sysctl -n net.ipv4.conf.all.accept_redirects"), "0\n");
  });

  it("has its moment for reboots in the window, each day the same", async () => {
    const next = () =>
      run(
        RUNNER,
        'date --utc +%H:%M:%S -d "$(systemctl show --property NextElapseUSecRealtime --value runner-fleet-reboot.timer)"',
      );
    const moment = await next();
    assert.ok(moment >= "23:30:00" || moment <= "00:30:00\n", moment);
    await run(RUNNER, "systemctl restart runner-fleet-reboot.timer");
    assert.equal(await next(), moment);

    await applied(RUNNER, { rebootWindow: "never" });
    assert.equal(
      await run(RUNNER, "systemctl is-active runner-fleet-reboot.timer || true"),
      "inactive\n",
    );
    await applied(RUNNER);
    assert.equal(await run(RUNNER, "systemctl is-active runner-fleet-reboot.timer"), "active\n");
    assert.equal(await next(), moment);
  });

  it("is the same after a reboot, which cloud-init changes nothing at", async () => {
    await run(RUNNER, "sleep 1.1; touch /root/marker; touch /run/before; sleep 1.1");
    const rules = await run(RUNNER, "nft --stateless list table inet runner_fleet");
    await hosts.reboot(RUNNER);
    await again(RUNNER);
    assert.equal(await run(RUNNER, "nft --stateless list table inet runner_fleet"), rules);
    assert.match(await run(RUNNER, "cloud-init status --long"), /errors: \[\]/);
    // What changes at each boot of any system.
    const expected = /^\/etc\/(hosts|resolv\.conf|mtab|machine-id|cloud\/.*)$/;
    const changed = (await run(RUNNER, "find /etc /opt -newer /root/marker -type f"))
      .split("\n")
      .filter((path) => path !== "" && !expected.test(path));
    assert.deepEqual(changed, []);
    const order = await run(
      RUNNER,
      "systemctl show --property ActiveEnterTimestampMonotonic --value runner-fleet-firewall docker",
    );
    const [firewall, docker] = order.split("\n\n").map(Number);
    assert.ok(firewall !== undefined && docker !== undefined && 0 < firewall && firewall < docker);
    assert.equal(await reaches(RUNNER, METADATA, "container"), false);
    assert.equal(await reaches(RUNNER, METADATA, "nobody"), false);
    await applied(RUNNER);
  });

  it("reboots for an update alone, and drains before", async () => {
    await run(
      RUNNER,
      `printf '#!/bin/sh\\necho "drained for $1" >>/root/drains\\n' >/opt/runner-fleet/bin/drain; chmod +x /opt/runner-fleet/bin/drain; touch /run/before`,
    );
    await run(RUNNER, "systemctl start runner-fleet-reboot.service");
    assert.equal(
      await run(RUNNER, "ls /run/before; cat /root/drains 2>/dev/null || true"),
      "/run/before\n",
    );
    await run(
      RUNNER,
      "touch /run/reboot-required; systemctl start --no-block runner-fleet-reboot.service",
    );
    await again(RUNNER);
    assert.equal(await run(RUNNER, "cat /root/drains"), "drained for 30\n");
  });

  it("stays up when it cannot be drained for a reboot", async () => {
    await run(
      RUNNER,
      `printf '#!/bin/sh\\nexit 1\\n' >/opt/runner-fleet/bin/drain; printf '#!/bin/sh\\ntouch /root/undrained\\n' >/opt/runner-fleet/bin/undrain; chmod +x /opt/runner-fleet/bin/undrain; touch /run/before /run/reboot-required`,
    );
    const { code } = await hosts.exec(RUNNER, ["systemctl", "start", "runner-fleet-reboot"]);
    assert.equal(code, 1);
    assert.equal(
      await run(RUNNER, "ls /run/before /root/undrained"),
      "/root/undrained\n/run/before\n",
    );
  });

  /** Waits until the system has gone down and come up again, which empties /run. */
  async function again(id: number): Promise<void> {
    await eventually("the host is up again", async () => {
      const result = await hosts
        .exec(id, ["test", "!", "-e", "/run/before"])
        .catch(() => undefined);
      return result?.code === 0;
    });
    await booted(hosts, id);
  }

  it("makes up for a first boot that failed, once its settings are right", async () => {
    await create(BROKEN, { packages: ["no-such-package"], runcmd: ["touch /root/ran", "false"] });
    await eventually("cloud-init gives up", async () => {
      const status = await hosts.exec(BROKEN, ["cloud-init", "status"]).catch(() => undefined);
      return status?.stdout.includes("status: error");
    });
    const wrong = await apply(BROKEN, { packages: ["no-such-package"] });
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /no-such-package/);
    assert.match(wrong.stderr, /the first boot failed, and so did its packages and commands now/);
    const stack = { files: [], commands: ["touch /root/stack"] };
    const still = await apply(BROKEN, { runcmd: ["false"], stack });
    assert.equal(still.code, 1);
    const right = await apply(BROKEN, {
      packages: ["curl"],
      runcmd: ["touch /root/mended"],
      stack,
    });
    assert.equal(right.code, 0, right.stderr);
    await run(BROKEN, "rm /root/mended /root/stack");
    await applied(BROKEN, { packages: ["curl"], runcmd: ["touch /root/mended"], stack });
    assert.equal(await run(BROKEN, "cd /root; ls mended stack 2>/dev/null || true"), "stack\n");
    await hosts.delete(BROKEN);
  });

  it("configures itself where nothing reaches into it", async () => {
    const stack: HostStack = {
      files: [
        {
          path: "/etc/runner-fleet/secret",
          mode: "0400",
          content: "secret\n",
          owner: "65532:65532",
        },
      ],
      // Fails the first time.
      commands: ["test -e /root/second || { touch /root/second; false; }", "date >>/root/applied"],
    };
    await create(ALONE, { management: "none", runcmd: ["touch /root/own"], stack });
    await eventually("it is configured", async () => {
      const result = await hosts
        .exec(ALONE, ["test", "-e", "/root/applied"])
        .catch(() => undefined);
      return result?.code === 0;
    });
    await eventually("it is done", () =>
      hosts
        .exec(ALONE, ["test", "!", "-e", "/var/lib/runner-fleet/apply"])
        .then(({ code }) => code === 0),
    );
    assert.equal(
      await run(ALONE, "stat -c '%a %u %g' /etc/runner-fleet/secret"),
      "400 65532 65532\n",
    );
    assert.equal(await run(ALONE, "ls /root/own"), "/root/own\n");
    await run(ALONE, "cloud-init schema --system >/dev/null");
    assert.match(await run(ALONE, "cloud-init status --long"), /errors: \[\]/);
    assert.equal(await run(ALONE, "systemctl is-active ssh || true"), "inactive\n");
    assert.equal(await dial(addressOf(ALONE), 22), "timeout");
    const rules = await run(ALONE, "nft --stateless list table inet runner_fleet");
    assert.doesNotMatch(rules, /dport 22/);
    await run(ALONE, "touch /run/before");
    await hosts.reboot(ALONE);
    await again(ALONE);
    assert.equal(await run(ALONE, "wc -l </root/applied"), "1\n");
    assert.equal(await run(ALONE, "nft --stateless list table inet runner_fleet"), rules);
  });
});
