import assert from "node:assert/strict";
import { describe, it } from "mocha";
import {
  matches,
  pullRequestStarts,
  pushStarts,
  skipsRuns,
} from "../../../../local-cloud/github/workflows/filters";

describe("github: filters of workflows", () => {
  // The examples of GitHub's own cheat sheet, and their opposites.
  const patterns: [string | string[], string, boolean][] = [
    ["feature/*", "feature/my-branch", true],
    ["feature/*", "feature/beta-a/my-branch", false],
    ["feature/**", "feature/beta-a/my-branch", true],
    ["main", "main", true],
    ["main", "domain", false],
    ["*", "releases", true],
    ["*", "all/the", false],
    ["**", "all/the/branches", true],
    ["*feature", "mona-feature", true],
    ["*feature", "feature-x", false],
    ["v2*", "v2.0", true],
    ["v[12].[0-9]+.[0-9]+", "v1.10.1", true],
    ["v[12].[0-9]+.[0-9]+", "v3.0.0", false],
    ["v*.*.*", "v1.2.3", true],
    ["v*.*.*", "v31", false],
    ["*.jsx?", "page.js", true],
    ["*.jsx?", "page.jsx", true],
    ["*.jsx?", "page.jsxx", false],
    ["*.js", "js/index.js", false],
    ["**.js", "js/index.js", true],
    ["docs/*", "docs/README.md", true],
    ["docs/*", "docs/a/markdown.md", false],
    ["docs/**/*.md", "docs/README.md", true],
    ["docs/**/*.md", "docs/mona/octocat.txt", false],
    ["**/docs/**", "docs/hello.md", true],
    ["**/docs/**", "dir/docs/my-file.txt", true],
    ["**/README.md", "js/README.md", true],
    ["**/*src/**", "my-src/code/js/app.js", true],
    ["**/*-post.md", "path/their-post.md", true],
    ["a\\*b", "a*b", true],
    ["a\\*b", "axb", false],
    [["releases/**", "!releases/**-alpha"], "releases/10", true],
    [["releases/**", "!releases/**-alpha"], "releases/beta/3-alpha", false],
    [["!a", "*"], "a", true],
    [["!a"], "b", false],
  ];
  for (const [pattern, name, expected] of patterns)
    it(`${JSON.stringify(pattern)} ${expected ? "takes" : "leaves"} ${name}`, () =>
      assert.equal(matches([pattern].flat(), name), expected));

  const [branch, tag] = ["refs/heads/main", "refs/tags/31"];
  const pushes: [Parameters<typeof pushStarts>[0], string, string[], boolean][] = [
    [undefined, branch, [], false],
    [{}, branch, [], true],
    [{}, tag, [], true],
    [{ branches: ["main"] }, branch, [], true],
    [{ branches: ["main"] }, tag, [], false],
    [{ tags: ["*"] }, branch, [], false],
    [{ tags: ["*"] }, tag, [], true],
    [{ branches: ["main"], tags: ["v*"] }, tag, [], false],
    [{ "branches-ignore": ["main"] }, branch, [], false],
    [{ "branches-ignore": ["other"] }, branch, [], true],
    [{ "branches-ignore": ["other"] }, tag, [], false],
    [{ "tags-ignore": ["v*"] }, tag, [], true],
    [{ paths: ["src/**"] }, branch, ["src/a"], true],
    [{ paths: ["src/**"] }, branch, ["docs/a"], false],
    [{ paths: ["src/**"] }, tag, ["docs/a"], true],
    [{ paths: ["**", "!**.md"] }, branch, ["a.md"], false],
    [{ "paths-ignore": ["**.md"] }, branch, ["a.md"], false],
    [{ "paths-ignore": ["**.md"] }, branch, ["a.md", "b.c"], true],
    [{ branches: ["other"], paths: ["a"] }, branch, ["a"], false],
    [{ paths: ["last"] }, branch, [...Array<string>(300).fill("x"), "last"], false],
  ];
  for (const [filter, ref, changed, expected] of pushes)
    it(`a push of ${changed.length > 9 ? "many files" : JSON.stringify(changed)} to ${ref} ${expected ? "starts" : "does not start"} ${JSON.stringify(filter)}`, () =>
      assert.equal(
        pushStarts(filter, ref, () => changed),
        expected,
      ));

  const pulls: [Parameters<typeof pullRequestStarts>[0], string, boolean][] = [
    [undefined, "opened", false],
    [{}, "opened", true],
    [{}, "synchronize", true],
    [{}, "closed", false],
    [{ types: ["closed"] }, "closed", true],
    [{ types: ["closed"] }, "opened", false],
    [{ branches: ["main"] }, "opened", true],
    [{ branches: ["release"] }, "opened", false],
    [{ paths: ["b"] }, "opened", false],
  ];
  for (const [filter, action, expected] of pulls)
    it(`a pull request into main, ${action}, ${expected ? "starts" : "does not start"} ${JSON.stringify(filter)}`, () =>
      assert.equal(
        pullRequestStarts(filter, action, "main", () => ["a"]),
        expected,
      ));

  const messages: [string, boolean][] = [
    ["Fix", false],
    ["Fix [skip ci]", true],
    ["[ci skip] Fix", true],
    ["Fix\n\nBody [no ci]", true],
    ["x [skip actions]", true],
    ["x [actions skip]", true],
    ["x skip ci", false],
    ["x\n\n\nskip-checks: true", true],
    ["x\nskip-checks: true", false],
    ["x\n\n\nskip-checks: false", false],
  ];
  for (const [message, expected] of messages)
    it(`${JSON.stringify(message)} ${expected ? "asks for no runs" : "runs"}`, () =>
      assert.equal(skipsRuns(message), expected));
});
