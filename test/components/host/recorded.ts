import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import type { HostEnvironment } from "../../../components/host/host";
import {
  deploy,
  type DeployOptions,
  type RecordedOptions,
  type RecordedResource,
} from "../../helpers/mocks";

/** Stand-ins of secrets, to be looked for in everything that was asked of the engine. */
export const SSH_KEY = "canary-ssh-private-key";
export const TOKEN = "canary-token-of-the-token-service";
/** Of the token service. */
export const PASSWORD = "canary-password-of-the-token-service";
export const GITHUB_TOKEN = "canary-github-token-of-the-program";
export const HCLOUD_TOKEN = "canary-hetzner-token-of-the-program";

export const ENVIRONMENT: HostEnvironment = {
  networkId: 11,
  networkZone: "eu-central",
  subnetId: "11-10.0.1.0/24",
  ipRange: "10.0.0.0/16",
  firewallId: 12,
  sshKeyId: "13",
  sshPort: 22,
  management: "ssh",
  sshPrivateKey: SSH_KEY,
  allowedCidrs: ["203.0.113.4/32"],
  github: { api: "https://api.github.com", token: GITHUB_TOKEN },
  hetzner: { token: HCLOUD_TOKEN },
  labels: { "managed-by": "runner-fleet", stack: "dev" },
  servers: new Map(),
};

/** What the mocks give as the random text that a host's key is derived from. */
export function hostKeySecret(host: string): string {
  return `password-of-${host}-host-key`;
}

interface RegisterRequest {
  getName(): string;
  getHooks(): { getBeforeUpdateList(): string[]; getOnErrorList(): string[] } | undefined;
}

/**
 * `deploy` for programs with hooks, which the SDK's mocks know nothing of: they are taken note of and never run.
 * @returns the resources, and the names of the hooks that run before an update and after a failure, by name of the resource.
 */
export async function deployWithHooks(program: () => unknown, options?: DeployOptions) {
  const beforeUpdate: Record<string, string[]> = {};
  const onError: Record<string, string[]> = {};
  const resources = await deploy(() => {
    const monitor = pulumi.runtime.getMonitor() as unknown as {
      registerResourceHook(request: unknown, callback: (error: null) => void): void;
      registerErrorHook(request: unknown, callback: (error: null) => void): void;
      registerResource(request: RegisterRequest, callback: unknown): Promise<void>;
    };
    // The SDK keeps the first monitor for all its hooks.
    const prototype = Object.getPrototypeOf(monitor) as typeof monitor;
    prototype.registerResourceHook = (_request, callback) => callback(null);
    prototype.registerErrorHook = (_request, callback) => callback(null);
    const register = monitor.registerResource.bind(monitor);
    monitor.registerResource = (request, callback) => {
      const hooks = request.getHooks()?.getBeforeUpdateList() ?? [];
      if (hooks.length > 0) beforeUpdate[request.getName()] = hooks;
      const errorHooks = request.getHooks()?.getOnErrorList() ?? [];
      if (errorHooks.length > 0) onError[request.getName()] = errorHooks;
      return register(request, callback);
    };
    return program();
  }, options);
  return { resources, beforeUpdate, onError };
}

const DEFAULTS: RecordedOptions = {
  dependsOn: [],
  protect: false,
  retainOnDelete: false,
  deleteBeforeReplace: false,
  ignoreChanges: [],
  replaceOnChanges: [],
  additionalSecretOutputs: [],
  provider: undefined,
};

export interface Summary {
  readonly parent?: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly secrets?: readonly string[];
  /** What differs from the defaults. */
  readonly options?: Partial<RecordedOptions>;
}

/** Everything that was registered, by type and name, without what is empty or a default. */
export function summarize(resources: readonly RecordedResource[]): Record<string, Summary> {
  return Object.fromEntries(
    resources.map(({ type, name, parent, inputs, secrets, options }) => {
      const set = Object.entries(options).filter(
        ([key, value]) =>
          JSON.stringify(value) !== JSON.stringify(DEFAULTS[key as keyof RecordedOptions]),
      );
      return [
        `${type} ${name}`,
        {
          ...(parent === undefined ? {} : { parent }),
          inputs,
          ...(secrets.length === 0 ? {} : { secrets }),
          ...(set.length === 0 ? {} : { options: Object.fromEntries(set) }),
        },
      ];
    }),
  );
}

/**
 * Where a secret text stands in what was registered, as "name path", sorted. Fails when one of the places is not
 * marked as a secret.
 */
export function secretPlaces(resources: readonly RecordedResource[], secret: string): string[] {
  const places: string[] = [];
  for (const { name, inputs, secrets } of resources) {
    const visit = (value: unknown, path: string): void => {
      if (typeof value === "string") {
        if (!value.includes(secret)) return;
        const hidden = secrets.some((one) => path === one || path.startsWith(`${one}.`));
        assert.ok(hidden, `${name} shows a secret in ${path}`);
        places.push(`${name} ${path}`);
      } else if (typeof value === "object" && value !== null) {
        for (const [key, part] of Object.entries(value)) {
          visit(part, path === "" ? key : `${path}.${key}`);
        }
      }
    };
    visit(inputs, "");
  }
  return places.sort();
}

/**
 * Names of everything that `name` waits for when it is made, and that waits for it when it is deleted. The engine
 * counts a resource's parent among them, so what a component depends on holds for what is in it.
 */
export function dependencies(resources: readonly RecordedResource[], name: string): Set<string> {
  const found = new Set<string>();
  const visit = (one: string): void => {
    for (const { parent, options } of resources.filter((other) => other.name === one)) {
      for (const dependency of [...options.dependsOn, ...(parent === undefined ? [] : [parent])]) {
        if (found.has(dependency)) continue;
        found.add(dependency);
        visit(dependency);
      }
    }
  };
  visit(name);
  return found;
}
