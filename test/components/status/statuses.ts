import type { Rates } from "../../../components/costs/bill";
import { validateSettings } from "../../../components/config/schema";
import { routedRunsOn } from "../../../components/githubOrg/runsOn";
import {
  type JobReading,
  ORGANIZATION,
  type Reading,
  type RunnerReading,
  type ServerReading,
} from "../../../components/status/reading";
import type { RecordedHost, RecordedResource } from "../../../components/stack/recordedHosts";
import { rawSettings } from "../config/settings";

export const NOW = new Date("2026-11-26T12:00:00Z");

const rate = (hourly: string, monthly: string) => ({ hourly, monthly });

/** Of round numbers, to add up by hand. */
export const RATES: Rates = {
  currency: "EUR",
  servers: new Map([["cax21", new Map([["fsn1", rate("0.0160000000", "10.0000000000")]])]]),
  ipv4: new Map([["fsn1", rate("0.0008000000", "0.5000000000")]]),
};

export function server(name: string, change: Partial<ServerReading> = {}): ServerReading {
  return {
    id: `id of ${name}`,
    name,
    serverType: "cax21",
    location: "fsn1",
    status: "running",
    createdAt: new Date("2026-11-26T09:30:00Z"),
    hasIpv4: true,
    labels: {},
    ...change,
  };
}

export function host(name: string, change: Partial<RecordedHost> = {}): RecordedHost {
  return {
    key: name.replace("dev-", ""),
    name,
    serverId: `id of ${name}`,
    pool: "arm64",
    address: "198.18.0.1",
    location: "fsn1",
    serverType: "cax21",
    hostKey: "ssh-ed25519 AAAA",
    sshPort: 22,
    drain: undefined,
    ...change,
  };
}

/** Id of the stack's runner group. */
export const GROUP = 4;

export const GROUPS: NonNullable<Reading["runnerGroups"]> = [
  { id: 1, name: "Default", isDefault: true },
  { id: GROUP, name: "arm64", isDefault: false },
];

export const RECORDED_GROUP: RecordedResource = {
  urn: "urn:pulumi:dev::runner-fleet::github:index/actionsRunnerGroup:ActionsRunnerGroup::organization-runners",
  type: "github:index/actionsRunnerGroup:ActionsRunnerGroup",
  id: String(GROUP),
  outputs: { name: "arm64" },
};

export function job(id: number, change: Partial<JobReading> = {}): JobReading {
  return {
    id,
    repository: "webppt",
    private: true,
    name: "build (arm64)",
    workflow: "image",
    status: "completed",
    conclusion: "success",
    createdAt: new Date("2026-11-26T10:00:00Z"),
    startedAt: new Date("2026-11-26T10:00:30Z"),
    completedAt: new Date("2026-11-26T10:02:31Z"),
    labels: ["self-hosted", "Linux", "ARM64", "docker"],
    runner: "dev-arm64-1-1-1-abc123",
    runnerGroup: GROUP,
    ...change,
  };
}

export function runner(name: string, change: Partial<RunnerReading> = {}): RunnerReading {
  return { name, group: GROUP, online: true, busy: false, version: "2.338.0", ...change };
}

/** One host with two slots, of which one works, and a job that it ran. */
export function reading(change: Partial<Reading> = {}): Reading {
  const found = validateSettings(rawSettings(), "runner-fleet");
  if (!found.ok) throw new Error(found.problems.join("\n"));
  return {
    stack: "dev",
    settings: found.settings,
    readAt: NOW,
    recorded: { hosts: [host("dev-arm64-1-1")], resources: [RECORDED_GROUP] },
    servers: [server("dev-arm64-1-1")],
    rates: RATES,
    runners: [runner("dev-arm64-1-1-1-abc123", { busy: true }), runner("dev-arm64-1-1-2-def456")],
    runnerGroups: GROUPS,
    variables: new Map([[ORGANIZATION, routedRunsOn(found.settings)]]),
    runnerVersions: new Map(),
    jobs: { jobs: [job(1)], from: new Date("2026-10-27T12:00:00Z"), runs: 1, truncated: false },
    hosts: new Map([
      [
        "dev-arm64-1-1",
        {
          reach: "answers",
          report: {
            disk: { sizeBytes: 80e9, freeBytes: 62e9, freePercent: 77 },
            cacheBytes: 3.1e9,
            slots: [
              {
                slot: 1,
                state: "working",
                runner: "dev-arm64-1-1-1-abc123",
                failures: 0,
                since: "2026-11-26T11:58:00Z",
                drainedBy: null,
              },
              {
                slot: 2,
                state: "listening",
                runner: "dev-arm64-1-1-2-def456",
                failures: 0,
                since: "2026-11-26T11:50:00Z",
                drainedBy: null,
              },
            ],
          },
        },
      ],
    ]),
    problems: [],
    ...change,
  };
}
