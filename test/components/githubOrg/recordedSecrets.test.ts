import assert from "node:assert/strict";
import { rewrittenSecrets } from "../../../components/githubOrg/recordedSecrets";

describe("rewrittenSecrets", () => {
  const recorded = { password: "2026-10-01 12:00:00 +0000 UTC", TOKEN: "2026-10-02T08:00:00Z" };
  const observed = (password: string, token = "2026-10-02T08:00:00Z") =>
    new Map([
      ["PASSWORD", password],
      ["TOKEN", token],
      ["UNKNOWN", "2026-10-03T08:00:00Z"],
    ]);

  it("is none while the dates are ours, however they are written", () => {
    assert.deepEqual(rewrittenSecrets(recorded, observed("2026-10-01T12:00:00Z")), new Set());
  });

  it("names a secret with another date, as the stack names it", () => {
    const found = rewrittenSecrets(recorded, observed("2026-10-01T12:00:01Z"));
    assert.deepEqual(found, new Set(["password"]));
  });

  it("leaves a secret that is gone to the provider, which sees that by itself", () => {
    assert.deepEqual(rewrittenSecrets(recorded, new Map()), new Set());
  });

  it("is none before the first run", () => {
    assert.deepEqual(rewrittenSecrets({}, observed("2026-10-01T12:00:00Z")), new Set());
  });
});
