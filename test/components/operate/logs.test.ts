import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { logCommand, type LogQuery, parseSince } from "../../../components/operate/logs";
import { RUNNER_HOST, TOKEN_SERVICE } from "./hosts";

describe("the command that reads a host's log", () => {
  const since = new Date("2026-01-31T12:00:00.700Z");
  const cases: readonly (readonly [string, typeof RUNNER_HOST, Partial<LogQuery>, string])[] = [
    [
      "of everything of the fleet's",
      RUNNER_HOST,
      {},
      "journalctl --no-pager --output short-iso --lines 100 --unit 'runner-slot@*.service' --unit runner-guard.service --unit runner-lease.service",
    ],
    [
      "of one slot",
      RUNNER_HOST,
      { slot: 2, lines: 7 },
      "journalctl --no-pager --output short-iso --lines 7 --unit runner-slot@2.service",
    ],
    [
      "since a point in time, all of it",
      RUNNER_HOST,
      { slot: 1, since },
      "journalctl --no-pager --output short-iso --lines all --since @1769860800 --unit runner-slot@1.service",
    ],
    [
      "of the token service",
      TOKEN_SERVICE,
      {},
      "docker compose --project-directory /opt/runner-fleet logs --no-color --timestamps --tail 100",
    ],
    [
      "of the token service since then, but not more than so much",
      TOKEN_SERVICE,
      { since, lines: 5 },
      "docker compose --project-directory /opt/runner-fleet logs --no-color --timestamps --tail 5 --since 1769860800",
    ],
  ];
  for (const [title, host, query, command] of cases) {
    it(title, () => assert.equal(logCommand(host, { follow: false, ...query }), command));
  }

  it("knows no slot on the token service's host", () => {
    assert.throws(() => logCommand(TOKEN_SERVICE, { slot: 1, follow: false }), {
      message: "SLOT: found 1, expected none, since dev-token-service runs no runners.",
    });
  });

  it("ends what it follows with when nobody listens any more", async () => {
    const folder = await mkdtemp(join(tmpdir(), "runner-fleet-test-"));
    try {
      const journalctl = '#!/bin/bash\necho "$@"\nexec sleep 60\n';
      await writeFile(join(folder, "journalctl"), journalctl, { mode: 0o755 });
      const command = logCommand(RUNNER_HOST, { slot: 1, follow: true });
      const child = spawn("bash", ["--norc", "-c", command], {
        env: { PATH: `${folder}:${process.env.PATH}` },
        stdio: ["pipe", "pipe", "inherit"],
      });
      const said = await new Promise<string>((resolve) => child.stdout.once("data", resolve));
      const ended = new Promise((resolve) => child.once("exit", resolve));
      // As sshd does when the connection is gone.
      child.stdin.end();
      await ended;
      assert.equal(
        String(said),
        "--no-pager --output short-iso --lines 100 --follow --unit runner-slot@1.service\n",
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("a point in time as people write it", () => {
  const now = new Date("2026-02-01T00:00:00Z");
  for (const [text, iso] of [
    ["90s", "2026-01-31T23:58:30.000Z"],
    ["30m", "2026-01-31T23:30:00.000Z"],
    ["2h", "2026-01-31T22:00:00.000Z"],
    ["1d", "2026-01-31T00:00:00.000Z"],
    ["2026-01-30", "2026-01-30T00:00:00.000Z"],
    ["2026-01-30T10:00Z", "2026-01-30T10:00:00.000Z"],
    ["2026-01-30T10:00:05+02:00", "2026-01-30T08:00:05.000Z"],
  ] as const) {
    it(`${text} is ${iso}`, () => assert.equal(parseSince(text, now).toISOString(), iso));
  }

  for (const text of ["", "yesterday", "-2h", "2 h", "2026-13-01", "2026-01-30T10:00", "@12"]) {
    it(`"${text}" is none`, () => {
      assert.throws(() => parseSince(text, now), {
        message: `--since: found "${text}", expected a span such as 30m, 2h or 1d, or a date such as 2026-01-31T12:00:00Z.`,
      });
    });
  }
});
