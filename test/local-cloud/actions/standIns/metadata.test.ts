import assert from "node:assert/strict";
import { pairOf } from "../../../../local-cloud/actions/standIns/lists";
import { describe as describeImage } from "../../../../local-cloud/actions/standIns/metadata";
import { runSteps, SHA, uses, withServer } from "../support";

const repository = {
  name: "webppt",
  description: "Slides",
  html_url: "https://github.com/acme/webppt",
  default_branch: "master",
  license: { spdx_id: "MIT" },
};

interface Case {
  readonly tags: string[];
  readonly ref?: string;
  readonly event?: string;
  readonly flavor?: string[];
  readonly expected: string[];
  readonly warns?: RegExp;
}

function names({ tags, ref = "refs/heads/master", event = "push", flavor = [] }: Case): {
  names: readonly string[];
  warnings: string[];
} {
  const warnings: string[] = [];
  const result = describeImage(
    { images: [], tags, flavor, labels: [], annotations: [] },
    {
      event_name: event,
      ref,
      sha: SHA,
      repository: "acme/webppt",
      event: {
        repository: { default_branch: "master" },
        ...(event === "pull_request" && {
          pull_request: { base: { ref: "main" }, head: { sha: "a" } },
        }),
        head_commit: { id: SHA, timestamp: "2026-02-03T04:05:06Z" },
      },
    },
    repository,
    { now: new Date("2026-01-02T03:04:05Z"), env: {}, warn: (text) => warnings.push(text) },
  );
  return { names: result.tagNames, warnings };
}

const EMITTED = [
  "type=raw,value=latest,enable=true",
  "type=ref,event=tag",
  "type=semver,pattern={{version}}",
  "type=semver,pattern={{major}}.{{minor}}",
  "type=sha,format=long",
];

describe("docker/metadata-action: tags", () => {
  for (const [title, given] of Object.entries<Case>({
    "the default branch, as emitted": {
      tags: EMITTED,
      flavor: ["latest=false"],
      expected: ["latest", `sha-${SHA}`],
    },
    "the git tag 31, as emitted": {
      tags: EMITTED.with(0, "type=raw,value=latest,enable=false"),
      ref: "refs/tags/31",
      flavor: ["latest=false"],
      expected: ["31", `sha-${SHA}`],
      warns: /^31 is not a valid semver/,
    },
    "a version, as emitted": {
      tags: EMITTED.with(0, "type=raw,value=latest,enable=false"),
      ref: "refs/tags/v1.2.3",
      flavor: ["latest=false"],
      expected: ["1.2.3", "1.2", "v1.2.3", `sha-${SHA}`],
    },
    "a prerelease has no short form": {
      tags: EMITTED.slice(2, 4),
      ref: "refs/tags/v1.2.3-rc.1",
      expected: ["1.2.3-rc.1"],
    },
    "a version moves latest unless the flavor forbids it": {
      tags: ["type=semver,pattern={{major}}"],
      ref: "refs/tags/2.0.0",
      expected: ["2", "latest"],
    },
    "a version given as a value": {
      tags: ["type=semver,pattern={{version}},value=v3.1.4"],
      flavor: ["latest=false"],
      expected: ["3.1.4"],
    },
    "raw, enabled by an expression": {
      tags: [
        "type=raw,value=edge,enable={{is_default_branch}}",
        "type=raw,value=other,enable={{is_not_default_branch}}",
        "plain",
      ],
      expected: ["edge", "plain"],
    },
    "global expressions": {
      tags: ["type=raw,value={{branch}}-{{sha}}-{{date 'YYYYMMDD'}}-{{commit_date 'X'}}"],
      ref: "refs/heads/feat/x",
      expected: ["feat-x-0123456-20260102-1770091506"],
    },
    "none: the default rules on a branch": { tags: [], ref: "refs/heads/dev", expected: ["dev"] },
    "none: the default rules on a pull request": {
      tags: [],
      ref: "refs/pull/12/merge",
      event: "pull_request",
      expected: ["pr-12"],
    },
    "none: the default rules on a git tag": {
      tags: [],
      ref: "refs/tags/v1",
      expected: ["v1", "latest"],
    },
    "none: the default rules on a schedule": {
      tags: [],
      event: "schedule",
      expected: ["nightly", "master"],
    },
    priority: {
      tags: ["type=sha", "type=raw,value=b,priority=50", "type=raw,value=a,priority=1001"],
      expected: ["a", "sha-0123456", "b"],
    },
    "prefixes and suffixes": {
      tags: ["type=ref,event=branch", "type=sha,prefix=,suffix=-x"],
      flavor: ["prefix=p-,onlatest=true", "suffix=-s", "latest=true"],
      expected: ["p-master-s", "0123456-x", "p-latest"],
    },
    "a match": {
      tags: ["type=match,pattern=v(\\d+).(\\d+),group=2"],
      ref: "refs/tags/v4.7",
      flavor: ["latest=false"],
      expected: ["7"],
    },
    "a match of nothing": {
      tags: ["type=match,pattern=x(.*)"],
      ref: "refs/tags/v4.7",
      expected: [],
      warns: /x\(\.\*\) does not match v4\.7/,
    },
    edge: { tags: ["type=edge", "type=edge,branch=dev"], expected: ["edge"] },
    "the same tag twice": { tags: ["a", "type=raw,value=a"], expected: ["a"] },
  }))
    it(title, () => {
      const { names: found, warnings } = names(given);
      assert.deepEqual(found, given.expected);
      if (given.warns === undefined) assert.deepEqual(warnings, []);
      else assert.match(warnings.join("\n"), given.warns);
    });

  for (const [tag, message] of [
    ["type=nonsense", /Unknown tag type attribute: nonsense/],
    ["type=pep440,pattern={{version}}", /does not model tags of type pep440/],
    ["type=semver", /Missing pattern attribute/],
    ["type=raw", /Missing value attribute/],
    ["type=ref,event=moon", /Invalid event/],
    ["type=sha,format=odd", /Invalid format/],
    ["type=raw,value=x,enable=perhaps", /Invalid value for enable attribute: perhaps/],
    ["type=raw,value={{#if x}}y{{/if}}", /does not model the expression/],
    ["type=raw,value={{date 'dddd'}}", /does not model the date/],
  ] as const)
    it(`refuses ${tag}`, () => assert.throws(() => names({ tags: [tag], expected: [] }), message));
});

describe("docker/metadata-action: the step", () => {
  it("tells tags, labels and annotations, and asks GitHub about the repository", async () => {
    const requests: string[] = [];
    const { report, log } = await withServer(
      (request, response) => {
        requests.push(`${request.url} ${request.headers.authorization}`);
        response.end(JSON.stringify(repository));
      },
      (url) =>
        runSteps(
          [
            {
              id: "metadata",
              uses: uses("docker/metadata-action"),
              with: {
                images: "ghcr.io/Acme/webppt",
                tags: `type=raw,value=latest,enable=\${{ github.ref == 'refs/heads/master' }}\n# a comment\ntype=sha,format=long\n`,
                flavor: "latest=false",
                labels: "com.example.ref={{branch}}\norg.opencontainers.image.title=Own",
              },
              env: { DOCKER_METADATA_ANNOTATIONS_LEVELS: "index,manifest" },
            },
          ],
          {
            github: { api_url: url },
            outputs: Object.fromEntries(
              ["version", "tags", "labels", "annotations", "json"].map((name) => [
                name,
                `\${{ steps.metadata.outputs.${name} }}`,
              ]),
            ),
          },
        ),
    );
    assert.equal(report.result, "succeeded", log);
    assert.deepEqual(requests, ["/repos/acme/webppt token job-token"]);
    const { version, tags, labels = "", annotations = "", json = "{}" } = report.outputs;
    assert.equal(version, "latest");
    assert.equal(tags, `ghcr.io/acme/webppt:latest\nghcr.io/acme/webppt:sha-${SHA}`);
    const labelled = Object.fromEntries(labels.split("\n").map(pairOf));
    assert.equal(labelled["com.example.ref"], "master");
    assert.equal(labelled["org.opencontainers.image.title"], "Own");
    assert.equal(labelled["org.opencontainers.image.revision"], SHA);
    assert.equal(labelled["org.opencontainers.image.licenses"], "MIT");
    assert.ok(
      annotations.includes("index:org.opencontainers.image.source=https://github.com/acme/webppt"),
    );
    const parsed = JSON.parse(json) as { tags: string[]; annotations: string[] };
    assert.deepEqual(parsed.tags, tags.split("\n"));
    assert.deepEqual(parsed.annotations, annotations.split("\n"));
    assert.equal(parsed.annotations.length, 16);
  });
});
