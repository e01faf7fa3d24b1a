import type {
  Facts,
  GitHubFacts,
  HetznerFacts,
  Offer,
  Repository,
  ServerType,
  TargetFacts,
} from "../../../components/preflight/facts";

export const READ_AT = new Date("2026-10-01T12:00:00Z");

const inStock: Offer = { available: true, unavailableAfter: undefined };

export function serverType(name: string, change: Partial<ServerType> = {}): ServerType {
  return {
    name,
    architecture: name.startsWith("cax") ? "arm" : "x86",
    cores: 4,
    memoryGb: 8,
    diskGb: 80,
    locations: new Map([
      ["fsn1", inStock],
      ["nbg1", inStock],
    ]),
    prices: new Map([["fsn1", { net: "10.4900000000", gross: "12.4831000000000000" }]]),
    ...change,
  };
}

export function hetznerFacts(
  change: Partial<HetznerFacts> = {},
  ...types: ServerType[]
): HetznerFacts {
  const serverTypes = [serverType("cax11"), serverType("cax21"), serverType("cpx22"), ...types];
  return {
    readAt: READ_AT,
    serverTypes: new Map(serverTypes.map((type) => [type.name, type])),
    locations: new Map([
      ["fsn1", { networkZone: "eu-central" }],
      ["nbg1", { networkZone: "eu-central" }],
      ["ash", { networkZone: "us-east" }],
    ]),
    servers: new Map(),
    access: { sshPublicKey: undefined, openPorts: [], allowedCidrs: [] },
    currency: "EUR",
    vatRate: "19.00",
    primaryIpv4: new Map([["fsn1", { net: "0.5000000000", gross: "0.5950000000000000" }]]),
    ...change,
  };
}

export function repository(name: string, change: Partial<Repository> = {}): Repository {
  return {
    id: 7,
    fullName: `acme/${name}`,
    private: true,
    archived: false,
    defaultBranch: "master",
    writable: true,
    administered: true,
    ...change,
  };
}

export function target(change: Partial<TargetFacts> = {}): TargetFacts {
  return {
    branch: "master",
    branchExists: true,
    protection: undefined,
    workflowFile: "absent",
    blob: undefined,
    proposals: [],
    actionsEnabled: true,
    ...change,
  };
}

export function githubFacts(change: Partial<GitHubFacts> = {}): GitHubFacts {
  return {
    readAt: READ_AT,
    runnerVersions: new Map(),
    organization: { kind: "organization", plan: "team" },
    token: { scopes: ["admin:org", "repo", "workflow"], managesRunners: true },
    serviceToken: { scopes: ["admin:org"], managesRunners: true },
    app: undefined,
    runnerGroupExists: false,
    secretsUpdatedAt: new Map(),
    repositories: new Map([["webppt", repository("webppt")]]),
    targets: new Map([["webppt", target()]]),
    central: undefined,
    actionsEnabled: true,
    ...change,
  };
}

/** What the APIs say when the settings of the tests are all right. */
export function facts(): Facts & { readonly hetzner: HetznerFacts } {
  return { hetzner: hetznerFacts(), github: githubFacts() };
}
