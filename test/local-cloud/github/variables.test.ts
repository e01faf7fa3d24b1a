import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { type Bench, end, start } from "./support";

const root = "/orgs/acme/actions/variables";

describe("github: variables", () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await start();
  });
  afterEach(() => end(bench));
  const id = (name: string) => bench.github.repository(`acme/${name}`).id;

  it("are created, read, changed, renamed and deleted", async () => {
    await bench.expect(201, "POST", root, { name: "runs_on", value: '"x"', visibility: "private" });
    const shown = await bench.expect(200, "GET", `${root}/RUNS_ON`);
    assert.deepEqual(
      [shown["name"], shown["value"], shown["visibility"]],
      ["RUNS_ON", '"x"', "private"],
    );
    // As GitHub's Go client sends it.
    await bench.expect(204, "PATCH", `${root}/RUNS_ON`, {
      name: "RUNS_ON",
      value: '"y"',
      visibility: "selected",
      selected_repository_ids: [id("webppt")],
    });
    assert.deepEqual(bench.github.variables("acme"), { RUNS_ON: '"y"' });
    assert.deepEqual(bench.github.repository("acme/webppt").variables(), { RUNS_ON: '"y"' });
    assert.deepEqual(bench.github.repository("acme/hello").variables(), {});
    await bench.expect(204, "PATCH", `${root}/RUNS_ON`, { name: "OTHER" });
    assert.deepEqual(bench.github.variables("acme"), { OTHER: '"y"' });
    await bench.expect(204, "DELETE", `${root}/OTHER`);
    await bench.refuses(404, "Not Found", "DELETE", `${root}/OTHER`);
  });

  it("are unique, with names that GitHub takes", async () => {
    const body = { name: "A", value: "1", visibility: "all" };
    await bench.expect(201, "POST", root, body);
    await bench.refuses(409, "Already exists - Variable already exists", "POST", root, {
      ...body,
      name: "a",
    });
    await bench.refuses(
      422,
      "Variable names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or underscores (_). Spaces are not allowed. Must start with a letter ([a-z], [A-Z]) or underscores (_).",
      "POST",
      root,
      { ...body, name: "a b" },
    );
    await bench.refuses(422, "Variable names must not start with GITHUB_.", "POST", root, {
      ...body,
      name: "GITHUB_X",
    });
    await bench.refuses(422, "Variable value exceeds the maximum size of 48 KB", "POST", root, {
      ...body,
      name: "BIG",
      value: "x".repeat(48 * 1024 + 1),
    });
  });

  it("have a selection of repositories only while they are for selected ones", async () => {
    await bench.expect(201, "POST", root, { name: "A", value: "1", visibility: "all" });
    const list = `${root}/A/repositories`;
    const message = "The visibility of the variable is not set to selected repositories";
    await bench.refuses(409, message, "GET", list);
    await bench.refuses(409, message, "PUT", list, { selected_repository_ids: [] });
    await bench.expect(204, "PATCH", `${root}/A`, { visibility: "selected" });
    await bench.expect(204, "PUT", list, { selected_repository_ids: [id("hello")] });
    const { total_count: total } = await bench.expect(200, "GET", list);
    assert.equal(total, 1);
    assert.deepEqual(bench.github.repository("acme/hello").variables(), { A: "1" });
  });

  it("of a repository win over those of the organization", async () => {
    await bench.expect(201, "POST", root, { name: "A", value: "org", visibility: "all" });
    const own = "/repos/acme/hello/actions/variables";
    await bench.expect(201, "POST", own, { name: "A", value: "own" });
    await bench.refuses(409, "Already exists - Variable already exists", "POST", own, {
      name: "A",
      value: "again",
    });
    assert.deepEqual(bench.github.repository("acme/hello").variables(), { A: "own" });
    const inherited = await bench.expect<{ variables: { value: string }[] }>(
      200,
      "GET",
      "/repos/acme/hello/actions/organization-variables",
    );
    assert.equal(inherited.variables[0]?.value, "org");
    await bench.expect(204, "PATCH", `${own}/A`, { name: "A", value: "new" });
    assert.equal((await bench.expect(200, "GET", `${own}/A`))["value"], "new");
    await bench.expect(204, "DELETE", `${own}/A`);
    assert.deepEqual(bench.github.repository("acme/hello").variables(), { A: "org" });
  });

  it("come ten to a page, thirty at most", async () => {
    for (let index = 0; index < 35; index += 1)
      await bench.expect(201, "POST", root, {
        name: `V${String(index).padStart(2, "0")}`,
        value: "1",
        visibility: "all",
      });
    const size = async (query: string) =>
      (await bench.expect<{ variables: unknown[] }>(200, "GET", root + query)).variables.length;
    assert.equal(await size(""), 10);
    assert.equal(await size("?per_page=100"), 30);
  });
});
