import assert from "node:assert/strict";
import { openSources, type SourceSettings } from "../../../components/bump/sources";
import { type FakeAnswer, fakeFetch } from "../preflight/fakeFetch";

const GITHUB = "https://api.github.com/repos/acme/action";
const HUB = "https://registry-1.docker.io";
const TOKEN_SERVICE = "https://auth.docker.io/token";
const DIGEST = `sha256:${"a".repeat(64)}`;
const CHALLENGE = {
  status: 401,
  headers: { "www-authenticate": `Bearer realm="${TOKEN_SERVICE}",service="registry.docker.io"` },
};
const TOKEN = `${TOKEN_SERVICE}?service=registry.docker.io&scope=repository%3Alibrary%2Fnode%3Apull`;

function open(
  answers: Readonly<Record<string, FakeAnswer | readonly FakeAnswer[]>>,
  settings: SourceSettings = {},
) {
  const { fetch, requests, headers } = fakeFetch(answers);
  const sleep = () => Promise.resolve();
  return { sources: openSources(settings, { fetch, sleep }), requests, headers };
}

const object = (type: string, sha: string) => ({ body: { object: { type, sha } } });

describe("what publishers say", () => {
  it("of releases, without drafts and pre-releases", async () => {
    const release = (tag_name: string, draft = false, prerelease = false) => ({
      ...{ tag_name, draft, prerelease },
    });
    const { sources, headers } = open({
      [`${GITHUB}/releases?per_page=100`]: {
        body: [release("v3", true), release("v2", false, true), release("v1"), release("v0")],
      },
    });
    assert.deepEqual(await sources.releases("acme/action"), ["v1", "v0"]);
    assert.equal(headers[0]?.get("authorization"), null);
  });

  it("of a commit, through tags that are objects", async () => {
    const { sources } = open({
      [`${GITHUB}/git/ref/tags/v1`]: object("tag", "aaa"),
      [`${GITHUB}/git/tags/aaa`]: object("tag", "bbb"),
      [`${GITHUB}/git/tags/bbb`]: object("commit", "ccc"),
      [`${GITHUB}/git/ref/tags/v2`]: object("commit", "ddd"),
      [`${GITHUB}/git/ref/tags/v3`]: { status: 404 },
    });
    assert.equal(await sources.commit("acme/action", "v1"), "ccc");
    assert.equal(await sources.commit("acme/action", "v2"), "ddd");
    assert.equal(await sources.commit("acme/action", "v3"), undefined);
  });

  it("of a tag that names itself, with an end", async () => {
    const { sources } = open({
      [`${GITHUB}/git/ref/tags/v1`]: object("tag", "aaa"),
      [`${GITHUB}/git/tags/aaa`]: object("tag", "aaa"),
    });
    await assert.rejects(sources.commit("acme/action", "v1"), {
      message: "The tag v1 of acme/action names more tags than can be right.",
    });
  });

  describe("of an action's input", () => {
    const read = (text: string) => {
      const content = Buffer.from(text).toString("base64");
      const { sources } = open({
        [`${GITHUB}/contents/action.yml?ref=abc`]: { body: { content, encoding: "base64" } },
      });
      return sources.inputDefault("acme/action", "abc", "release");
    };

    it("the default", async () => {
      assert.equal(await read("inputs:\n  release: { default: v3.0.6 }\n  other:\n"), "v3.0.6");
    });

    for (const [what, text] of Object.entries({
      "a file without inputs": "name: x\n",
      "an input without a default": "inputs:\n  release: { required: true }\n",
      "a default that is no version": "inputs:\n  release: { default: latest }\n",
      "no YAML": "inputs: [",
    })) {
      it(`no version in ${what}`, async () => {
        await assert.rejects(read(text), {
          message: "action.yml of acme/action at abc names no version as the default of release.",
        });
      });
    }
  });

  it("of an image, with the token that the registry gives anybody, asked for once", async () => {
    const { sources, requests, headers } = open({
      [`${HUB}/v2/`]: CHALLENGE,
      [TOKEN]: { body: { access_token: "of-anybody" } },
      [`${HUB}/v2/library/node/tags/list?n=1000`]: {
        headers: { link: '</v2/library/node/tags/list?last=24&n=1000>; rel="next"' },
        body: { name: "library/node", tags: ["22", "24"] },
      },
      [`${HUB}/v2/library/node/tags/list?last=24&n=1000`]: { body: { tags: ["26"] } },
      [`${HUB}/v2/library/node/manifests/24`]: { headers: { "docker-content-digest": DIGEST } },
      [`${HUB}/v2/library/node/manifests/25`]: { status: 404 },
    });
    assert.deepEqual(await sources.tags("docker.io/library/node"), ["22", "24", "26"]);
    assert.equal(await sources.digest("docker.io/library/node:24"), DIGEST);
    assert.equal(await sources.digest("docker.io/library/node:25"), undefined);
    assert.deepEqual(requests, [
      `GET ${HUB}/v2/`,
      `GET ${TOKEN}`,
      `GET ${HUB}/v2/library/node/tags/list?n=1000`,
      `GET ${HUB}/v2/library/node/tags/list?last=24&n=1000`,
      `HEAD ${HUB}/v2/library/node/manifests/24`,
      `HEAD ${HUB}/v2/library/node/manifests/25`,
    ]);
    assert.deepEqual(
      headers.map((one) => one.get("authorization")),
      [null, null, ...Array<string>(4).fill("Bearer of-anybody")],
    );
    assert.match(headers[4]?.get("accept") ?? "", /^application\/vnd\.oci\.image\.index\.v1\+json/);
  });

  it("of an image in a registry that asks for no token", async () => {
    const { sources } = open(
      {
        "http://mirror/v2/": {},
        "http://mirror/v2/acme/one/manifests/1": { headers: { "docker-content-digest": "latest" } },
      },
      { registries: { "ghcr.io": "http://mirror" } },
    );
    await assert.rejects(sources.digest("ghcr.io/acme/one:1"), {
      message: "The registry ghcr.io names no digest of ghcr.io/acme/one:1.",
    });
  });

  for (const [what, challenge] of Object.entries({
    nothing: "",
    "another scheme": 'Basic realm="registry"',
    "a token service without TLS": 'Bearer realm="http://auth.docker.io/token"',
    "a token service that is no address": 'Bearer realm="token"',
  })) {
    it(`of a registry that asks by ${what}, one sentence`, async () => {
      const { sources, requests } = open({
        [`${HUB}/v2/`]: { status: 401, headers: { "www-authenticate": challenge } },
      });
      await assert.rejects(sources.digest("docker.io/library/node:24"), {
        message: `The registry docker.io at ${HUB} does not say who gives out tokens.`,
      });
      assert.deepEqual(requests, [`GET ${HUB}/v2/`]);
    });
  }

  it("of a package, without deprecated versions", async () => {
    const { sources, headers } = open({
      "https://registry.npmjs.org/@pulumi%2fcommand": {
        body: {
          "dist-tags": { latest: "1.2.1" },
          versions: { "1.2.0": {}, "1.2.1": { deprecated: "" }, "4.5.0": { deprecated: "no" } },
        },
      },
    });
    assert.deepEqual(await sources.versions("@pulumi/command"), {
      all: ["1.2.0", "1.2.1"],
      latest: "1.2.1",
    });
    assert.equal(headers[0]?.get("accept"), "application/vnd.npm.install-v1+json");
  });

  it("never with the token in what went wrong", async () => {
    const { sources } = open(
      { [`${GITHUB}/releases?per_page=100`]: { status: 401, body: { message: "no ghp_1" } } },
      { githubToken: "ghp_1" },
    );
    await assert.rejects(sources.releases("acme/action"), {
      message:
        "GitHub's API at https://api.github.com answered 401 to GET /repos/acme/action/releases?per_page=100 (no [token]).",
    });
  });
});
