import assert from "node:assert/strict";
import { type Finding, ok, problem, warning } from "../../../components/doctor/check";
import { type Answer, judgeReach, publicAddress } from "../../../components/doctor/reach";

const answer = (name: string, rest: Partial<Answer> = {}): Answer => ({
  host: { name, address: "192.0.2.7", sshPort: 22 },
  failure: undefined,
  seenAs: undefined,
  ...rest,
});

const RANGES = { allowedCidrs: ["203.0.113.0/24", "2001:db8::/32"] };
const OUTSIDE =
  "This machine's address 198.51.100.9 is in none of ssh.allowedCidrs (203.0.113.0/24, 2001:db8::/32): the next run would shut it out.";

describe("judgeReach", () => {
  type Case = [answers: Answer[], own: string | undefined, ...findings: Finding[]];
  const cases: Record<string, Case> = {
    "no host, and an address that only others know": [
      [],
      undefined,
      ok(
        "There is no host yet; whether this machine's address is in ssh.allowedCidrs cannot be told from here.",
      ),
    ],
    "no host, and an address that is allowed": [
      [],
      "203.0.113.4",
      ok("There is no host yet; this machine's address is in ssh.allowedCidrs."),
    ],
    "no host, and an address that is not": [[], "198.51.100.9", warning(OUTSIDE)],
    "hosts that answer": [
      [answer("dev-a", { seenAs: "203.0.113.4" }), answer("dev-b", { seenAs: "2001:db8::1" })],
      undefined,
      ok("SSH reaches dev-a, dev-b; this machine's address is in ssh.allowedCidrs."),
    ],
    "hosts that see another address": [
      [answer("dev-a", { seenAs: "198.51.100.9" }), answer("dev-b", { seenAs: "198.51.100.9" })],
      "198.51.100.9",
      warning(OUTSIDE),
    ],
    "a host that is not reached, and one that refuses": [
      [
        answer("dev-a", { failure: { kind: "unreachable", message: "connect ETIMEDOUT" } }),
        answer("dev-b", { failure: { kind: "refused", message: "Host denied" } }),
        answer("dev-c"),
      ],
      undefined,
      problem(
        "SSH does not reach dev-a at 192.0.2.7, port 22 (connect ETIMEDOUT): the server is off or hung, or ssh.allowedCidrs does not have this machine's address.",
        "hcloud server describe dev-a",
      ),
      problem(
        "SSH to dev-b at 192.0.2.7, port 22 is refused (Host denied): its host key is not the one in the stack's state, or it does not know ssh.privateKey.",
      ),
    ],
  };
  for (const [what, [answers, own, ...findings]] of Object.entries(cases)) {
    it(`judges ${what}`, () => assert.deepEqual(judgeReach(RANGES, answers, own), findings));
  }
});

describe("publicAddress", () => {
  const cases: [address: string, expected: string | undefined][] = [
    ["127.0.0.1", undefined],
    ["10.1.2.3", undefined],
    ["172.31.0.1", undefined],
    ["172.32.0.1", "172.32.0.1"],
    ["192.168.1.2", undefined],
    ["100.64.0.1", undefined],
    ["192.0.2.2", undefined],
    ["8.8.4.4", "8.8.4.4"],
  ];
  for (const [address, expected] of cases) {
    it(`${address} is ${expected === undefined ? "not " : ""}what others see`, () => {
      assert.equal(publicAddress(address), expected);
    });
  }
});
