import assert from "node:assert/strict";
import { type Finding, ok, problem } from "../../../components/doctor/check";
import { KINDS, type Thing } from "../../../components/doctor/hetznerProject";
import { type Comparison, judgeState, recordedThings } from "../../../components/doctor/state";

const thing = (path: string, id: string, name = "dev"): Thing => ({
  kind: KINDS.find((one) => one.path === path)!,
  id,
  name,
});

const NONE: Comparison = { orphans: [], missing: [], recorded: 5 };

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
    "what the state does not have": [
      {
        orphans: [
          thing("servers", "1", "dev-arm64-9-1"),
          thing("networks", "2"),
          thing("firewalls", "3"),
          thing("placement_groups", "4", "dev-arm64-1-1"),
          thing("ssh_keys", "5"),
          thing("primary_ips", "6"),
        ],
      },
      ...[
        ["server dev-arm64-9-1 (1)", "hcloud server delete 1"],
        ["network dev (2)", "hcloud network delete 2"],
        ["firewall dev (3)", "hcloud firewall delete 3"],
        ["placement group dev-arm64-1-1 (4)", "hcloud placement-group delete 4"],
        ["SSH key dev (5)", "hcloud ssh-key delete 5"],
        ["primary IP dev (6)", "hcloud primary-ip delete 6"],
      ].map(([what, repair]) =>
        problem(`The ${what} has the stack's labels, but its state does not have it.`, repair),
      ),
    ],
    "a state that is lost": [
      { recorded: 0, orphans: [thing("networks", "2"), thing("ssh_keys", "5")] },
      problem(
        "The stack's state has nothing at Hetzner, where 2 things have its labels: it was lost, or another backend keeps it, and then nothing of what follows should be deleted.",
        "pulumi whoami --verbose",
      ),
      problem(
        "The network dev (2) has the stack's labels, but its state does not have it.",
        "hcloud network delete 2",
      ),
      problem(
        "The SSH key dev (5) has the stack's labels, but its state does not have it.",
        "hcloud ssh-key delete 5",
      ),
    ],
  };
  for (const [what, [change, ...findings]] of Object.entries(cases)) {
    it(`judges ${what}`, () => {
      assert.deepEqual(judgeState({ ...NONE, ...change }, ["--stack", "dev"]), findings);
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
