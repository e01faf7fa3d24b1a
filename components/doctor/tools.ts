import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type Finding, ok, orOk, problem, warning } from "./check";
import { NO_PULUMI } from "../stack/stack";
import { parseJson } from "../text/parseJson";
import type { Context } from "./context";

/** What is installed on this machine. Texts are what the programs print; undefined: the program is not there. */
export interface Tools {
  /** Such as v20.19.5. */
  readonly node: string;
  readonly pulumi: string | undefined;
  /** JSON of `pulumi plugin ls --json`; undefined: it could not be asked. */
  readonly plugins: string | undefined;
  readonly ssh: string | undefined;
  /** Whether Pulumi may download plugins that are missing. */
  readonly downloadsPlugins: boolean;
}

/** Exact versions of what the program was written for. */
export interface Pins {
  /** Oldest Node, such as 20.19. */
  readonly node: string;
  /** Pulumi's SDK: an older CLI does not know all that it asks for. */
  readonly sdk: string;
  /** Versions of the plugins by name, such as hcloud. */
  readonly plugins: Readonly<Record<string, string>>;
}

const packageFile = z.object({
  engines: z.object({ node: z.string() }),
  dependencies: z.record(z.string(), z.string()),
});

/** @param text of the project's package.json; a plugin has the version of its npm package */
export function readPins(text: string): Pins {
  const { engines, dependencies } = packageFile.parse(JSON.parse(text));
  const plugins = Object.entries(dependencies).flatMap(([name, version]) => {
    const plugin = /^@pulumi\/(.+)$/.exec(name)?.[1];
    return plugin === undefined || plugin === "pulumi" ? [] : [[plugin, version] as const];
  });
  return {
    node: engines.node.replace(/^>=\s*/, ""),
    sdk: dependencies["@pulumi/pulumi"] ?? "",
    plugins: Object.fromEntries(plugins),
  };
}

const installed = z.array(z.object({ name: z.string(), kind: z.string(), version: z.string() }));

export function judgeTools(tools: Tools, pins: Pins): readonly Finding[] {
  const { node, pulumi, plugins, ssh } = tools;
  const findings: Finding[] = [];
  const cli = pulumi?.trim().replace(/^v/, "");
  if (!isAtLeast(node, pins.node)) {
    findings.push(problem(`Node is ${node.replace(/^v/, "")}, expected ${pins.node} or newer.`));
  }
  if (cli === undefined) {
    findings.push(problem(NO_PULUMI));
  } else if (!isAtLeast(cli, pins.sdk) || !/^3\./.test(cli)) {
    findings.push(
      problem(
        `Pulumi's CLI is ${cli}, expected ${pins.sdk}, which is the SDK's version, or newer, below 4.`,
      ),
    );
  }
  if (cli !== undefined) findings.push(...judgePlugins(plugins, pins, tools.downloadsPlugins));
  if (ssh === undefined) {
    findings.push(
      warning(
        "The program ssh is not on the PATH: `npm run ssh` opens no shell without it.",
        "apt-get install openssh-client",
      ),
    );
  }
  const names = Object.entries(pins.plugins).map((plugin) => plugin.join(" "));
  return orOk(
    findings,
    `Node ${node.replace(/^v/, "")}, Pulumi's CLI ${cli}, the plugins ${names.join(", ")}, and ssh are there.`,
  );
}

function judgePlugins(
  text: string | undefined,
  { plugins }: Pins,
  downloads: boolean,
): readonly Finding[] {
  const list = installed.safeParse(parseJson(text ?? ""));
  if (!list.success) return [warning("Pulumi's CLI does not say which plugins are installed.")];
  return Object.entries(plugins).flatMap(([name, version]) => {
    const found = list.data.filter((one) => one.kind === "resource" && one.name === name);
    if (found.some((one) => one.version.replace(/^v/, "") === version)) return [];
    const others = found.map((one) => one.version.replace(/^v/, ""));
    const instead = others.length === 0 ? "" : `, but ${others.join(" and ")} is`;
    const repair = `pulumi plugin install resource ${name} ${version}`;
    return downloads
      ? [
          warning(
            `The plugin ${name} ${version} is not installed${instead}: the next run of pulumi downloads it.`,
            repair,
          ),
        ]
      : [
          problem(
            `The plugin ${name} ${version} is not installed${instead}, and PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION keeps pulumi from downloading it.`,
            repair,
          ),
        ];
  });
}

/** Compares versions such as v20.19.5 number by number; what is left out counts as 0. */
export function isAtLeast(version: string, minimum: string): boolean {
  const numbers = (text: string) => text.replace(/^v/, "").split(/[.-]/, 3).map(Number);
  const [have, want] = [numbers(version), numbers(minimum)];
  for (let index = 0; index < 3; index++) {
    const [one = 0, other = 0] = [have[index], want[index]];
    if (one !== other) return one > other;
  }
  return true;
}

/** As Pulumi reads variables that switch something. */
function isOn(value: string | undefined): boolean {
  return /^(1|t|true)$/i.test(value ?? "");
}

export async function checkTools({ environment, printed }: Context): Promise<readonly Finding[]> {
  const orAbsent = (program: string, ...args: string[]) =>
    printed(program, args).catch(() => undefined);
  const [pins, pulumi, plugins, ssh] = await Promise.all([
    readFile(join(__dirname, "../../package.json"), "utf8").then(readPins),
    orAbsent("pulumi", "version"),
    orAbsent("pulumi", "plugin", "ls", "--json"),
    orAbsent("ssh", "-V"),
  ]);
  const downloadsPlugins = !isOn(environment.PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION);
  return judgeTools({ node: process.version, pulumi, plugins, ssh, downloadsPlugins }, pins);
}

export async function checkStack(context: Context): Promise<readonly Finding[]> {
  const { name, settings } = await context.stack();
  await context.recorded();
  const pools = Object.keys(settings.pools).length;
  return [
    ok(
      `The stack ${name} of ${settings.organization} has a valid configuration with ${pools === 1 ? "1 pool" : `${pools} pools`} of own hosts.`,
    ),
  ];
}
