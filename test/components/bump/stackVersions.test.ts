import assert from "node:assert/strict";
import { setStackVersions, stackVersions } from "../../../components/bump/stackVersions";

const TEXT = `# The fleet of production.
config:
  fleet:pools:
    arm64: # the usual one
      count: 1
      runner:
        version: 2.336.0 # the release before
    "big": { count: 2, runner: { image: knatnetwork, version: "2.331.0" }, labels: [ docker ] }
    plain:
      count: 1
    own:
      runner: { version: '2.330.0', reference: example.org/runner:1 }
  fleet:ssh:
    publicKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAID5WI+MSA5wZmSrgZghxuvZWYo9DwfSS7DXlgi0Z4Dpf local cloud of people
`;

describe("versions in a stack's file", () => {
  const found = stackVersions(TEXT, "fleet");

  it("are found where a pool sets one", () => {
    assert.deepEqual(
      found.map(({ pool, version }) => [pool, version]),
      [
        ["arm64", "2.336.0"],
        ["big", "2.331.0"],
        ["own", "2.330.0"],
      ],
    );
  });

  it("are replaced alone", () => {
    const changes = found
      .filter(({ pool }) => pool !== "own")
      .map(({ range }) => ({ range, to: "2.1000.0" }));
    assert.equal(
      setStackVersions(TEXT, changes),
      TEXT.replace("2.336.0", "2.1000.0").replace("2.331.0", "2.1000.0"),
    );
  });

  it("are found without the namespace as well, and nowhere else", () => {
    const bare = TEXT.replace("fleet:pools", "pools");
    assert.equal(stackVersions(bare, "fleet").length, 3);
    assert.deepEqual(stackVersions(TEXT, "other"), []);
    assert.deepEqual(stackVersions("config: {}\n", "fleet"), []);
    assert.deepEqual(stackVersions("", "fleet"), []);
  });
});
