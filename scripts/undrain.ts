import { undrainHost } from "../components/operate/drainHost";
import { reachHost } from "../components/operate/reach";
import { openStack } from "../components/stack/stack";
import { interruptSignal } from "./interruptSignal";
import { readArguments, runScript, STACK_OPTIONS } from "./script";

const USAGE = "expected HOST and, if wanted, --stack NAME";

/** Puts a host that was drained back into service. */
async function undrain(): Promise<number> {
  const { values, positionals } = readArguments(
    { allowPositionals: true, options: STACK_OPTIONS },
    USAGE,
  );
  const [wanted, ...more] = positionals;
  if (wanted === undefined || more.length > 0) {
    throw new Error(`HOST: found ${positionals.length} names, ${USAGE}.`);
  }
  const stack = await openStack({ stack: values.stack, configFile: values["config-file"] });
  const reached = await reachHost(stack, wanted, "undrain");
  return undrainHost(reached, {
    say: (line) => process.stdout.write(`${line}\n`),
    signal: interruptSignal(),
  });
}

runScript(undrain);
