import * as command from "@pulumi/command";
import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { userError } from "../config/userError";
import { epoch } from "../epoch/epoch";
import { hetznerBase } from "../preflight/facts";
import { secretVariable } from "../secretVariable/secretVariable";
import { baseModel, type HostFirewall } from "./base";
import {
  configHash,
  type HostStack,
  hostScript,
  MAX_USER_DATA_BYTES,
  renderCloudInit,
} from "./cloudInit";
import { RETIRE, WAIT_ONLINE } from "./commands";
import { hostKeyFromSecret } from "./hostKey";
import { refusedOrder } from "./refusedOrder";
import { type Retirement, shutDown } from "./retire";
import { runOverSsh, type SshTarget } from "./ssh";

/** Debian 13: Docker, compose and their security updates come from the distribution. */
const IMAGE = "debian-13";

/** How long the runners of a new host that nothing reaches into may take until GitHub lists them as online, in seconds. */
const ONLINE_TIMEOUT = 900;

/** Label with the hash of what a host was made of, where nothing can change it afterwards. */
const CONFIG_LABEL = "config";

/** What every host of the fleet shares. */
export interface HostEnvironment {
  readonly networkId: pulumi.Input<number>;
  /** Hetzner's network zone of the private network, such as eu-central. */
  readonly networkZone: string;
  /** Subnet that hosts join; they wait for it. */
  readonly subnetId: pulumi.Input<string>;
  /** Range of the whole private network, IPv4. */
  readonly ipRange: string;
  readonly firewallId: pulumi.Input<number>;
  /** Without a key Hetzner would set a password for root and mail it. */
  readonly sshKeyId: pulumi.Input<string>;
  readonly sshPort: number;
  /** `ssh`: hosts are changed in place. `none`: nothing reaches into them, and a change is a roll. */
  readonly management: "ssh" | "none";
  /** Needed where management is `ssh`. */
  readonly sshPrivateKey?: pulumi.Input<string>;
  /** Ranges that may reach SSH. */
  readonly allowedCidrs: readonly string[];
  /** REST API of GitHub, without a slash at its end. Default of the token: GITHUB_TOKEN of the run that needs it. */
  readonly github: { readonly api: string; readonly token?: pulumi.Input<string> };
  /** API of Hetzner. Default of the token: HCLOUD_TOKEN of the run that needs it. */
  readonly hetzner: { readonly endpoint?: string; readonly token?: pulumi.Input<string> };
  /** Labels on every resource in the Hetzner project. */
  readonly labels: Readonly<Record<string, string>>;
  /** What there is before this run, by name of the host. */
  readonly servers: ReadonlyMap<string, ServerState>;
}

/** How a server was found. */
export interface ServerState {
  readonly off: boolean;
  /** In a private network, which a server joins once it has been made. */
  readonly attached: boolean;
  /** Its label `config`: the hash of what it was made of, where nothing reaches into it. */
  readonly configHash?: string | undefined;
}

export interface HostArgs {
  readonly environment: HostEnvironment;
  /** Name of the server, unique in the Hetzner project. */
  readonly serverName: string;
  /** Hetzner server type, e.g. cax21. A change powers the server off and on. */
  readonly serverType: string;
  /** Hetzner location. A living server stays where it is. */
  readonly location: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly placementGroupId?: pulumi.Input<number>;
  /** Address in the private network; default: the next free one. */
  readonly privateIp?: string;
  readonly packages?: readonly string[];
  readonly runcmd?: readonly string[];
  /** What the host runs; applied again, in place, whenever it changes. A secret. */
  readonly stack: pulumi.Input<HostStack>;
  readonly firewall: Omit<HostFirewall, "containersMayReach"> & {
    /** Exceptions from "containers reach nothing in the private network". */
    readonly containersMayReach: readonly {
      readonly address: pulumi.Input<string>;
      readonly port: number;
    }[];
  };
  /** `never`, or a time of day in UTC such as 03:00-05:00 in which it reboots when an update asks for it. */
  readonly rebootWindow: string;
  /** Registries to ask before the one in the key. */
  readonly registryMirrors: Readonly<Record<string, readonly string[]>>;
  /** Command that takes the host out of service: run before it is deleted and before it is powered off for a rescale. */
  readonly drain?: { readonly command: string; readonly timeoutSeconds: number };
  /** What GitHub lists of it: runners that are called as one of the names, which begin with the server's, a hyphen and six characters. */
  readonly runners?: { readonly organization: string; readonly names: readonly string[] };
  /** A later run replaces it: where nothing reaches into it, that it differs from the settings is as it should be. */
  readonly isOutgoing?: boolean;
}

/**
 * One server that boots by cloud-init. With `management: ssh` it is managed over SSH with its host key pinned; with
 * `none` it gets everything at its first boot. A living server is never replaced by a change of user_data, image,
 * location or key: such changes reach the next server that is made. Drained before it goes.
 */
export class Host extends pulumi.ComponentResource {
  /**
   * True once the host is what its stack makes of it. Where nothing reaches into the host and it has no runners, once it
   * has been made.
   */
  readonly ready: pulumi.Output<boolean>;
  readonly serverId: pulumi.Output<number>;
  readonly ipv4Address: pulumi.Output<string>;
  readonly privateIp: pulumi.Output<string>;
  readonly location: pulumi.Output<string>;
  readonly serverType: pulumi.Output<string>;

  constructor(name: string, args: HostArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:Host", name, {}, opts);
    const { environment } = args;
    const isSsh = environment.management === "ssh";
    const found = environment.servers.get(name);
    // Ordered, but never made: Hetzner has a record of it, which the provider takes for the server from then on.
    const stillborn = found !== undefined && found.off && !found.attached;

    const seed = new random.RandomPassword(
      `${name}-host-key`,
      { length: 64, special: false },
      { parent: this },
    );
    const hostKey = pulumi.secret(seed.result).apply(hostKeyFromSecret);
    // A public key is no secret, but it is derived from one.
    const pinned = pulumi.unsecret(hostKey.apply((key) => key.publicKey));
    const stack = pulumi.secret(args.stack);
    const base = pulumi.output(args.firewall.containersMayReach).apply((containersMayReach) =>
      baseModel(environment, {
        firewall: { ...args.firewall, containersMayReach },
        rebootWindow: args.rebootWindow,
        registryMirrors: args.registryMirrors,
        drainSeconds: args.drain?.timeoutSeconds ?? 0,
        packages: args.packages ?? [],
        runcmd: args.runcmd ?? [],
      }),
    );
    // With SSH the stack is not in it, and does not have to be known.
    const userData = pulumi
      .all([hostKey, base, isSsh ? NOTHING : stack])
      .apply((all) => checkedUserData(args.serverName, ...all));
    const hash = isSsh
      ? undefined
      : pulumi.unsecret(pulumi.all([base, stack])).apply((both) => configHash(...both));

    const warn = (sentence: string) => {
      void pulumi.log.warn(sentence, this);
    };
    const server = new hcloud.Server(
      name,
      {
        name: args.serverName,
        serverType: args.serverType,
        image: IMAGE,
        location: args.location,
        sshKeys: [environment.sshKeyId],
        userData: pulumi.secret(userData),
        firewallIds: [environment.firewallId],
        placementGroupId: args.placementGroupId,
        publicNets: [{ ipv4Enabled: true, ipv6Enabled: true }],
        // Lets a later change of type go down again as well.
        keepDisk: true,
        labels: {
          ...environment.labels,
          ...args.labels,
          ...(hash === undefined ? {} : { [CONFIG_LABEL]: hash }),
        },
      },
      {
        parent: this,
        ignoreChanges: [
          "userData",
          "image",
          // What was never made may be made elsewhere.
          ...(stillborn ? [] : ["location"]),
          "sshKeys",
          `labels.${CONFIG_LABEL}`,
        ],
        replacementTrigger: epoch(`${name}-epoch`, stillborn, { parent: this }),
        // Server names are unique in a project, so the old one has to go first.
        deleteBeforeReplace: true,
        hooks: {
          // What is off runs no job and hears nobody, as after a rescale that failed half-way.
          ...(args.drain !== undefined &&
            found?.off !== true && {
              beforeUpdate: [
                new pulumi.ResourceHook(
                  `${name}-drain-before-rescale`,
                  drainBeforeRescale(args.drain, environment, pinned, warn),
                ),
              ],
            }),
          onError: [new pulumi.ErrorHook(`${name}-refused-order`, refusedOrder(environment, warn))],
        },
      },
    );
    const attachment = new hcloud.ServerNetwork(
      `${name}-network`,
      {
        serverId: server.id.apply(Number),
        subnetId: environment.subnetId,
        ip: args.privateIp,
      },
      { parent: this, deleteBeforeReplace: true },
    );

    const retirement = this.#retire(name, args, server, pinned, attachment);
    const dependsOn = retirement === undefined ? [attachment] : [attachment, retirement];
    const configured = isSsh
      ? this.#configureOverSsh(
          name,
          args,
          server,
          pinned,
          pulumi.all([base, stack]).apply((both) => hostScript(...both)),
          dependsOn,
        )
      : this.#awaitRunners(name, args, server, dependsOn);
    if (found !== undefined && !stillborn && args.isOutgoing !== true)
      this.#warnOfDifference(args, server, found, hash);

    this.ready = (configured ?? attachment).id.apply(() => true);
    this.serverId = server.id.apply(Number);
    this.ipv4Address = server.ipv4Address;
    this.privateIp = attachment.ip;
    this.location = server.location;
    this.serverType = server.serverType;
    this.registerOutputs({
      serverId: this.serverId,
      ipv4Address: this.ipv4Address,
      privateIp: this.privateIp,
      // For who logs in later: commands that do so find them in the state.
      ...(isSsh && { hostKey: pinned, sshPort: environment.sshPort }),
    });
  }

  /**
   * A command of ours and not the stack's own `delete`: that one would wait for ever for a host that is dead, and a hook
   * does not run when the program does not, as on destroy. There before the stack, so that a host that was configured in
   * part is drained as well.
   */
  #retire(
    name: string,
    args: HostArgs,
    server: hcloud.Server,
    hostKey: pulumi.Output<string>,
    attachment: pulumi.Resource,
  ): command.local.Command | undefined {
    const { environment, drain, runners } = args;
    if (drain === undefined && runners === undefined) return undefined;
    return new command.local.Command(
      `${name}-retire`,
      {
        create: "true",
        delete: RETIRE,
        environment: {
          // Gone before anything that the stack needs, such as the service where its runners deregister.
          HOST: pulumi.unsecret(pulumi.output(args.stack).apply(() => args.serverName)),
          SERVER_ID: server.id,
          HCLOUD_API: hetznerBase(environment.hetzner.endpoint),
          ...secretVariable("HCLOUD_TOKEN", environment.hetzner.token),
          ...(environment.management === "ssh" && {
            SSH_HOST: server.ipv4Address,
            SSH_PORT: String(environment.sshPort),
            SSH_HOST_KEY: hostKey,
            ...secretVariable("SSH_PRIVATE_KEY", environment.sshPrivateKey),
          }),
          ...(drain && {
            DRAIN_COMMAND: drain.command,
            TIMEOUT_SECONDS: String(drain.timeoutSeconds),
          }),
          ...(runners && githubVariables(environment, runners)),
        },
        triggers: [server.id],
        // One line for a host that was given up; no secret is ever printed.
        logging: "stderr",
        addPreviousOutputInEnv: false,
      },
      {
        parent: this,
        dependsOn: [attachment],
        additionalSecretOutputs: ["stdout", "stderr"],
        deleteBeforeReplace: true,
      },
    );
  }

  #configureOverSsh(
    name: string,
    { environment, isOutgoing }: HostArgs,
    server: hcloud.Server,
    hostKey: pulumi.Output<string>,
    script: pulumi.Output<string>,
    dependsOn: pulumi.Resource[],
  ): pulumi.CustomResource {
    return new command.remote.Command(
      `${name}-stack`,
      {
        connection: {
          host: server.ipv4Address,
          port: environment.sshPort,
          user: "root",
          privateKey: environment.sshPrivateKey,
          hostKey,
          // Some five minutes: the server boots and installs its packages meanwhile.
          dialErrorLimit: 60,
        },
        create: "bash -s",
        stdin: pulumi.secret(script),
        // A new server under the same name starts from nothing.
        triggers: [server.id],
        logging: "none",
        addPreviousOutputInEnv: false,
      },
      {
        parent: this,
        dependsOn,
        additionalSecretOutputs: ["stdout", "stderr"],
        deleteBeforeReplace: true,
        // What changes reaches the hosts that take its place, and one that is broken holds no roll up.
        ignoreChanges: isOutgoing === true ? ["stdin", "connection"] : [],
      },
    );
  }

  #awaitRunners(
    name: string,
    { environment, serverName, serverType, runners, isOutgoing }: HostArgs,
    server: hcloud.Server,
    dependsOn: pulumi.Resource[],
  ): pulumi.CustomResource | undefined {
    if (runners === undefined) return undefined;
    return new command.local.Command(
      `${name}-online`,
      {
        create: WAIT_ONLINE,
        environment: {
          HOST: serverName,
          TIMEOUT_SECONDS: String(ONLINE_TIMEOUT),
          ...githubVariables(environment, runners),
          RUNNER_NAMES: runners.names.join(" "),
          // Nobody reads it: every runner has to come back after a rescale.
          SERVER_TYPE: serverType,
        },
        triggers: [server.id],
        logging: "none",
        addPreviousOutputInEnv: false,
      },
      {
        parent: this,
        dependsOn,
        deleteBeforeReplace: true,
        // It has the runners that it was made with.
        ignoreChanges: isOutgoing === true ? ["environment"] : [],
      },
    );
  }

  /** Says which living hosts are not what the configuration asks for, and stay so. */
  #warnOfDifference(
    { serverName, labels }: HostArgs,
    server: hcloud.Server,
    found: ServerState,
    wanted: pulumi.Output<string> | undefined,
  ): void {
    const warn = (what: string) =>
      server.urn.apply((urn) => {
        const remedy =
          labels.pool === undefined
            ? `\`pulumi up --replace '${urn}'\` makes it anew`
            : `raising pools.${labels.pool}.generation replaces it`;
        return pulumi.log.warn(`${serverName} ${what}; ${remedy}.`, this);
      });
    if (wanted === undefined) {
      if (found.configHash !== undefined) {
        warn("was made with management none, so nothing reaches into it by SSH");
      }
      return;
    }
    wanted.apply((hash) => {
      if (hash !== found.configHash) {
        warn(
          "is outdated: its configuration has changed since it was made, and nothing reaches into it",
        );
      }
    });
  }
}

const NOTHING: HostStack = { files: [], commands: [] };

/** @throws pulumi.RunError where it is larger than Hetzner takes. */
export function checkedUserData(
  serverName: string,
  ...model: [...Parameters<typeof renderCloudInit>]
): string {
  const text = renderCloudInit(...model);
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_USER_DATA_BYTES) {
    throw userError(
      `${serverName}: found user_data of ${bytes} bytes, expected at most ${MAX_USER_DATA_BYTES}, which is Hetzner's limit.`,
    );
  }
  return text;
}

function githubVariables(
  { github }: HostEnvironment,
  { organization }: NonNullable<HostArgs["runners"]>,
): Record<string, pulumi.Input<string>> {
  return {
    GITHUB_API: github.api,
    GITHUB_ORGANIZATION: organization,
    ...secretVariable("GITHUB_TOKEN", github.token),
  };
}

/** The provider powers a server off to change its type, whatever runs there: drain it before. */
export function drainBeforeRescale(
  drain: NonNullable<HostArgs["drain"]>,
  environment: Pick<HostEnvironment, "management" | "sshPort" | "sshPrivateKey" | "hetzner">,
  hostKey: pulumi.Input<string>,
  warn: (sentence: string) => void,
): pulumi.ResourceHookFunction {
  const secrets = pulumi.all([environment.sshPrivateKey, hostKey, environment.hetzner.token]);
  return async (args) => {
    const before = args.oldOutputs as { ipv4Address: string; name: string; serverType: string };
    const wanted = args.newInputs as { serverType: string };
    if (before.serverType === wanted.serverType) return;
    const [privateKey, key, token] = await new Promise<
      [string | undefined, string, string | undefined]
    >((resolve) => {
      secrets.apply(([login, pinned, secret]) => resolve([login, pinned, secret]));
    });
    if (environment.management === "ssh") {
      const target: SshTarget = {
        host: before.ipv4Address,
        port: environment.sshPort,
        privateKey: privateKey ?? "",
        hostKey: key,
      };
      await runOverSsh(target, drain.command, drain.timeoutSeconds + 120);
      return;
    }
    const server: Retirement = {
      host: before.name,
      serverId: args.id,
      hetzner: {
        name: "Hetzner",
        baseUrl: hetznerBase(environment.hetzner.endpoint),
        token: token ?? process.env.HCLOUD_TOKEN ?? "",
      },
      drain,
    };
    await shutDown(server, warn);
  };
}
