import { drainHost } from "../components/operate/drainHost";
import { reachHost } from "../components/operate/reach";
import { openStack } from "../components/stack/stack";
import { interruptSignal } from "./interruptSignal";
import { readArguments, runScript, STACK_OPTIONS } from "./script";

const USAGE = "expected HOST and, if wanted, --timeout SECONDS and --stack NAME";

/** Takes a host out of service and waits until its jobs are done. Ctrl-C ends the wait alone. */
async function drain(): Promise<number> {
  const { values, positionals } = readArguments(
    {
      allowPositionals: true,
      options: { ...STACK_OPTIONS, timeout: { type: "string" } },
    },
    USAGE,
  );
  const [wanted, ...more] = positionals;
  if (wanted === undefined || more.length > 0) {
    throw new Error(`HOST: found ${positionals.length} names, ${USAGE}.`);
  }
  const timeout = values.timeout === undefined ? undefined : Number(values.timeout);
  if (timeout !== undefined && !(/^\d+$/.test(values.timeout!) && timeout <= 86_400)) {
    throw new Error(
      `--timeout: found ${JSON.stringify(values.timeout)}, expected 0 to 86400 seconds.`,
    );
  }
  const stack = await openStack({ stack: values.stack, configFile: values["config-file"] });
  const reached = await reachHost(stack, wanted, "drain");
  return drainHost(reached, timeout, {
    say: (line) => process.stdout.write(`${line}\n`),
    signal: interruptSignal(),
  });
}

runScript(drain);
