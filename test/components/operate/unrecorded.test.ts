import assert from "node:assert/strict";
import type { FoundFleet } from "../../../components/operate/foundFleet";
import { unrecorded } from "../../../components/operate/unrecorded";
import type { RecordedResource } from "../../../components/stack/recordedHosts";
import { NOTHING } from "./nothing";

const WORKFLOW = { repository: "webppt", path: ".github/workflows/image.yml", branch: "master" };
const CENTRAL = {
  repository: ".github",
  path: ".github/workflows/image-hybrid.yml",
  branch: "main",
};
const HOST = { id: 7, name: "dev-arm64-1-1", pool: "arm64", placementGroup: 6 };
const SECOND = { id: 17, name: "dev-arm64-1-2", pool: "arm64", placementGroup: 6 };

const FOUND: FoundFleet = {
  network: { id: 1, name: "dev", subnets: ["10.0.1.0/24"] },
  firewall: { id: 2, name: "dev" },
  sshKey: { id: 3, name: "dev" },
  placementGroups: [{ id: 6, name: "dev-arm64-1-1", pool: "arm64" }],
  servers: [HOST, SECOND],
  runnerGroup: 9,
  routing: { organization: true, repositories: ["webppt", "other"] },
  files: { targets: { webppt: WORKFLOW }, central: [CENTRAL] },
};

const resource = (
  type: string,
  id: string,
  outputs: Record<string, unknown> = {},
): RecordedResource => ({ urn: `urn:pulumi:dev::fleet::${type}::x`, type, id, outputs });

const NETWORK = resource("hcloud:index/network:Network", "1");
const ALL: readonly RecordedResource[] = [
  NETWORK,
  resource("hcloud:index/firewall:Firewall", "2"),
  resource("hcloud:index/sshKey:SshKey", "3"),
  resource("hcloud:index/placementGroup:PlacementGroup", "6"),
  resource("hcloud:index/server:Server", "7"),
  resource("hcloud:index/server:Server", "17"),
  resource("github:index/actionsRunnerGroup:ActionsRunnerGroup", "9"),
  resource("github:index/actionsOrganizationVariable:ActionsOrganizationVariable", "ARM64_RUNS_ON"),
  ...["webppt", "other"].map((repository) =>
    resource("github:index/actionsVariable:ActionsVariable", "x", { repository }),
  ),
  ...[WORKFLOW, CENTRAL].map(({ repository, path }) =>
    resource("github:index/repositoryFile:RepositoryFile", "x", { repository, file: path }),
  ),
];

describe("unrecorded", () => {
  it("is all that is found where the state has nothing", () => {
    assert.deepEqual(unrecorded(FOUND, []), FOUND);
  });

  it("is nothing where the state has all", () => {
    assert.deepEqual(unrecorded(FOUND, ALL), NOTHING);
  });

  const without = (lost: RecordedResource) => ALL.filter((one) => one !== lost);
  const nothing = unrecorded(FOUND, ALL);
  const expected: readonly Partial<FoundFleet>[] = [
    { network: FOUND.network },
    { firewall: FOUND.firewall },
    { sshKey: FOUND.sshKey },
    { placementGroups: FOUND.placementGroups },
    { servers: [HOST] },
    { servers: [SECOND] },
    { runnerGroup: 9 },
    { routing: { organization: true, repositories: [] } },
    { routing: { organization: false, repositories: ["webppt"] } },
    { routing: { organization: false, repositories: ["other"] } },
    { files: { targets: { webppt: WORKFLOW }, central: [] } },
    { files: { targets: {}, central: [CENTRAL] } },
  ];
  for (const [index, lost] of ALL.entries()) {
    const { repository = "" } = lost.outputs as { repository?: string };
    it(`is what the state has lost: ${lost.type} ${lost.id} ${repository}`.trimEnd(), () => {
      assert.deepEqual(unrecorded(FOUND, without(lost)), { ...nothing, ...expected[index] });
    });
  }

  it("takes no number of another kind of thing for its own", () => {
    const { network, firewall } = unrecorded({ ...FOUND, firewall: { id: 1, name: "dev" } }, [
      NETWORK,
    ]);
    assert.deepEqual([network, firewall], [undefined, { id: 1, name: "dev" }]);
  });
});
