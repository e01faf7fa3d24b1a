import assert from "node:assert/strict";
import { selectedWorkflows } from "../../../components/githubOrg/selectedWorkflows";
import { settingsWith } from "../config/settings";

function restricted(change: Parameters<typeof settingsWith>[0], restrictToWorkflows = false) {
  const settings = settingsWith((raw) => {
    raw.reusableWorkflows = { repository: "central" };
    change?.(raw);
  });
  const runnerGroup = { name: "arm64", restrictToWorkflows };
  return selectedWorkflows({ ...settings, runnerGroup }, "main");
}

const image = "ghcr.io/acme/webppt";
const hybrid = { image, emit: "reusable" };

describe("selectedWorkflows", () => {
  it("names none where the group is not restricted", () => {
    assert.equal(
      restricted((raw) => (raw.targets.webppt = hybrid)),
      undefined,
    );
  });

  it("names each workflow that a hybrid target calls once, at the branch that callers name", () => {
    const attested = { ...hybrid, attestations: { github: true } };
    assert.deepEqual(
      restricted((raw) => {
        raw.targets = {
          webppt: hybrid,
          other: hybrid,
          attested,
          qemu: { ...hybrid, strategy: "qemu" },
          inline: { image },
        };
      }, true),
      ["image-hybrid-attested", "image-hybrid"].map(
        (name) => `acme/central/.github/workflows/${name}.yml@refs/heads/main`,
      ),
    );
  });
});
