import type { Reading } from "../../../components/status/reading";
import { host, job, NOW, reading, server } from "./statuses";

const HOUR_MS = 60 * 60 * 1000;

/** Names that somebody gave who wants more than a job. */
export const NAMES: readonly string[] = [
  '<script>document.title="owned"</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  "</style></title><svg onload=alert(1)>",
  "&lt;b&gt; &amp; co",
  "\u202ereversed\u001b[2Jcleared",
  "aVeryLongNameWithoutAnyPlaceToBreakItThatIsWiderThanAnyPhone".repeat(3),
];

/** A fleet of five hosts with jobs of a month, some on GitHub's runners, and hostile names throughout. */
export function hostile(): Reading {
  const plain = reading();
  const names = [1, 2, 3, 4, 5].map((number) => `dev-arm64-1-${number}`);
  const hosts = names.map((name) => host(name));
  const own = Array.from({ length: 120 }, (_, index) => {
    const start = NOW.getTime() - (index ** 1.35 + 1) * HOUR_MS;
    const hosted = index % 4 === 3;
    return job(index + 1, {
      repository: index % 5 === 0 ? NAMES[1]! : "webppt",
      name: NAMES[index % NAMES.length]!,
      createdAt: new Date(start - 20_000),
      startedAt: new Date(start),
      completedAt: new Date(start + (2 + (index % 9)) * 60_000),
      conclusion: index % 7 === 2 ? "failure" : "success",
      runner: hosted
        ? `GitHub Actions ${1000 + index}`
        : `${names[index % 5]}-${1 + (index % 2)}-abc123`,
    });
  });
  const waits = { status: "queued", conclusion: undefined, runner: undefined } as const;
  const queued = job(900, { ...waits, createdAt: new Date(NOW.getTime() - 90_000) });
  const report = plain.hosts.get("dev-arm64-1-1")!;
  return {
    ...plain,
    settings: { ...plain.settings, budget: { monthlyEur: 60 } },
    recorded: {
      hosts: [...hosts, host("dev-token-service", { pool: undefined, hostKey: undefined })],
      resources: plain.recorded.resources,
    },
    servers: [
      ...names.map((name, index) =>
        server(name, {
          createdAt: new Date(`2026-11-0${index + 1}T00:00:00Z`),
          status: index === 4 ? "off" : "running",
        }),
      ),
      server("dev-token-service"),
    ],
    jobs: {
      jobs: [queued, ...own],
      from: new Date("2026-10-27T12:00:00Z"),
      runs: 100,
      truncated: true,
    },
    hosts: new Map([
      ...names.slice(0, 3).map((name) => [name, report] as const),
      ["dev-arm64-1-4", { reach: "unreachable", reason: "nobody answers SSH" } as const],
      ["dev-arm64-1-5", { reach: "notAsked", reason: "its server is off" } as const],
      ["dev-token-service", { reach: "notAsked", reason: "runs no jobs" } as const],
    ]),
    problems: [`GitHub's API answered 403 to GET /x (${NAMES[0]}).`],
  };
}
