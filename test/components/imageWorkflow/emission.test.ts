import assert from "node:assert/strict";
import { centralPaths, emitWorkflows } from "../../../components/imageWorkflow/emission";
import {
  isOurs,
  renderCaller,
  renderReusable,
  renderWorkflow,
} from "../../../components/imageWorkflow/workflow";
import { settingsWith } from "../config/settings";
import { modelOf } from "./models";

const GENERATOR = { project: "runner-fleet", stack: "dev" };

const settings = settingsWith((raw) => {
  const image = "ghcr.io/acme/webppt";
  raw.reusableWorkflows = { repository: "central" };
  raw.targets = {
    webppt: { image },
    first: { image, emit: "reusable" },
    second: { image, emit: "reusable" },
    third: { image, emit: "reusable", strategy: "amd64" },
  };
});
const branches = { webppt: "master", first: "main", second: "next", third: "main" };

describe("emitWorkflows", () => {
  const { targets, central } = emitWorkflows(GENERATOR, settings, branches, "stable");

  it("gives a target its whole workflow, or one that calls", () => {
    assert.deepEqual(Object.keys(targets), ["webppt", "first", "second", "third"]);
    assert.equal(targets.webppt, renderWorkflow(modelOf()));
    const location = { organization: "acme", repository: "central", ref: "stable" };
    const model = modelOf({}, undefined, "next", "second");
    assert.equal(targets.second, renderCaller(model, location));
  });

  it("puts one workflow for each strategy that is called into the central repository", () => {
    assert.deepEqual(Object.keys(central).sort(), centralPaths(settings));
    assert.deepEqual(centralPaths(settings), [
      ".github/workflows/image-amd64.yml",
      ".github/workflows/image-hybrid.yml",
    ]);
    for (const target of ["first", "second"]) {
      const { path, content } = renderReusable(modelOf({}, undefined, "main", target));
      assert.equal(central[path], content);
    }
  });

  it("says in every file who wrote it", () => {
    const files = [...Object.values(targets), ...Object.values(central)];
    assert.equal(files.length, 6);
    assert.ok(files.every(isOurs));
  });

  it("has nothing for the central repository when nobody calls", () => {
    const alone = settingsWith();
    assert.deepEqual(emitWorkflows(GENERATOR, alone, branches, undefined).central, {});
    assert.deepEqual(centralPaths(alone), []);
  });

  it("throws without a branch", () => {
    assert.throws(
      () => emitWorkflows(GENERATOR, settings, {}, "stable"),
      /branch of target webppt/,
    );
    assert.throws(
      () => emitWorkflows(GENERATOR, settings, branches, undefined),
      /target first calls has no place/,
    );
  });
});
