import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import {
  ProposalError,
  type ProposedFile,
  proposeFile,
  withdrawFile,
} from "../../../components/imageWorkflow/proposeFile";
import { listen, type Listening } from "../../../local-cloud/core/serve";
import { type Fault, Traffic } from "../../../local-cloud/core/traffic";
import { createGitHub, type GitHub } from "../../../local-cloud/github";

const PATH = ".github/workflows/image.yml";
const HEAD = "runner-fleet/dev/image.yml";
const PULL = "https://github.com/acme/webppt/pull";

describe("proposeFile", () => {
  const traffic = new Traffic();
  let github: GitHub;
  let server: Listening;

  before(async () => {
    github = await createGitHub({ traffic });
    server = await listen((request) => github.fetch(request));
  });
  afterEach(async () => {
    const surprises = traffic.takeSurprises();
    traffic.reset();
    await github.reset();
    assert.deepEqual(surprises, []);
  });
  after(async () => {
    await server.close();
    await github.close();
  });

  const file = (change: Partial<ProposedFile> = {}): ProposedFile => ({
    api: `${server.url}/api/v3`,
    token: github.tokens.admin,
    repository: "acme/webppt",
    base: "master",
    head: HEAD,
    path: PATH,
    content: "on: push\n",
    title: "ci: a workflow",
    body: "Why.",
    message: "ci: a workflow",
    ...change,
  });
  const repository = () => github.repository("acme/webppt");
  const states = () =>
    repository()
      .pulls()
      .map(({ state }) => state);
  const writes = () =>
    traffic.requests.filter(({ method }) => method !== "GET").map(({ method }) => method);
  const respond = (
    method: string,
    path: RegExp,
    status: number,
    body: unknown,
    more: Partial<Fault> & { headers?: Record<string, string> } = {},
  ) => {
    const { headers, ...fault } = more;
    const effect = { kind: "respond", status, body, ...(headers && { headers }) } as const;
    traffic.addFault({ side: "github", method, path, effect, ...fault });
  };

  it("writes once: again there is nothing to do", async () => {
    assert.equal(await proposeFile(file()), `${PULL}/1`);
    assert.deepEqual(writes(), ["POST", "PUT", "POST"]);
    assert.equal(repository().file(PATH, HEAD), "on: push\n");
    traffic.requests.splice(0);
    assert.equal(await proposeFile(file()), `${PULL}/1`);
    assert.deepEqual(writes(), []);
  });

  it("changes title and text of an open pull request too", async () => {
    await proposeFile(file());
    await proposeFile(file({ title: "ci: another" }));
    assert.deepEqual(
      repository()
        .pulls()
        .map(({ title, state }) => [title, state]),
      [["ci: another", "open"]],
    );
  });

  it("goes on where an earlier run was cut off", async () => {
    respond("POST", /\/pulls$/, 422, { message: "Validation Failed", errors: [{ message: "No" }] });
    await assert.rejects(proposeFile(file()), {
      message: "GitHub answered 422 (Validation Failed: No) to POST /pulls in acme/webppt.",
    });
    assert.equal(await proposeFile(file()), `${PULL}/1`);
  });

  it("starts from the tip of the branch where an old proposal was left", async () => {
    await proposeFile(file());
    await fetch(`${server.url}/api/v3/repos/acme/webppt/pulls/1`, {
      method: "PATCH",
      headers: {
        authorization: `Bearer ${github.tokens.admin}`,
        "content-type": "application/json",
      },
      body: JSON.stringify({ state: "closed" }),
    });
    const tip = repository().edit("README.md", "# new\n");
    assert.equal(await proposeFile(file({ content: "on: pull_request\n" })), `${PULL}/2`);
    assert.equal(repository().commits(HEAD)[1]?.sha, tip);
  });

  it("leaves closed what people have closed with this content", async () => {
    await proposeFile(file());
    await withdrawFile(file());
    assert.equal(await proposeFile(file()), `${PULL}/1`);
    assert.deepEqual(states(), ["closed"]);
  });

  it("has nothing to do where the file is right", async () => {
    repository().edit(PATH, "on: push\n");
    assert.equal(await proposeFile(file()), "");
    assert.deepEqual(repository().pulls(), []);
  });

  it("withdraws an open one, and what is gone already", async () => {
    await proposeFile(file());
    await withdrawFile(file());
    assert.deepEqual(states(), ["closed"]);
    assert.deepEqual(repository().branches(), ["master"]);
    await withdrawFile(file());
    await withdrawFile(file({ repository: "acme/gone" }));
  });

  it("leaves an archived repository as it is", async () => {
    await proposeFile(file());
    respond("GET", /^\/repos\/acme\/webppt$/, 200, { archived: true });
    await withdrawFile(file());
    assert.deepEqual(states(), ["open"]);
  });

  it("commits again when somebody else did in between", async () => {
    respond("PUT", /\/contents\//, 409, { message: `${PATH} does not match` });
    await proposeFile(file());
    assert.equal(repository().file(PATH, HEAD), "on: push\n");
  });

  it("waits as long as GitHub says, and for a server error", async () => {
    const started = performance.now();
    respond(
      "POST",
      /\/git\/refs$/,
      403,
      { message: "secondary limit" },
      {
        headers: { "retry-after": "1" },
      },
    );
    respond("GET", /\/pulls$/, 502, {});
    assert.equal(await proposeFile(file()), `${PULL}/1`);
    assert.ok(performance.now() - started > 1900);
  });

  it("does not wait for an hour", async () => {
    respond(
      "GET",
      /\/pulls$/,
      429,
      { message: "Too many" },
      { headers: { "retry-after": "3600" } },
    );
    await assert.rejects(proposeFile(file()), {
      message: "GitHub answered 429 (Too many) to GET /pulls in acme/webppt.",
    });
  });

  it("does not take a limit for a lack of rights", async () => {
    respond(
      "POST",
      /\/git\/refs$/,
      403,
      { message: "API rate limit exceeded" },
      { headers: { "x-ratelimit-remaining": "0", "retry-after": "3600" } },
    );
    await assert.rejects(proposeFile(file()), {
      message: "GitHub answered 403 (API rate limit exceeded) to POST /git/refs in acme/webppt.",
    });
  });

  it("says which right a token lacks", async () => {
    await assert.rejects(
      proposeFile(file({ token: github.tokens.noWorkflow })),
      (error) =>
        error instanceof ProposalError &&
        /^GitHub answered 404 .* to PUT \/contents\/\.github\/workflows\/image\.yml in acme\/webppt, expected a token with the permission "Contents: write" and "Workflows: write" \(a classic token: the scopes repo and workflow\) there\.$/.test(
          error.message,
        ),
    );
    assert.deepEqual(repository().pulls(), []);
  });

  it("says what is not as documented", async () => {
    respond("GET", /\/pulls$/, 200, { pulls: [] });
    await assert.rejects(proposeFile(file()), {
      message: "GitHub answered GET /pulls in acme/webppt with something else than documented.",
    });
  });

  describe("as a command", () => {
    const run = (command: string, environment: Record<string, string>) =>
      new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
        const { content, ...given } = file();
        const root = join(__dirname, "../../..");
        const child = execFile(
          process.execPath,
          ["--import", "tsx", "components/imageWorkflow/proposeFile.main.ts", command],
          {
            cwd: root,
            env: {
              GITHUB_API: given.api,
              GITHUB_TOKEN: given.token,
              PROPOSAL_REPOSITORY: given.repository,
              PROPOSAL_BASE: given.base,
              PROPOSAL_HEAD: given.head,
              PROPOSAL_PATH: given.path,
              PROPOSAL_TITLE: given.title,
              PROPOSAL_BODY: given.body,
              PROPOSAL_MESSAGE: given.message,
              ...environment,
            },
          },
          (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
        );
        child.stdin?.end(content);
      });

    it("prints the address, and withdraws", async () => {
      assert.deepEqual(await run("propose", {}), { code: 0, stdout: `${PULL}/1`, stderr: "" });
      assert.deepEqual(await run("withdraw", {}), { code: 0, stdout: "", stderr: "" });
      assert.deepEqual(states(), ["closed"]);
    });

    it("ends with one sentence", async () => {
      const gone = await listen(() => new Response());
      await gone.close();
      const { code, stderr } = await run("propose", { GITHUB_API: gone.url });
      assert.equal(code, 1);
      assert.match(stderr, /^GitHub did not answer GET .* in acme\/webppt: .*ECONNREFUSED.*\.\n$/);
    });
  });
});
