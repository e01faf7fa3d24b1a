import assert from "node:assert/strict";
import type { CheckId } from "../../../components/doctor/check";
import { problem, warning } from "../../../components/doctor/check";
import { findingsAbout, topicOf } from "../../../components/doctor/verdict";
import { checkFleet } from "../../../components/preflight/check";
import { hetznerObstacle } from "../../../components/preflight/obstacles";
import { settingsWith } from "../config/settings";
import { facts, githubFacts, hetznerFacts, repository, serverType } from "../preflight/facts";

describe("topicOf", () => {
  const cases: [sentence: string, topic: CheckId][] = [
    [hetznerObstacle({ obstacle: "tokenMissing" }), "hetzner-token"],
    [hetznerObstacle({ obstacle: "endpointInvalid", found: "a", expected: "b" }), "hetzner-token"],
    ["Hetzner's API at https://api cannot be reached (ENOTFOUND).", "hetzner-token"],
    ["github:token (or GITHUB_TOKEN): found nothing, expected one.", "github-token"],
    ["github:baseUrl (or GITHUB_BASE_URL): found nothing, expected one.", "github-token"],
    ["GitHub's API at https://api did not answer within 10 s.", "github-token"],
    ['fleet:githubUrl: found "a", expected b.', "github-token"],
    ["fleet:githubAuth.token: found a token with no scope, expected more.", "credential"],
    ["fleet:githubAuth.installationId: found 7, expected another.", "credential"],
    ['fleet:network.zone: found "moon", expected eu-central.', "configuration"],
    ["fleet:pools.a.drainTimeoutSeconds: found 1, expected more.", "configuration"],
    ["fleet:organization: found nobody, expected somebody.", "configuration"],
  ];
  for (const [sentence, topic] of cases) {
    it(`${topic}: ${sentence}`, () => assert.equal(topicOf(sentence, "fleet"), topic));
  }
});

describe("findingsAbout", () => {
  const topics = (
    what: Parameters<typeof checkFleet>[1],
    settings = settingsWith(),
  ): Record<string, string[]> => {
    const verdict = checkFleet(settings, what, "fleet");
    const all = [...verdict.problems, ...verdict.warnings];
    const found: Record<string, string[]> = {};
    for (const sentence of all) (found[topicOf(sentence, "fleet")] ??= []).push(sentence);
    return found;
  };

  it("puts what preflight says of stock, plan and runner versions where it belongs", () => {
    const soldOut = new Map([
      ["fsn1", { available: false, unavailableAfter: undefined }],
      ["nbg1", { available: true, unavailableAfter: undefined }],
    ]);
    const settings = settingsWith();
    const version = settings.pools.arm64!.runner.version;
    const found = topics(
      {
        hetzner: hetznerFacts({}, serverType("cax21", { locations: soldOut })),
        github: githubFacts({
          organization: { kind: "organization", plan: "free" },
          runnerVersions: new Map([
            [version, { registrationEnds: undefined, jobsEnd: new Date("2026-09-01") }],
          ]),
          repositories: new Map([["webppt", repository("webppt")]]),
        }),
      },
      settings,
    );
    assert.deepEqual(
      Object.fromEntries(Object.entries(found).map(([topic, list]) => [topic, list.length])),
      { stock: 1, plan: 1, "runner-versions": 1 },
    );
    assert.match(found.stock?.[0] ?? "", /^fleet:pools\.arm64.* cax21 /);
    assert.match(found.plan?.[0] ?? "", /^fleet:routing\.level: /);
    assert.match(found["runner-versions"]?.[0] ?? "", /2026-09-01/);
  });

  it("keeps problems and warnings apart, and leaves out what is about something else", () => {
    const verdict = {
      problems: ["fleet:githubAuth.token: no.", "fleet:organization: no."],
      warnings: ["fleet:githubAuth.token: hm."],
    };
    assert.deepEqual(findingsAbout("credential", verdict, "fleet"), [
      problem("fleet:githubAuth.token: no."),
      warning("fleet:githubAuth.token: hm."),
    ]);
  });

  it("has nothing to say of a fleet that can come up", () => {
    assert.deepEqual(topics(facts()), {});
  });
});
