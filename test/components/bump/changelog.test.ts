import assert from "node:assert/strict";
import { addToChangelog, type Raised } from "../../../components/bump/changelog";

const RAISED: Raised = { name: "actions/runner", from: "2.338.0", to: "2.339.0" };
const LINE = "- Raise actions/runner from 2.338.0 to 2.339.0.";
const HEADER = `# Changelog

What changes for people who run a fleet, in the form of [Keep a Changelog](https://keepachangelog.com/en/1.1.0/).
`;

const CASES: Readonly<Record<string, readonly [string | undefined, string]>> = {
  "no file": [undefined, `${HEADER}\n## [Unreleased]\n\n### Changed\n\n${LINE}\n`],
  "an empty section": [
    "# Changelog\n\n## [Unreleased]\n",
    `# Changelog\n\n## [Unreleased]\n\n### Changed\n\n${LINE}\n`,
  ],
  "no section before the first release": [
    "# Changelog\n\n## [1.0.0] - 2026-01-01\n\n### Added\n\n- All.\n",
    `# Changelog\n\n## [Unreleased]\n\n### Changed\n\n${LINE}\n\n## [1.0.0] - 2026-01-01\n\n### Added\n\n- All.\n`,
  ],
  "another list before the release": [
    "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- One.\n\n## [1.0.0] - 2026-01-01\n\n### Changed\n\n- All.\n",
    `# Changelog\n\n## [Unreleased]\n\n### Added\n\n- One.\n\n### Changed\n\n${LINE}\n\n## [1.0.0] - 2026-01-01\n\n### Changed\n\n- All.\n`,
  ],
  "changes and a list behind them": [
    "# Changelog\n\n## [Unreleased]\n\n### Changed\n\n- One.\n\n### Fixed\n\n- Two.\n",
    `# Changelog\n\n## [Unreleased]\n\n### Changed\n\n- One.\n${LINE}\n\n### Fixed\n\n- Two.\n`,
  ],
  "a heading without changes": [
    "# Changelog\n\n## [Unreleased]\n\n### Changed\n\n### Fixed\n\n- Two.\n",
    `# Changelog\n\n## [Unreleased]\n\n### Changed\n\n${LINE}\n\n### Fixed\n\n- Two.\n`,
  ],
  "an earlier line for the same": [
    "# Changelog\n\n## [Unreleased]\n\n### Changed\n\n- Raise actions/runner from 2.336.0 to 2.338.0.\n- One.\n",
    "# Changelog\n\n## [Unreleased]\n\n### Changed\n\n- Raise actions/runner from 2.336.0 to 2.339.0.\n- One.\n",
  ],
  "the line itself": [
    `# Changelog\n\n## [Unreleased]\n\n### Changed\n\n${LINE}\n`,
    `# Changelog\n\n## [Unreleased]\n\n### Changed\n\n${LINE}\n`,
  ],
};

describe("the changelog", () => {
  for (const [what, [before, after]] of Object.entries(CASES)) {
    it(`with ${what}`, () => {
      assert.equal(addToChangelog(before, [RAISED]), after);
    });
  }

  it("takes several lines in their order, and another digest of the same version", () => {
    const node = { name: "node", from: "24.19.0-alpine3.24", to: "24.19.0-alpine3.24" };
    assert.equal(
      addToChangelog("# Changelog\n\n## [Unreleased]\n", [RAISED, node]),
      `# Changelog\n\n## [Unreleased]\n\n### Changed\n\n${LINE}\n- Renew the digest of node 24.19.0-alpine3.24.\n`,
    );
  });
});
