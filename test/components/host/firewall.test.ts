import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { type FirewallModel, renderFirewall } from "../../../components/host/firewall";
import { assertGolden } from "./golden";
import { BASE } from "./models";

/** Rules of one chain, without comments. */
function chain(name: string, model: Partial<FirewallModel>): string[] {
  const text = renderFirewall({ ...BASE, ...model });
  const found = new RegExp(`^  chain ${name} \\{\\n([\\s\\S]*?)^  \\}$`, "m").exec(text);
  return (found?.[1] ?? assert.fail(`no chain ${name}`))
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

const OPEN: Partial<FirewallModel> = {
  allowedCidrs: ["203.0.113.0/24", "203.0.113.4/32", "0.0.0.0/0", "2001:db8::/64"],
  privatePorts: [3000, 3001],
  rootPorts: [3000],
  containersMayReach: [
    { address: "10.0.1.254", port: 3000 },
    { address: "2001:db8::1", port: 443 },
  ],
};

describe("renderFirewall", () => {
  it("is the golden file, byte for byte", () => {
    assertGolden(renderFirewall({ ...BASE, ...OPEN }), join(__dirname, "golden", "firewall.nft"));
  });

  for (const [title, model, expected] of [
    ["nobody", { allowedCidrs: [] }, []],
    [
      "an IPv4 range",
      { allowedCidrs: ["203.0.113.4/32"] },
      ["ip saddr @ssh_ip tcp dport 22 accept"],
    ],
    [
      "an IPv6 range",
      { allowedCidrs: ["2001:db8::/64"] },
      ["ip6 saddr @ssh_ip6 tcp dport 22 accept"],
    ],
    [
      "both, on another port",
      { allowedCidrs: ["203.0.113.4/32", "2001:db8::/64"], sshPort: 2222 },
      ["ip saddr @ssh_ip tcp dport 2222 accept", "ip6 saddr @ssh_ip6 tcp dport 2222 accept"],
    ],
  ] as const) {
    it(`opens SSH to ${title}`, () => {
      const rules = chain("input", model).filter((rule) => rule.includes("dport 2"));
      assert.deepEqual(rules, expected);
    });
  }

  it("drops what comes from containers before anything is opened", () => {
    const rules = chain("input", OPEN);
    const drop = rules.indexOf('iifname "br-*" drop');
    assert.ok(rules.indexOf('iifname "docker0" drop') === drop - 1);
    for (const [index, rule] of rules.entries()) {
      if (/dport|icmp/.test(rule)) assert.ok(index > drop, rule);
    }
    assert.match(rules[0] ?? "", /policy drop;$/);
  });

  it("opens private ports to the private network, published by Docker or not", () => {
    const closed = [...chain("input", {}), ...chain("forward", {})].join("\n");
    assert.doesNotMatch(closed, /10\.0\.0\.0/);
    assert.equal(
      chain("input", OPEN).at(-1),
      "ip saddr 10.0.0.0/16 tcp dport { 3000, 3001 } accept",
    );
    assert.deepEqual(chain("forward", OPEN), [
      "type filter hook forward priority filter - 10; policy drop;",
      "ct state established,related accept",
      'iifname "docker0" goto untrusted',
      'iifname "br-*" goto untrusted',
      "ip saddr 10.0.0.0/16 ct status dnat meta l4proto tcp ct original proto-dst { 3000, 3001 } accept",
    ]);
  });

  it("keeps containers and users off metadata and private network, but for exceptions", () => {
    const common = [
      "ip daddr { 169.254.0.0/16, 10.0.0.0/16 } drop",
      "ip6 daddr fe80::a9fe:a9fe drop",
      "accept",
    ];
    assert.deepEqual(chain("untrusted", {}), common);
    assert.deepEqual(chain("untrusted", OPEN), [
      "ip daddr 10.0.1.254 tcp dport 3000 accept",
      "ip6 daddr 2001:db8::1 tcp dport 443 accept",
      ...common,
    ]);
  });

  it("keeps users off ports of root's on the loopback interface", () => {
    const hook = "type filter hook output priority filter - 10; policy accept;";
    const rest = ['oifname "lo" accept', "udp dport 67 accept", "meta skuid != 0 goto untrusted"];
    const answers = "ct state established,related accept";
    assert.deepEqual(chain("output", {}), [hook, answers, ...rest]);
    assert.deepEqual(chain("output", OPEN), [
      hook,
      answers,
      'oifname "lo" tcp dport { 3000 } meta skuid != 0 drop',
      ...rest,
    ]);
  });

  it("is taken by nft, again and again, and leaves other tables alone", function () {
    // In a network of its own; needs root.
    const inside = (script: string, input: string) =>
      spawnSync("unshare", ["--net", "sh", "-c", script], { input, encoding: "utf8" });
    if (inside("nft list ruleset", "").status !== 0) {
      console.warn("      nft cannot be run in a network of its own: the test is skipped");
      this.skip();
    }
    for (const model of [{}, OPEN, { allowedCidrs: [] }]) {
      const rules = renderFirewall({ ...BASE, ...model });
      const { status, stdout, stderr } = inside(
        [
          'set -e; f=$(mktemp); trap "rm $f" EXIT; cat >$f',
          "nft add table ip filter; nft add chain ip filter DOCKER",
          "nft --check --file $f; nft --file $f; nft --stateless list ruleset >$f.1",
          "nft --file $f; nft --stateless list ruleset >$f.2; cmp $f.1 $f.2; cat $f.2; rm $f.1 $f.2",
        ].join("\n"),
        rules,
      );
      assert.deepEqual([status, stderr], [0, ""]);
      assert.match(stdout, /^table ip filter \{\n\tchain DOCKER \{/m);
      assert.equal(stdout.match(/^table inet runner_fleet \{$/gm)?.length, 1);
    }
  });
});
