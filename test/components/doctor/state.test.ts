import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Finding, ok, problem } from "../../../components/doctor/check";
import { KINDS, recordedThings, type Thing } from "../../../components/doctor/hetznerProject";
import { importRepair } from "../../../components/doctor/importRepair";
import { type Comparison, judgeState, wantedNames } from "../../../components/doctor/state";
import { settingsWith } from "../config/settings";

const thing = (path: string, id: string, name = "dev"): Thing => ({
  kind: KINDS.find((one) => one.path === path)!,
  id,
  name,
});

const NONE: Comparison = {
  orphans: [],
  missing: [],
  recorded: 5,
  wanted: { shared: "dev", servers: ["dev-arm64-2-1", "dev-token-service"] },
};
const IMPORT =
  "npm run --silent import-file -- --stack dev > import.json && GITHUB_OWNER=acme pulumi import --stack dev --file import.json --protect=false --generate-code=false";

const lost = (what: string) =>
  problem(
    `The stack's state has nothing at Hetzner, where this has its labels: ${what}. Delete nothing of it: the state was lost, or another backend keeps it than the one that \`pulumi whoami --verbose\` names. Where there is a copy, \`pulumi stack import --file COPY\` brings it back; without one this imports what the state does not have (docs/operations.md, Recover a lost state).`,
    IMPORT,
  );
const older = (what: string) =>
  problem(
    `The stack's state does not have this, which has its labels and bears names of its configuration: ${what}. Delete nothing of it, there may be jobs on it: the state is older, or a run was cut short. Where there is a newer copy, \`pulumi stack import --file COPY\` brings it back; without one this imports what the state does not have (docs/operations.md, Recover a lost state).`,
    IMPORT,
  );
const leftOver = (what: string, repair: string) =>
  problem(`The ${what} has the stack's labels, but its state does not have it.`, repair);

describe("judgeState", () => {
  const cases: Record<string, [change: Partial<Comparison>, ...findings: Finding[]]> = {
    "a state that fits": [
      {},
      ok(
        "The 5 things that the stack's state has in the Hetzner project are all that have its labels.",
      ),
    ],
    "nothing anywhere": [
      { recorded: 0 },
      ok("Neither the stack's state nor its labels have anything in the Hetzner project yet."),
    ],
    "what only the state has": [
      { missing: [thing("servers", "7", "dev-arm64-1-1")] },
      problem(
        "The stack's state has the server dev-arm64-1-1 (7), which is not in the Hetzner project any more.",
        "pulumi up --refresh --stack dev",
      ),
    ],
    "what neither the state nor the configuration has": [
      {
        orphans: [
          thing("servers", "1", "dev-arm64-1-1"),
          thing("networks", "2", "dev-old"),
          thing("firewalls", "3", "dev-old"),
          thing("placement_groups", "4", "dev-arm64-1-1"),
          thing("ssh_keys", "5", "dev-old"),
          thing("primary_ips", "6"),
        ],
      },
      leftOver("server dev-arm64-1-1 (1)", "hcloud server delete 1"),
      leftOver("network dev-old (2)", "hcloud network delete 2"),
      leftOver("firewall dev-old (3)", "hcloud firewall delete 3"),
      leftOver("placement group dev-arm64-1-1 (4)", "hcloud placement-group delete 4"),
      leftOver("SSH key dev-old (5)", "hcloud ssh-key delete 5"),
      leftOver("primary IP dev (6)", "hcloud primary-ip delete 6"),
    ],
    "a server that the configuration names, with its placement group and what else there is": [
      {
        orphans: [
          thing("servers", "1", "dev-arm64-2-1"),
          thing("servers", "2", "dev-arm64-2-9"),
          thing("placement_groups", "4", "dev-arm64-2-1"),
          thing("primary_ips", "6"),
        ],
      },
      older("server dev-arm64-2-1 (1) and placement group dev-arm64-2-1 (4)"),
      leftOver("server dev-arm64-2-9 (2)", "hcloud server delete 2"),
      leftOver("primary IP dev (6)", "hcloud primary-ip delete 6"),
    ],
    "the token service's server, which the configuration names": [
      { orphans: [thing("servers", "1", "dev-token-service")] },
      older("server dev-token-service (1)"),
    ],
    "what all hosts share, which the configuration names": [
      { orphans: [thing("networks", "2"), thing("firewalls", "3"), thing("ssh_keys", "5")] },
      older("network dev (2), firewall dev (3) and SSH key dev (5)"),
    ],
    "a server of the shared name, which is none of the configuration": [
      { orphans: [thing("servers", "1")] },
      leftOver("server dev (1)", "hcloud server delete 1"),
    ],
    "a state that is lost: nothing is deleted, whether the configuration names it or not": [
      { recorded: 0, orphans: [thing("servers", "1", "dev-arm64-1-1"), thing("networks", "2")] },
      lost("server dev-arm64-1-1 (1) and network dev (2)"),
    ],
    "an address that somebody has kept of a stack that is gone": [
      { recorded: 0, orphans: [thing("primary_ips", "6")] },
      leftOver("primary IP dev (6)", "hcloud primary-ip delete 6"),
    ],
  };
  for (const [what, [change, ...findings]] of Object.entries(cases)) {
    it(`judges ${what}`, () => {
      assert.deepEqual(
        judgeState({ ...NONE, ...change }, { organization: "acme", options: ["--stack", "dev"] }),
        findings,
      );
    });
  }

  it("names the file of the configuration where it is another", () => {
    const options = ["--stack", "dev", "--config-file", "other.yaml"];
    const [finding] = judgeState(
      { ...NONE, orphans: [thing("servers", "1", "dev-arm64-2-1")] },
      { organization: "acme", options },
    );
    assert.equal(
      finding?.repair,
      "npm run --silent import-file -- --stack dev --config-file other.yaml > import.json && GITHUB_OWNER=acme pulumi import --stack dev --config-file other.yaml --file import.json --protect=false --generate-code=false",
    );
  });

  it("shows the commands that the page on operations has, in their order", () => {
    const page = readFileSync(join(__dirname, "../../../docs/operations.md"), "utf8");
    const section = page.slice(page.indexOf("\n## Recover a lost state\n"));
    const commands = [...section.matchAll(/^\$ (.*)$/gm)].map(([, command]) => command);
    const shown = importRepair("acme", ["--stack", "dev"]).split(" && ");
    assert.deepEqual(
      // Only there it is answered for the reader.
      commands
        .slice(1, 3)
        .map((command) => command?.replace("pulumi import --yes", "pulumi import")),
      shown,
    );
  });
});

describe("wantedNames", () => {
  const pool = { serverTypes: ["cax21"], locations: ["fsn1"], count: 2, labels: ["docker"] };
  const cases: Record<string, [change: Record<string, unknown>, servers: string[]]> = {
    "hosts of the generation, and the token service": [
      { pools: { arm64: { ...pool, generation: 3 } } },
      ["dev-arm64-3-1", "dev-arm64-3-2", "dev-token-service"],
    ],
    "no host of a pool whose hosts are deleted": [
      { pools: { arm64: { ...pool, paused: "delete" } } },
      ["dev-token-service"],
    ],
    "no server of a token service that has none": [
      { pools: { arm64: pool }, tokenService: { placement: "colocated" } },
      ["dev-arm64-1-1", "dev-arm64-1-2"],
    ],
  };
  for (const [what, [change, servers]] of Object.entries(cases)) {
    it(`has ${what}`, () => {
      assert.deepEqual(
        wantedNames(
          "dev",
          settingsWith((raw) => Object.assign(raw, change)),
        ),
        { shared: "dev", servers },
      );
    });
  }
});

describe("recordedThings", () => {
  it("has the things of the project, and nothing that was never made", () => {
    const urn = "urn:pulumi:dev::fleet::x::y";
    assert.deepEqual(
      recordedThings([
        { urn, type: "hcloud:index/server:Server", id: "1", outputs: { name: "dev-arm64-1-1" } },
        { urn, type: "hcloud:index/sshKey:SshKey", id: "2", outputs: {} },
        { urn, type: "hcloud:index/network:Network", id: "" },
        { urn, type: "hcloud:index/serverNetwork:ServerNetwork", id: "1-3" },
      ]),
      [thing("servers", "1", "dev-arm64-1-1"), thing("ssh_keys", "2", "2")],
    );
  });
});
