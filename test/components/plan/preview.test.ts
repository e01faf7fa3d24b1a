import assert from "node:assert/strict";
import { previewStack, readPreview } from "../../../components/plan/preview";
import { commandEvent, diagnostic, event, serverEvent, serverState } from "./events";

const FILE = "github:index/repositoryFile:RepositoryFile";

describe("readPreview", () => {
  it("has one step for each resource, with names and both states", () => {
    const { steps } = readPreview(
      `${serverEvent("update", "arm64-1-1", {}, { serverType: "cax31" }, { diffs: ["serverType"] })}\n`,
    );
    assert.deepEqual(steps, [
      {
        op: "update",
        type: "hcloud:index/server:Server",
        name: "arm64-1-1",
        old: { ...serverState("arm64-1-1"), retained: false },
        new: {
          inputs: serverState("arm64-1-1", { serverType: "cax31" }).inputs,
          outputs: {},
          retained: false,
        },
        reasons: ["serverType"],
      },
    ]);
  });

  it("takes the keys of a replacement as its reasons, not all that differs", () => {
    const details = { keys: ["image"], diffs: ["image", "labels"] };
    const [step] = readPreview(serverEvent("replace", "arm64-1-1", {}, {}, details)).steps;
    assert.deepEqual(step?.reasons, ["image"]);
  });

  it("counts a replacement once, and nothing that only looks", () => {
    const both = { old: serverState("a-1-1"), wanted: serverState("a-1-1") };
    const lines = ["read", "refresh", "delete-replaced", "replace", "create-replacement"].map(
      (op) => event(op, "hcloud:index/server:Server", "a-1-1", both),
    );
    assert.deepEqual(
      readPreview(lines.join("\n")).steps.map(({ op }) => op),
      ["replace"],
    );
  });

  it("takes what is said twice of a resource for the same", () => {
    const line = commandEvent("delete", "arm64-queue", {});
    assert.equal(readPreview(`${line}\n${line}\n`).steps.length, 1);
  });

  it("knows what outlives its deletion", () => {
    const old = { inputs: {}, outputs: {}, retainOnDelete: true };
    const [step] = readPreview(event("delete", FILE, "webppt", { old })).steps;
    assert.equal(step?.old?.retained, true);
  });

  it("has problems and warnings as sentences, each once, without colours", () => {
    const preview = readPreview(
      [
        diagnostic("error", "<{%reset%}>fleet:a: found 1, expected 2.\nfleet:b: no.<{%reset%}>\n"),
        diagnostic("error", "fleet:b: no."),
        diagnostic("warning", "  old.  "),
        diagnostic("info", "compiling"),
        JSON.stringify({ errorEvent: { error: "preview failed" } }),
        "",
      ].join("\n"),
    );
    assert.deepEqual(preview, {
      steps: [],
      problems: ["fleet:a: found 1, expected 2.", "fleet:b: no.", "preview failed"],
      warnings: ["old."],
    });
  });

  it("passes over lines of others, and is loud about events of another form", () => {
    assert.deepEqual(readPreview("warning: a new version\n").steps, []);
    assert.throws(() => readPreview('{"resourcePreEvent":{"metadata":{}}}'), /resourcePreEvent/);
  });
});

describe("previewStack", () => {
  const asked: (readonly string[])[] = [];
  const stackThat = (pulumi: () => Promise<string>) => ({
    options: ["--stack", "dev"],
    pulumi: (args: readonly string[]) => {
      asked.push(args);
      return pulumi();
    },
  });

  it("asks for events, and looks first where it is told to", async () => {
    asked.length = 0;
    const stack = stackThat(() => Promise.resolve(serverEvent("create", "arm64-1-1")));
    assert.equal((await previewStack(stack)).steps.length, 1);
    await previewStack(stack, { refresh: true });
    assert.deepEqual(asked, [
      ["preview", "--json", "--stack", "dev"],
      ["preview", "--json", "--refresh", "--stack", "dev"],
    ]);
  });

  it("has the problems of a preview that failed", async () => {
    const cause = Object.assign(new Error("1"), { stdout: diagnostic("error", "fleet:a: no.") });
    const stack = stackThat(() => Promise.reject(new Error("pulumi preview fails: x", { cause })));
    assert.deepEqual((await previewStack(stack)).problems, ["fleet:a: no."]);
  });

  for (const [what, cause] of [
    ["that was never begun", Object.assign(new Error("1"), { stdout: "" })],
    ["without the CLI", new Error("ENOENT")],
  ] as const) {
    it(`throws the CLI's last words for a preview ${what}`, async () => {
      const error = new Error("pulumi preview fails: no stack named 'x' found", { cause });
      const stack = stackThat(() => Promise.reject(error));
      await assert.rejects(() => previewStack(stack), error);
    });
  }
});
