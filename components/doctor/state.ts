import type { FleetSettings } from "../config/schema";
import { placeFleet, tokenServiceServer } from "../runnerPool/placement";
import { enumerate } from "../text/words";
import { type Finding, orOk, problem, skipped } from "./check";
import type { Context } from "./context";
import { exists, readThings, recordedThings, type Thing } from "./hetznerProject";
import { importRepair, RECOVERY_PAGE } from "./importRepair";

/** Compares what carries the stack's labels with what its state has. */
export interface Comparison {
  /** There, but not in the state. */
  readonly orphans: readonly Thing[];
  /** In the state, but there no more. */
  readonly missing: readonly Thing[];
  /** How many things the state has in the project. */
  readonly recorded: number;
  /** What the configuration calls the stack's servers, and everything that they share. */
  readonly wanted: Wanted;
}

/** Names at Hetzner. */
export interface Wanted {
  /** Of network, firewall and SSH key. */
  readonly shared: string;
  readonly servers: readonly string[];
}

/** What a finding about a state names. */
export interface StateContext {
  readonly organization: string;
  /** `--stack` and, where it is not the default, `--config-file`. */
  readonly options: readonly string[];
}

export function judgeState(
  { orphans, missing, recorded, wanted }: Comparison,
  { organization, options }: StateContext,
): readonly Finding[] {
  const isLost = recorded === 0;
  const lost = isLost ? orphans.filter(isOfProgram) : unknownToState(orphans, wanted);
  const rest = orphans.filter((one) => !lost.includes(one));
  return orOk(
    [
      ...(lost.length === 0
        ? []
        : [
            problem(
              `${isLost ? lostSentences(lost) : olderSentences(lost)} without one this imports what the state does not have (${RECOVERY_PAGE}).`,
              importRepair(organization, options),
            ),
          ]),
      ...missing.map((one) =>
        problem(
          `The stack's state has the ${nameOf(one)}, which is not in the Hetzner project any more.`,
          ["pulumi up --refresh", ...options].join(" "),
        ),
      ),
      ...rest.map((one) =>
        problem(
          `The ${nameOf(one)} has the stack's labels, but its state does not have it.`,
          `hcloud ${one.kind.command} delete ${one.id}`,
        ),
      ),
    ],
    isLost
      ? "Neither the stack's state nor its labels have anything in the Hetzner project yet."
      : `The ${recorded} things that the stack's state has in the Hetzner project are all that have its labels.`,
  );
}

/** Addresses are not: somebody has kept them. */
function isOfProgram({ kind }: Thing): boolean {
  return kind.path !== "primary_ips";
}

/** Of what a state does not have the part that the stack would make: an import takes it in. The rest is left over. */
function unknownToState(orphans: readonly Thing[], wanted: Wanted): readonly Thing[] {
  const named = orphans.filter((one) => isNamed(one, wanted));
  // The group of a host that is imported goes with it.
  const hasServer = named.some(({ kind }) => kind.path === "servers");
  return orphans.filter(
    (one) => named.includes(one) || (hasServer && one.kind.path === "placement_groups"),
  );
}

function lostSentences(lost: readonly Thing[]): string {
  return `The stack's state has nothing at Hetzner, where this has its labels: ${listOf(lost)}. Delete nothing of it: the state was lost, or another backend keeps it than the one that \`pulumi whoami --verbose\` names. Where there is a copy, \`pulumi stack import --file COPY\` brings it back;`;
}

function olderSentences(lost: readonly Thing[]): string {
  return `The stack's state does not have this, which has its labels and bears names of its configuration: ${listOf(lost)}. Delete nothing of it, there may be jobs on it: the state is older, or a run was cut short. Where there is a newer copy, \`pulumi stack import --file COPY\` brings it back;`;
}

export async function checkState(context: Context): Promise<readonly Finding[]> {
  const { settings, prefix, options } = await context.stack();
  const { resources } = await context.recorded();
  const recorded = recordedThings(resources);
  if (Object.keys(settings.pools).length === 0 && recorded.length === 0) {
    return [skipped("There is no pool of own hosts.")];
  }
  const { api } = await context.hetzner();
  const found = await readThings(api, prefix);
  const isSame = (one: Thing) => (other: Thing) => one.kind === other.kind && one.id === other.id;
  // Somebody may have taken the labels off.
  const missing = await Promise.all(
    recorded
      .filter((one) => !found.some(isSame(one)))
      .map(async (one) => ((await exists(api, one.kind, one.id)) ? [] : [one])),
  );
  const comparison = {
    orphans: found.filter((one) => !recorded.some(isSame(one))),
    missing: missing.flat(),
    recorded: recorded.length,
    wanted: wantedNames(prefix, settings),
  };
  return judgeState(comparison, { organization: settings.organization, options });
}

/** What a run would make where nothing is. */
export function wantedNames(prefix: string, settings: FleetSettings): Wanted {
  const { pools, tokenService } = placeFleet(prefix, settings);
  return {
    shared: prefix,
    servers: [
      ...Object.values(pools).flatMap((hosts) => hosts.map(({ serverName }) => serverName)),
      ...(tokenService === undefined ? [] : [tokenServiceServer(prefix)]),
    ],
  };
}

function isNamed({ kind, name }: Thing, { shared, servers }: Wanted): boolean {
  if (kind.path === "servers") return servers.includes(name);
  return ["networks", "firewalls", "ssh_keys"].includes(kind.path) && name === shared;
}

/** Such as `server dev-arm64-1-1 (7)`. */
function nameOf({ kind, id, name }: Thing): string {
  return `${kind.noun} ${name} (${id})`;
}

function listOf(things: readonly Thing[]): string {
  return enumerate(things.map(nameOf), "and");
}
