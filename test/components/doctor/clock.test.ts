import assert from "node:assert/strict";
import { type Finding, ok, problem, skipped, warning } from "../../../components/doctor/check";
import { judgeClock } from "../../../components/doctor/clock";

const REPAIR = "timedatectl set-ntp true";

describe("judgeClock", () => {
  type Case = [ahead: Record<string, number>, kind: "app" | "pat", ...findings: Finding[]];
  const cases: Record<string, Case> = {
    "clocks that agree": [
      { Hetzner: 1, GitHub: -30 },
      "app",
      ok("The clock of this machine is within 30 s of Hetzner's and GitHub's."),
    ],
    "one clock alone": [
      { GitHub: 0 },
      "pat",
      ok("The clock of this machine is within 0 s of GitHub's."),
    ],
    "a clock that is behind": [
      { Hetzner: 31, GitHub: 29 },
      "app",
      warning("The clock of this machine is 31 s behind Hetzner's.", REPAIR),
    ],
    "a clock that is ahead, with an App": [
      { Hetzner: -60, GitHub: -61 },
      "app",
      warning("The clock of this machine is 60 s ahead of Hetzner's.", REPAIR),
      problem(
        "The clock of this machine is 61 s ahead of GitHub's: GitHub refuses an App whose clock is 60 s wrong.",
        REPAIR,
      ),
    ],
    "a clock that is ahead, with a token": [
      { GitHub: -600 },
      "pat",
      warning("The clock of this machine is 600 s ahead of GitHub's.", REPAIR),
    ],
    "no answer": [{}, "app", skipped("Neither API has told the time.")],
  };
  for (const [what, [ahead, kind, ...findings]] of Object.entries(cases)) {
    it(`judges ${what}`, () => assert.deepEqual(judgeClock(ahead, kind), findings));
  }
});
