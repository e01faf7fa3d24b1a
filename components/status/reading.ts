import type { BilledServer, Rates } from "../costs/bill";
import type { FleetSettings } from "../config/schema";
import type { RunnerVersion } from "../preflight/facts";
import type { RecordedHost, RecordedResource } from "../stack/recordedHosts";

/** What all sources say of a stack at one moment. What could not be read is undefined, and a sentence says why. */
export interface Reading {
  readonly stack: string;
  readonly settings: FleetSettings;
  readonly readAt: Date;
  readonly recorded: {
    readonly hosts: readonly RecordedHost[];
    readonly resources: readonly RecordedResource[];
  };
  /** Servers at Hetzner that carry the stack's labels. */
  readonly servers: readonly ServerReading[] | undefined;
  /** Prices of today. */
  readonly rates: Rates | undefined;
  readonly runners: readonly RunnerReading[] | undefined;
  /** All of the organization. */
  readonly runnerGroups: readonly RunnerGroupReading[] | undefined;
  /** Values of the routing variable: by repository, or the organization's under its own key. */
  readonly variables: ReadonlyMap<string, string | undefined> | undefined;
  readonly runnerVersions: ReadonlyMap<string, RunnerVersion> | undefined;
  readonly jobs: JobHistory | undefined;
  /** By name: what hosts say of themselves. */
  readonly hosts: ReadonlyMap<string, HostReading>;
  /** Sentences about what could not be read. */
  readonly problems: readonly string[];
}

/** Key of the organization's own variable; no repository is called so. */
export const ORGANIZATION = "";

export interface ServerReading extends BilledServer {
  readonly id: string;
  /** At Hetzner: running, off, starting and others. */
  readonly status: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface RunnerGroupReading {
  readonly id: number;
  readonly name: string;
  /** GitHub's own, which nobody made. */
  readonly isDefault: boolean;
}

export interface RunnerReading {
  readonly name: string;
  /** Id of its group; undefined where GitHub does not say. */
  readonly group: number | undefined;
  readonly online: boolean;
  readonly busy: boolean;
  /** Of GitHub's runner program; undefined where GitHub does not say. */
  readonly version: string | undefined;
}

export type HostReading =
  | { readonly reach: "answers"; readonly report: HostReport }
  /** `reason` is a part of a sentence. */
  | { readonly reach: "unreachable"; readonly reason: string }
  | { readonly reach: "notAsked"; readonly reason: string };

/** What `bin/status` on a runner host prints. */
export interface HostReport {
  readonly disk: {
    readonly sizeBytes: number;
    readonly freeBytes: number;
    readonly freePercent: number;
  };
  /** Of the build cache; null where BuildKit does not say, undefined on hosts that do not ask it. */
  readonly cacheBytes?: number | null | undefined;
  readonly slots: readonly {
    readonly slot: number;
    readonly state: string;
    readonly runner: string | null;
    readonly failures: number;
    readonly since: string | null;
    readonly drainedBy: string | null;
  }[];
}

export interface JobHistory {
  /** In the order in which they were queued, the newest first. */
  readonly jobs: readonly JobReading[];
  /** From then on every run was looked at. */
  readonly from: Date;
  /** Runs whose jobs were read. */
  readonly runs: number;
  /** Whether there are more runs since the wanted day than were looked at. */
  readonly truncated: boolean;
}

export interface JobReading {
  readonly id: number;
  readonly repository: string;
  readonly private: boolean;
  readonly name: string;
  readonly workflow: string | undefined;
  /** queued, in_progress, completed and others. */
  readonly status: string;
  readonly conclusion: string | undefined;
  readonly createdAt: Date;
  readonly startedAt: Date | undefined;
  readonly completedAt: Date | undefined;
  readonly labels: readonly string[];
  /** Undefined as long as no runner has it. */
  readonly runner: string | undefined;
  /** Id of the runner's group; undefined without a runner, and where GitHub does not say. */
  readonly runnerGroup: number | undefined;
}
