import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { findFleet } from "../components/operate/foundFleet";
import { nextSteps, recovery } from "../components/operate/importFile";
import { unrecorded } from "../components/operate/unrecorded";
import { githubObstacle, hetznerObstacle } from "../components/preflight/obstacles";
import {
  githubApi,
  githubBase,
  hetznerApi,
  hetznerBase,
  orObstacle,
} from "../components/preflight/facts";
import { recordedResources } from "../components/stack/recordedHosts";
import { openStack } from "../components/stack/stack";
import { readArguments, runScript, STACK_OPTIONS } from "./script";

const USAGE = "expected --stack NAME and, if wanted, --config-file FILE";

/**
 * Prints what `pulumi import --file` needs to take a fleet, or what of it the state does not have, into a stack whose
 * state is lost, and on standard error what comes next. Reads the state and the APIs and changes nothing.
 */
async function importFile(): Promise<number> {
  const { values } = readArguments({ options: STACK_OPTIONS }, USAGE);
  const stack = await openStack({ stack: values.stack, configFile: values["config-file"] });
  const { settings, hcloud, github, name } = stack;
  const hetzner = await orObstacle(() => hetznerApi(hcloud));
  if ("obstacle" in hetzner) throw new Error(hetznerObstacle(hetzner));
  const atGitHub = await orObstacle(() => githubApi(github));
  if ("obstacle" in atGitHub) {
    throw new Error(githubObstacle(atGitHub, settings.githubUrl, stack.project));
  }
  const [found, manifest, state] = await Promise.all([
    findFleet({ hetzner, github: atGitHub }, stack.prefix, settings),
    readFile(join(__dirname, "..", "package.json"), "utf8"),
    stack.pulumi(["stack", "export", "--stack", name]),
  ]);
  const { dependencies } = JSON.parse(manifest) as { dependencies: Record<string, string> };
  const options = {
    project: stack.project,
    stack: name,
    settings,
    hcloudApi: hetznerBase(hcloud.endpoint),
    githubApi: githubBase(github.endpoint),
    versions: {
      hcloud: dependencies["@pulumi/hcloud"]!,
      github: dependencies["@pulumi/github"]!,
      command: dependencies["@pulumi/command"]!,
    },
  };
  const recorded = recordedResources(state);
  // A roll replaces the hosts that the state has as well.
  const { hosts } = recovery(found, options);
  const recovered = { ...recovery(unrecorded(found, recorded), options), hosts };
  if (recovered.resources.length === 0) {
    throw new Error(
      recorded.length === 0
        ? `Found nothing of the stack ${name} at Hetzner and GitHub: \`pulumi up\` makes all of it.`
        : `Found nothing of the stack ${name} at Hetzner and GitHub that its state does not have: there is nothing to import.`,
    );
  }
  process.stdout.write(`${JSON.stringify({ resources: recovered.resources }, null, 2)}\n`);
  process.stderr.write(
    `${recovered.resources.length} resources. With this output in import.json, and HCLOUD_TOKEN and GITHUB_TOKEN in the environment, next:\n`,
  );
  for (const step of nextSteps(recovered, options, stack.options)) {
    process.stderr.write(`  ${step}\n`);
  }
  return 0;
}

runScript(importFile);
