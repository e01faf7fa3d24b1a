import { runOverSsh, SshError } from "../components/host/ssh";
import { logCommand, parseSince } from "../components/operate/logs";
import { reachHost } from "../components/operate/reach";
import { openStack } from "../components/stack/stack";
import { interruptSignal } from "./interruptSignal";
import { readArguments, runScript, STACK_OPTIONS } from "./script";

const USAGE =
  "expected HOST and, if wanted, SLOT, --follow, --since TIME, --lines NUMBER and --stack NAME";

/** How long a log that is not followed may take, in seconds. */
const TIMEOUT = 300;

/** Prints what a host has logged of its runners, or of the token service. */
async function logs(): Promise<number> {
  const { values, positionals } = readArguments(
    {
      allowPositionals: true,
      options: {
        ...STACK_OPTIONS,
        follow: { type: "boolean", default: false },
        since: { type: "string" },
        lines: { type: "string" },
      },
    },
    USAGE,
  );
  const [wanted, slot, ...more] = positionals;
  if (wanted === undefined || more.length > 0) {
    throw new Error(`HOST: found ${positionals.length} names, ${USAGE}.`);
  }
  const query = {
    slot: wholeNumber("SLOT", slot),
    follow: values.follow,
    since: values.since === undefined ? undefined : parseSince(values.since, new Date()),
    lines: wholeNumber("--lines", values.lines),
  };
  const signal = interruptSignal();
  const stack = await openStack({ stack: values.stack, configFile: values["config-file"] });
  const { host, target } = await reachHost(stack, wanted, "logs");
  try {
    await runOverSsh(target, logCommand(host, query), values.follow ? Infinity : TIMEOUT, {
      stdout: process.stdout,
      stderr: process.stderr,
      signal,
    });
  } catch (error) {
    if (!(error instanceof SshError)) throw error;
    // How one stops following.
    if (error.failure === "left") return values.follow ? 0 : 130;
    throw new Error(`The log of ${host.name} cannot be read, ${error.message}.`, { cause: error });
  }
  return 0;
}

function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new Error(`${name}: found ${JSON.stringify(text)}, expected a whole number from 1.`);
}

runScript(logs);
