import assert from "node:assert/strict";
import { isChange, propose, selectPins } from "../../../components/bump/propose";
import type { Sources } from "../../../components/bump/sources";
import type { Exception, Pin } from "../../../components/pins/table";

const PATTERN = /^v?(\d+)\.(\d+)\.(\d+)$/;
const ACTION: Pin = {
  name: "acme/action",
  kind: "action",
  current: "v1.0.0",
  digest: "commit-1.0.0",
  source: { kind: "releases", repository: "acme/action", pattern: PATTERN },
  places: [],
};
const IMAGE: Pin = {
  name: "acme/image",
  kind: "image",
  current: "1.0.0",
  digest: "sha256:1.0.0",
  source: { kind: "tags", pattern: PATTERN },
  image: (version) => `docker.io/acme/image:${version}`,
  places: [],
};
const UNPINNED: Pin = { ...IMAGE, digest: undefined };
const TOOL: Pin = {
  ...{ name: "acme/tool", kind: "tool", current: "v1.0.0", digest: undefined, places: [] },
  source: { kind: "input", action: "acme/action", input: "release" },
};
const PACKAGE: Pin = {
  ...{ name: "@acme/one", kind: "package", current: "1.0.0", digest: undefined, places: [] },
  source: { kind: "npm" },
};
const EXCEPTION: Exception = { name: "@acme/one", below: "1.1.0", reason: "it breaks" };

interface World {
  readonly releases?: readonly string[];
  readonly tags?: readonly string[];
  /** By tag; one that is not named has the commit or digest of its version, `undefined` none. */
  readonly names?: Readonly<Record<string, string | undefined>>;
  readonly versions?: readonly string[];
  readonly latest?: string;
}

function sourcesOf({
  releases = [],
  tags = [],
  names = {},
  versions = [],
  latest,
}: World): Sources {
  const named = (prefix: string, tag: string) =>
    Promise.resolve(Object.hasOwn(names, tag) ? names[tag] : prefix + tag.replace(/^v/, ""));
  return {
    releases: () => Promise.resolve(releases),
    commit: (_, tag) => named("commit-", tag),
    inputDefault: (_, commit) => Promise.resolve(commit.replace("commit-", "v")),
    tags: () => Promise.resolve(tags),
    digest: (reference) => named("sha256:", reference.slice(reference.lastIndexOf(":") + 1)),
    versions: () => Promise.resolve({ all: versions, latest: latest ?? versions.at(-1) ?? "" }),
  };
}

interface Case {
  readonly pin: Pin;
  readonly world: World;
  readonly exceptions?: readonly Exception[];
  /** Version and digest, or nothing where all stays. */
  readonly becomes?: readonly [string, string | undefined];
  readonly notes?: readonly string[];
}

const CASES: Readonly<Record<string, Case>> = {
  "an action with a newer release": {
    pin: ACTION,
    world: { releases: ["v1.1.0", "v1.0.0"] },
    becomes: ["v1.1.0", "commit-1.1.0"],
  },
  "an action with a new major version": {
    pin: ACTION,
    world: { releases: ["v2.0.0", "v1.0.0"] },
    becomes: ["v2.0.0", "commit-2.0.0"],
    notes: ["a new major version, whose release notes say what breaks"],
  },
  "an action whose tag was moved": {
    pin: ACTION,
    world: { releases: ["v1.0.0"], names: { "v1.0.0": "commit-evil" } },
    notes: ["somebody moved tag v1.0.0: the pinned commit stays until people have looked"],
  },
  "an action whose new release has no tag": {
    pin: ACTION,
    world: { releases: ["v1.1.0"], names: { "v1.1.0": undefined } },
    notes: ["acme/action has no tag v1.1.0: the pinned commit stays until people have looked"],
  },
  "an image with a newer tag": {
    pin: IMAGE,
    world: { tags: ["1.0.0", "1.1.0", "latest"] },
    becomes: ["1.1.0", "sha256:1.1.0"],
  },
  "an image that was built anew": {
    pin: IMAGE,
    world: { tags: ["1.0.0"], names: { "1.0.0": "sha256:again" } },
    becomes: ["1.0.0", "sha256:again"],
    notes: ["its publisher has built the same tag anew"],
  },
  "an image without a digest here, built anew": {
    pin: UNPINNED,
    world: { tags: ["1.0.0"], names: { "1.0.0": "sha256:again" } },
  },
  "an image without a digest here, with a newer tag": {
    pin: UNPINNED,
    world: { tags: ["1.0.1"] },
    becomes: ["1.0.1", undefined],
  },
  "an image of a release that is not there": {
    pin: { ...IMAGE, source: { kind: "releases", repository: "acme/image", pattern: PATTERN } },
    world: { releases: ["1.1.0"], names: { "1.1.0": undefined } },
    notes: ["1.1.0 is released, but its image docker.io/acme/image:1.1.0 is not there"],
  },
  "a package up to what its publisher installs by default": {
    pin: PACKAGE,
    world: { versions: ["1.0.0", "1.1.0", "2.0.0"], latest: "1.1.0" },
    becomes: ["1.1.0", undefined],
  },
  "a package with an exception, whatever is installed by default": {
    pin: PACKAGE,
    world: { versions: ["1.0.0", "1.0.1", "4.5.0"], latest: "4.5.0" },
    exceptions: [EXCEPTION],
    becomes: ["1.0.1", undefined],
    notes: ["4.5.0 is held back below 1.1.0: it breaks"],
  },
  "a package with an exception for another": {
    pin: PACKAGE,
    world: { versions: ["1.0.0", "1.2.0"] },
    exceptions: [{ ...EXCEPTION, name: "@acme/other" }],
    becomes: ["1.2.0", undefined],
  },
  "what nothing can be proposed for": {
    pin: { ...UNPINNED, source: { kind: "none", reason: "there is no other tag" } },
    world: {},
    notes: ["there is no other tag"],
  },
};

describe("the proposal", () => {
  for (const [what, { pin, world, exceptions = [], becomes, notes = [] }] of Object.entries(
    CASES,
  )) {
    it(`for ${what}`, async () => {
      const [proposal] = await propose([pin], [pin], exceptions, sourcesOf(world));
      const [version, digest] = becomes ?? [pin.current, pin.digest];
      assert.deepEqual(proposal, { pin, version, digest, notes });
      assert.equal(proposal !== undefined && isChange(proposal), becomes !== undefined);
    });
  }

  const table = [ACTION, IMAGE, TOOL];

  it("of a program follows the action that installs it", async () => {
    const sources = sourcesOf({ releases: ["v1.2.0"] });
    const both = await propose(table, [TOOL, ACTION], [], sources);
    assert.deepEqual(
      both.map(({ version }) => version),
      ["v1.2.0", "v1.2.0"],
    );
    // The action as it is decides where it is not raised.
    const [alone] = await propose(table, [TOOL], [], sources);
    assert.equal(alone?.version, "v1.0.0");
  });

  it("selects pins by name, and what they decide", () => {
    const names = (...only: string[]) => selectPins(table, only).map(({ name }) => name);
    assert.deepEqual(names(), ["acme/action", "acme/image", "acme/tool"]);
    assert.deepEqual(names("acme/image"), ["acme/image"]);
    assert.deepEqual(names("acme/action"), ["acme/action", "acme/tool"]);
    assert.deepEqual(names("acme/tool"), ["acme/tool"]);
    assert.throws(() => names("acme/image", "nope"), {
      message: '--only: found "nope", expected one of acme/action, acme/image, acme/tool.',
    });
  });
});
