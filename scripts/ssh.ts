import { reachHost } from "../components/operate/reach";
import { runSshClient } from "../components/operate/sshClient";
import { splitCommand } from "../components/operate/splitCommand";
import { openStack } from "../components/stack/stack";
import { interruptSignal } from "./interruptSignal";
import { readArguments, runScript, STACK_OPTIONS } from "./script";

const USAGE = "expected, if wanted, --stack NAME, then HOST and, if wanted, a command";

/** Opens a shell as root on a host, or runs one command there; the exit code is the command's. */
async function ssh(): Promise<number> {
  const { own, host: wanted, command } = splitCommand(process.argv.slice(2));
  const { values } = readArguments({ args: [...own], options: STACK_OPTIONS }, USAGE);
  if (wanted === undefined) throw new Error(`HOST: found nothing, ${USAGE}.`);
  const signal = interruptSignal();
  const stack = await openStack({ stack: values.stack, configFile: values["config-file"] });
  const { target } = await reachHost(stack, wanted, "ssh");
  return runSshClient(target, command, signal);
}

runScript(ssh);
