import assert from "node:assert/strict";
import { selectRepositories } from "../../../components/preflight/repositories";
import { settingsWith } from "../config/settings";
import type { Repository } from "../../../components/preflight/facts";
import { repository } from "./facts";

const image = "ghcr.io/acme/image";
const facts = {
  repositories: new Map<string, Repository | "absent">([
    ["webppt", repository("webppt", { id: 30 })],
    ["slides", repository("slides", { id: 4 })],
    ["other", repository("other", { id: 200 })],
    ["site", repository("site", { id: 5, private: false })],
    ["gone", "absent"],
  ]),
};

describe("selectRepositories", () => {
  it("takes those of all targets where nothing is named", () => {
    const settings = settingsWith((raw) => {
      raw.targets = { webppt: { image }, deck: { image, repository: "slides" } };
      raw.secrets = { PASSWORD: { value: "hush" } };
    });
    assert.deepEqual(selectRepositories(settings, facts), {
      runnerGroup: [4, 30],
      secrets: { PASSWORD: [4, 30] },
      routed: { webppt: 30, slides: 4 },
    });
  });

  it("takes what is named, each once and whatever its letter case", () => {
    const settings = settingsWith((raw) => {
      raw.targets = {
        webppt: { image },
        again: { image, repository: "WebPPT", path: ".github/workflows/again.yml" },
      };
      raw.runnerGroup = { repositories: ["other", "WEBPPT", "webppt"] };
      raw.secrets = { PASSWORD: { value: "hush", repositories: ["other"] } };
    });
    const { runnerGroup, secrets, routed } = selectRepositories(settings, facts);
    assert.deepEqual(runnerGroup, [30, 200]);
    assert.deepEqual(secrets, { PASSWORD: [200] });
    assert.deepEqual(Object.values(routed), [30]);
  });

  it("routes no public repository", () => {
    const settings = settingsWith((raw) => (raw.targets = { site: { image }, webppt: { image } }));
    const { runnerGroup, routed } = selectRepositories(settings, facts);
    assert.deepEqual(runnerGroup, [5, 30]);
    assert.deepEqual(routed, { webppt: 30 });
  });

  it("routes no repository whose workflows use hosted runners only", () => {
    const settings = settingsWith((raw) => {
      raw.targets = {
        webppt: { image, strategy: "hosted-arm" },
        slides: { image, strategy: "qemu" },
        again: { image, repository: "slides", path: ".github/workflows/again.yml" },
      };
    });
    const { runnerGroup, routed } = selectRepositories(settings, facts);
    assert.deepEqual(runnerGroup, [4, 30]);
    assert.deepEqual(routed, { slides: 4 });
  });

  it("selects none without targets", () => {
    const settings = settingsWith((raw) => (raw.targets = {}));
    assert.deepEqual(selectRepositories(settings, facts), {
      runnerGroup: [],
      secrets: {},
      routed: {},
    });
  });

  for (const name of ["gone", "unheard-of"]) {
    it(`throws for ${name}`, () => {
      const settings = settingsWith((raw) => (raw.targets = { [name]: { image } }));
      assert.throws(() => selectRepositories(settings, facts), {
        message: `The repository ${name} was not found.`,
      });
    });
  }
});
