import assert from "node:assert/strict";
import { planStack } from "../../../components/plan/plan";
import type { Stack } from "../../../components/stack/stack";
import { settingsWith } from "../config/settings";
import { event, serverEvent } from "./events";

/** A stack whose APIs cannot be asked, and that fails when anything but a preview is asked of it. */
function stackWith(text: string, change: Partial<Stack> = {}): Stack {
  const fail = () => Promise.reject(new Error("only a preview is needed"));
  return {
    name: "dev",
    project: "fleet",
    prefix: "dev",
    settings: settingsWith(),
    hcloud: { token: undefined, endpoint: undefined },
    github: { token: undefined, endpoint: undefined },
    options: ["--stack", "dev"],
    hosts: fail,
    outputs: fail,
    secret: fail,
    pulumi: ([command]) => (command === "preview" ? Promise.resolve(text) : fail()),
    ...change,
  };
}

describe("planStack", () => {
  it("says what is not known without tokens, and reads no secret", async () => {
    const report = await planStack(stackWith(serverEvent("create", "arm64-1-1")));
    assert.equal(report.outcome, "changes");
    assert.deepEqual(report.notes, [
      "stock and prices: there is no token for Hetzner's API",
      "how long GitHub serves the runners: there is no token for GitHub's API",
      "which jobs run and wait: there is no token for GitHub's API",
    ]);
  });

  it("does not miss Hetzner where there is nothing of it", async () => {
    const settings = settingsWith((raw) => {
      raw.pools = {};
      raw.externalPools = { kubernetes: { scaleSet: "arc" } };
    });
    const variable = event("create", "github:index/actionsVariable:ActionsVariable", "routing");
    const { notes } = await planStack(stackWith(variable, { settings }));
    assert.deepEqual(
      notes.filter((note) => note.includes("Hetzner")),
      [],
    );
    const gone = await planStack(stackWith(serverEvent("delete", "arm64-1-1"), { settings }));
    assert.equal(gone.notes.filter((note) => note.includes("Hetzner")).length, 1);
  });

  for (const [what, hcloud, note] of [
    [
      "of another form",
      { token: "short", endpoint: undefined },
      "stock and prices: the token for Hetzner's API has a form that none has",
    ],
    [
      "for an address that is none",
      { token: "x".repeat(64), endpoint: "nowhere" },
      "stock and prices: the address of Hetzner's API is no URL, expected an absolute http or https URL without user, query and fragment",
    ],
  ] as const) {
    it(`says what is wrong with a token ${what}`, async () => {
      const { notes } = await planStack(stackWith(serverEvent("same", "arm64-1-1"), { hcloud }));
      assert.equal(notes[0], note);
    });
  }
});
