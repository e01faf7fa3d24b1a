import * as pulumi from "@pulumi/pulumi";

/**
 * Runs a piece of a program against mocks and tells what it asked the engine for. What this shows is the request; that
 * a provider takes it is shown elsewhere.
 */

/** One registration, as the engine would have received it. */
export interface RecordedResource {
  readonly type: string;
  readonly name: string;
  readonly urn: string;
  /** False for components. */
  readonly custom: boolean;
  /** Inputs with secrets unwrapped. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Paths of the inputs that were secret, such as `triggers[0]`, sorted. */
  readonly secrets: readonly string[];
  /** Name of the parent; undefined at the top. */
  readonly parent: string | undefined;
  readonly options: RecordedOptions;
}

export interface RecordedOptions {
  /** Names of what it depends on explicitly or through its inputs, sorted. */
  readonly dependsOn: readonly string[];
  readonly protect: boolean;
  readonly retainOnDelete: boolean;
  readonly deleteBeforeReplace: boolean;
  readonly ignoreChanges: readonly string[];
  readonly replaceOnChanges: readonly string[];
  readonly additionalSecretOutputs: readonly string[];
  /** Name of the explicit provider, if any. */
  readonly provider: string | undefined;
}

export interface MockResource {
  readonly type: string;
  readonly name: string;
  /** Inputs with secrets unwrapped. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Counts the resources from 1, so that ids differ and are the same in each run. */
  readonly ordinal: number;
}

export interface DeployOptions {
  /** Default: runner-fleet. */
  readonly project?: string;
  /** Default: dev. */
  readonly stack?: string;
  /** Default: false. In a preview, outputs that the mock leaves out are unknown. */
  readonly preview?: boolean;
  /** Configuration with full keys, such as `runner-fleet:organization`. */
  readonly config?: Readonly<Record<string, string>>;
  /**
   * What the provider would add to the inputs, and the id, for one resource; undefined falls back to
   * `providerOutputs`. Throwing makes the registration fail.
   */
  readonly outputs?: (resource: MockResource) => Record<string, unknown> | undefined;
  /** Answers provider functions such as `github:index/getRepository:getRepository`. Default: every call fails. */
  readonly call?: (token: string, inputs: Record<string, unknown>) => Record<string, unknown>;
}

/**
 * Runs `program`, waits for every registration, and returns them in the order in which they came in.
 * @throws whatever the program throws, also from inside `apply`, and on a second resource of the same URN, which the
 * engine would refuse.
 */
export async function deploy(
  program: () => unknown,
  options: DeployOptions = {},
): Promise<RecordedResource[]> {
  const recorded: RecordedResource[] = [];
  let ordinal = 0;
  await pulumi.runtime.setMocks(
    {
      newResource({ type, name, inputs, custom }) {
        const plain = unwrap(inputs).value as Record<string, unknown>;
        const resource = { type, name, inputs: plain, ordinal: ++ordinal };
        const added = options.outputs?.(resource) ?? providerOutputs(resource);
        const { id, ...state } = { id: `${name}-id`, ...added };
        // Inputs go back as they came, so that secrets stay secret.
        return {
          id: custom === false ? undefined : String(id),
          state: { ...(inputs as Record<string, unknown>), ...state },
        };
      },
      call({ token, inputs }) {
        try {
          if (options.call === undefined) throw new Error(`No answer was given for ${token}.`);
          return options.call(token, inputs as Record<string, unknown>);
        } catch (error) {
          // The runtime shows the details that gRPC errors have, not the message.
          throw Object.assign(error as Error, { details: (error as Error).message });
        }
      },
    },
    options.project ?? "runner-fleet",
    options.stack ?? "dev",
    options.preview ?? false,
    // As of backends that know no organizations.
    "organization",
  );
  pulumi.runtime.setAllConfig({ ...options.config });
  recordRequests(recorded);

  return withRejections(async () => {
    // The runtime reads a stack trace for each of its promises. To find the source of each takes longer than all the
    // rest; a trace that is read later, as of an error, still has it.
    process.setSourceMapsEnabled(false);
    try {
      await program();
    } finally {
      await pulumi.runtime.disconnect();
      process.setSourceMapsEnabled(true);
    }
    return recorded;
  });
}

/** The value of an output of a deployed program; rejects where the output failed. */
export function valueOf<T>(output: pulumi.Output<T>): Promise<T> {
  return (output as unknown as { promise(): Promise<T> }).promise();
}

/** The one resource of that type, and name where there are several. Throws when there is none or more. */
export function only(
  resources: readonly RecordedResource[],
  type: string,
  name?: string,
): RecordedResource {
  const found = resources.filter(
    (one) => one.type === type && (name === undefined || one.name === name),
  );
  const [first] = found;
  if (first === undefined || found.length > 1) {
    const all = resources.map((one) => `${one.type} ${one.name}`).join(", ");
    throw new Error(
      `Found ${found.length} of ${type}${name === undefined ? "" : ` ${name}`}, expected one. All: ${all}.`,
    );
  }
  return first;
}

/** Outputs that providers compute, for the types that this program uses. Ids of Hetzner are numbers in text form. */
export function providerOutputs({ type, name, inputs, ordinal }: MockResource): {
  id?: string;
  [output: string]: unknown;
} {
  switch (type) {
    case "hcloud:index/server:Server":
      return {
        id: String(1000 + ordinal),
        ipv4Address: `203.0.113.${ordinal}`,
        ipv6Address: `2001:db8::${ordinal}`,
        status: "running",
        primaryDiskSize: 80,
      };
    case "hcloud:index/serverNetwork:ServerNetwork":
      return { id: `${String(inputs.serverId)}-${String(inputs.networkId ?? inputs.subnetId)}` };
    case "hcloud:index/networkSubnet:NetworkSubnet":
      return { id: `${String(inputs.networkId)}-${String(inputs.ipRange)}`, gateway: "10.0.0.1" };
    case "hcloud:index/network:Network":
    case "hcloud:index/firewall:Firewall":
    case "hcloud:index/firewallAttachment:FirewallAttachment":
    case "hcloud:index/placementGroup:PlacementGroup":
    case "hcloud:index/volume:Volume":
      return { id: String(1000 + ordinal) };
    case "hcloud:index/sshKey:SshKey":
      return { id: String(1000 + ordinal), fingerprint: "00:11:22:33" };
    case "github:index/repositoryFile:RepositoryFile":
      return {
        id: `${String(inputs.repository)}:${String(inputs.file)}:${String(inputs.branch)}`,
        repositoryId: 5000 + ordinal,
        commitSha: "c".repeat(40),
        sha: "b".repeat(40),
        ref: inputs.branch,
      };
    case "github:index/actionsRunnerGroup:ActionsRunnerGroup":
      return { id: String(ordinal), default: false, inherited: false, etag: `"${name}"` };
    case "random:index/randomPassword:RandomPassword":
      return { id: "none", result: pulumi.secret(`password-of-${name}`) };
    case "random:index/randomId:RandomId":
      return { hex: "00c0ffee" };
    case "command:remote:Command":
    case "command:local:Command":
      return { stdout: "", stderr: "" };
    default:
      return {};
  }
}

/** What a registration asks for beside its inputs: read where the mocks receive it, since they do not pass it on. */
interface RegisterRequest {
  getType(): string;
  getName(): string;
  getCustom(): boolean;
  getObject(): Parameters<typeof pulumi.runtime.deserializeProperties>[0];
  getParent(): string;
  getProvider(): string;
  getProtect(): boolean | undefined;
  getRetainondelete(): boolean | undefined;
  getDeletebeforereplace(): boolean;
  getDependenciesList(): string[];
  getIgnorechangesList(): string[];
  getReplaceonchangesList(): string[];
  getAdditionalsecretoutputsList(): string[];
}
type Callback = (error: unknown, response: { getUrn(): string } | undefined) => void;

function recordRequests(recorded: RecordedResource[]): void {
  const monitor = pulumi.runtime.getMonitor() as unknown as {
    registerResource(request: RegisterRequest, callback: Callback): Promise<void>;
    newUrn(parent: string, type: string, name: string): string;
  };
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = async (request, callback) => {
    const urn = monitor.newUrn(request.getParent(), request.getType(), request.getName());
    if (recorded.some((one) => one.urn === urn)) {
      callback(new Error(`Two resources have the URN ${urn}.`), undefined);
      return;
    }
    const inputs = unwrap(pulumi.runtime.deserializeProperties(request.getObject()));
    recorded.push({
      type: request.getType(),
      name: request.getName(),
      urn,
      custom: request.getCustom(),
      inputs: inputs.value as Record<string, unknown>,
      secrets: inputs.secrets.sort(),
      parent: request.getParent() === "" ? undefined : nameIn(request.getParent()),
      options: {
        dependsOn: request.getDependenciesList().map(nameIn).sort(),
        protect: request.getProtect() ?? false,
        retainOnDelete: request.getRetainondelete() ?? false,
        deleteBeforeReplace: request.getDeletebeforereplace(),
        ignoreChanges: request.getIgnorechangesList(),
        replaceOnChanges: request.getReplaceonchangesList(),
        additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
        // A provider is referred to by its URN and id.
        provider:
          request.getProvider() === ""
            ? undefined
            : nameIn(request.getProvider().split("::").slice(0, 4).join("::")),
      },
    });
    await register(request, callback);
  };
}

function nameIn(urn: string): string {
  return urn.split("::").slice(3).join("::");
}

/** Pulumi marks a secret on the wire by these two constants. */
const SIGNATURE_KEY = "4dabf18193072939515e22adb298388d";
const SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270";

function unwrap(value: unknown, path = ""): { value: unknown; secrets: string[] } {
  if (typeof value !== "object" || value === null) return { value, secrets: [] };
  if (Array.isArray(value)) {
    const items = value.map((item, index) => unwrap(item, `${path}[${index}]`));
    return { value: items.map((item) => item.value), secrets: items.flatMap((one) => one.secrets) };
  }
  const entries = value as Record<string, unknown>;
  if (entries[SIGNATURE_KEY] === SECRET_SIGNATURE) {
    return { value: unwrap(entries.value, path).value, secrets: [path] };
  }
  // Assets and resources are left whole: their parts are no inputs.
  if (Object.getPrototypeOf(value) !== Object.prototype) return { value, secrets: [] };
  const parts = Object.entries(entries).map(
    ([key, part]) => [key, unwrap(part, path === "" ? key : `${path}.${key}`)] as const,
  );
  return {
    value: Object.fromEntries(parts.map(([key, part]) => [key, part.value])),
    secrets: parts.flatMap(([, part]) => part.secrets),
  };
}

/** Errors inside `apply` and failed registrations surface as unhandled rejections only: make them errors of the call. */
async function withRejections<T>(body: () => Promise<T>): Promise<T> {
  const others = process.listeners("unhandledRejection");
  const reasons: unknown[] = [];
  const collect = (reason: unknown) => reasons.push(reason);
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", collect);
  try {
    const result = await body();
    // They are reported when the queue of promises is empty.
    await new Promise((resolve) => setImmediate(resolve));
    if (reasons.length > 0) throw reasons[0];
    return result;
  } finally {
    process.off("unhandledRejection", collect);
    for (const listener of others) process.on("unhandledRejection", listener);
  }
}
