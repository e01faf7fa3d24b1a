import type { RecordedResource } from "../stack/recordedHosts";
import { ORGANIZATION, type Reading } from "./reading";
import { ownHost } from "../host/runnerNames";
import { RUNNER_GROUP, runnerOwner } from "./owner";

const SERVER = "hcloud:index/server:Server";
const VARIABLES = [
  "github:index/actionsOrganizationVariable:ActionsOrganizationVariable",
  "github:index/actionsVariable:ActionsVariable",
];

/**
 * Where what there is differs from what the state has, as far as that can be seen without running the program; one
 * sentence each. What could not be read is no difference.
 */
export function drift(reading: Reading): string[] {
  return [...serverDrift(reading), ...runnerDrift(reading), ...githubDrift(reading)];
}

function serverDrift({ stack, recorded, servers }: Reading): string[] {
  if (servers === undefined) return [];
  const labels = new Map(
    recorded.resources
      .filter(({ type }) => type === SERVER)
      .map(({ id, outputs }) => [id, texts(outputs?.labels)]),
  );
  const known = recorded.hosts.flatMap((host) => {
    const server = servers.find(({ id }) => id === host.serverId);
    if (server === undefined) {
      return [`Server ${host.name} is gone from the Hetzner project, or has lost its labels.`];
    }
    const change = (what: string, found: string, expected: string) =>
      found === expected
        ? []
        : [`Server ${host.name} has ${what} ${found}, and the state says ${expected}.`];
    const wanted = labels.get(host.serverId) ?? {};
    const keys = [...new Set([...Object.keys(wanted), ...Object.keys(server.labels)])].sort();
    return [
      ...(server.status === "running" ? [] : [`Server ${host.name} is ${server.status}.`]),
      ...change("the type", server.serverType, host.serverType),
      ...change("the location", server.location, host.location),
      ...keys.flatMap((key) =>
        change(`the label ${key}`, server.labels[key] ?? "not set", wanted[key] ?? "not set"),
      ),
    ];
  });
  const unknown = servers.filter(
    ({ id }) => !recorded.hosts.some(({ serverId }) => serverId === id),
  );
  return [
    ...known,
    ...unknown.map(
      ({ name }) => `Server ${name} has the labels of ${stack}, and the state does not know it.`,
    ),
  ];
}

function runnerDrift(reading: Reading): string[] {
  const { recorded, runners } = reading;
  const owner = runnerOwner(reading);
  const strangers = (runners ?? []).filter((runner) => {
    const host = ownHost(runner, owner);
    return host !== undefined && !recorded.hosts.some((one) => one.name === host);
  });
  return strangers.map(
    ({ name, online }) =>
      `Runner ${name} is registered and ${online ? "online" : "offline"}, and the state has no host of it.`,
  );
}

function githubDrift({ settings, recorded, runnerGroups, variables }: Reading): string[] {
  const of = (types: readonly string[]) =>
    recorded.resources.filter(({ type }) => types.includes(type));
  const groups = runnerGroups?.map(({ name }) => name.toLowerCase());
  const lost = of([RUNNER_GROUP])
    .flatMap(({ outputs }) => texts(outputs).name ?? [])
    .filter((name) => groups?.includes(name.toLowerCase()) === false)
    .map((name) => `Runner group ${name} is gone from ${settings.organization}.`);
  return [
    ...lost,
    ...of(VARIABLES).flatMap((resource) => variableDrift(resource, variables) ?? []),
  ];
}

function variableDrift(
  { outputs }: RecordedResource,
  variables: Reading["variables"],
): string | undefined {
  const { variableName = "", repository = ORGANIZATION, value } = texts(outputs);
  if (variables === undefined || !variables.has(repository)) return undefined;
  const found = variables.get(repository);
  const where = repository === ORGANIZATION ? "" : ` of ${repository}`;
  if (found === undefined) return `Variable ${variableName}${where} is gone.`;
  // A value that is encrypted in the state cannot be compared.
  if (value === undefined || found === value) return undefined;
  return `Variable ${variableName}${where} has another value than the state says.`;
}

/** The entries that are texts. */
function texts(from: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries((from ?? {}) as Record<string, unknown>);
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}
