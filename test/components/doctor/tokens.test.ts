import assert from "node:assert/strict";
import { type Finding, ok, problem, warning } from "../../../components/doctor/check";
import {
  judgeGitHubToken,
  type Owner,
  type Right,
  writesAtHetzner,
} from "../../../components/doctor/tokens";
import { Traffic } from "../../../local-cloud/core/traffic";
import { listen, type Listening } from "../../../local-cloud/core/serve";
import { createHetzner, type Hetzner } from "../../../local-cloud/hetzner";
import { FakeHosts } from "../../local-cloud/hetzner/fakeHosts";

describe("writesAtHetzner", () => {
  const readOnlyToken = "r".repeat(64);
  const traffic = new Traffic();
  let hetzner: Hetzner;
  let listening: Listening;

  before(async () => {
    hetzner = createHetzner({ traffic, hosts: new FakeHosts(), readOnlyToken });
    listening = await listen((request) => hetzner.fetch(request));
  });
  after(() => listening.close());
  afterEach(() => assert.deepEqual(traffic.takeSurprises(), []));

  const target = (token: string) => ({ name: "Hetzner", baseUrl: `${listening.url}/v1`, token });

  it("tells a token that may write from one that may only read, and changes nothing", async () => {
    await fetch(`${listening.url}/v1/networks`, {
      method: "POST",
      headers: { authorization: `Bearer ${hetzner.token}` },
      body: JSON.stringify({ name: "one", ip_range: "10.0.0.0/16" }),
    });
    const before = hetzner.leftovers();
    assert.equal(before.networks, 1);
    assert.equal(await writesAtHetzner(target(hetzner.token)), true);
    assert.equal(await writesAtHetzner(target(readOnlyToken)), false);
    assert.deepEqual(hetzner.leftovers(), before);
  });

  it("does not take a refused token for one that reads", async () => {
    await assert.rejects(writesAtHetzner(target("x".repeat(64))), {
      message: "Hetzner answered 401 to DELETE /ssh_keys/0.",
    });
  });
});

describe("judgeGitHubToken", () => {
  const where = "github:token (or GITHUB_TOKEN)";
  const rights: Right[] = [
    { permission: "Self-hosted runners", granted: true },
    { permission: "Variables", granted: true },
  ];
  type Case = [scopes: string[] | undefined, owner: Owner, rights: Right[], ...findings: Finding[]];
  const nobody: Owner = { login: undefined, role: undefined };
  const cases: Record<string, Case> = {
    "a classic token of an owner": [
      ["admin:org", "repo"],
      { login: "ada", role: "admin" },
      [],
      ok("A token of ada, an owner of acme, has the scopes admin:org, repo."),
    ],
    "a classic token of a member": [
      ["admin:org", "repo"],
      { login: "ada", role: "member" },
      [],
      warning(
        `${where}: found a token of ada, who is no owner of acme but member: GitHub may refuse it the organization's secrets and variables.`,
      ),
    ],
    "a token of a finer grain": [
      undefined,
      { login: "ada", role: "admin" },
      rights,
      ok(
        'A token of a finer grain of ada, an owner of acme, has "Self-hosted runners: write", "Variables: write"; whether it may write workflow files, GitHub does not tell before.',
      ),
    ],
    "a token of an App, whose owner GitHub does not tell": [
      undefined,
      nobody,
      rights.slice(0, 1),
      ok(
        'A token of a finer grain has "Self-hosted runners: write"; whether it may write workflow files, GitHub does not tell before.',
      ),
    ],
    "a token of a finer grain that may only read": [
      undefined,
      nobody,
      rights.map((one) => ({ ...one, granted: false })),
      problem(
        `${where}: found a token without the permission "Self-hosted runners: write", expected one with it.`,
      ),
      problem(
        `${where}: found a token without the permission "Variables: write", expected one with it.`,
      ),
    ],
  };
  for (const [what, [scopes, owner, granted, ...findings]] of Object.entries(cases)) {
    it(`judges ${what}`, () => {
      const token = { scopes, managesRunners: true };
      assert.deepEqual(judgeGitHubToken("acme", token, owner, granted), findings);
    });
  }
});
