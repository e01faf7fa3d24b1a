import type { Step } from "../../../components/plan/preview";

/** A line of the engine's events about one resource, as the CLI prints it. */
export function event(
  op: string,
  type: string,
  name: string,
  {
    old,
    wanted,
    keys = [],
    diffs = [],
  }: {
    readonly old?: object;
    readonly wanted?: object;
    readonly keys?: readonly string[];
    readonly diffs?: readonly string[];
  } = {},
): string {
  return JSON.stringify({
    sequence: 1,
    timestamp: 1795693504,
    resourcePreEvent: {
      metadata: {
        op,
        urn: `urn:pulumi:dev::runner-fleet::runner-fleet:index:Host$${type}::${name}`,
        type,
        old: old ?? null,
        new: wanted ?? null,
        keys,
        diffs,
        detailedDiff: null,
        provider: "urn:pulumi:dev::runner-fleet::pulumi:providers:hcloud::hetzner::1",
      },
      planning: true,
    },
  });
}

export interface ServerShape {
  readonly serverType?: string;
  readonly location?: string;
  /** Undefined: the token service. */
  readonly pool?: string | undefined;
}

/** How a server is recorded, and wanted: the provider knows its labels and places on both sides. */
export function serverState(
  key: string,
  { serverType = "cax21", location = "fsn1", pool = "arm64" }: ServerShape = {},
) {
  const labels = { stack: "dev", ...(key === "token-service" ? {} : { pool }) };
  const state = { name: `dev-${key}`, serverType, location, labels };
  return { inputs: state, outputs: { ...state, id: "7", status: "running" } };
}

const SERVER = "hcloud:index/server:Server";

export function serverEvent(
  op: Step["op"],
  key: string,
  before: ServerShape = {},
  after: ServerShape = before,
  details: { readonly keys?: readonly string[]; readonly diffs?: readonly string[] } = {},
): string {
  const wanted = { ...serverState(key, after), outputs: {} };
  return event(op, SERVER, key, {
    ...(op !== "create" && { old: serverState(key, before) }),
    ...(op !== "delete" && { wanted }),
    ...details,
  });
}

const COMMAND = "command:local:Command";

/** The command that drains a host before it goes. */
export function retireEvent(op: Step["op"], key: string, seconds = 3600): string {
  const inputs = {
    environment: {
      HOST: `dev-${key}`,
      DRAIN_COMMAND: `/opt/runner-fleet/bin/drain ${seconds}`,
      TIMEOUT_SECONDS: String(seconds),
      SSH_PRIVATE_KEY: "[secret]",
    },
  };
  return commandEvent(op, `${key}-retire`, inputs);
}

/** The command that waits for a pool's queue. */
export function queueEvent(op: Step["op"], pool: string, labels: readonly string[]): string {
  const environment = { RUNNER_LABELS: JSON.stringify(labels) };
  return commandEvent(op, `${pool}-queue`, { environment });
}

export function commandEvent(op: Step["op"], name: string, inputs: object): string {
  return event(op, COMMAND, name, {
    ...(op !== "create" && { old: { inputs, outputs: inputs } }),
    ...(op !== "delete" && { wanted: { inputs, outputs: {} } }),
  });
}

export function diagnostic(severity: string, message: string): string {
  return JSON.stringify({ diagnosticEvent: { urn: "", message, color: "raw", severity } });
}
