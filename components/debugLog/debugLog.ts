// eslint-disable-next-line @typescript-eslint/no-require-imports -- an import gives a copy, which the SDK does not see
import log = require("@pulumi/pulumi/log");

/**
 * Silences what the SDK itself logs for its developers: whole answers of the engine, with every secret in them in plain
 * text. The engine shows that with `--debug` or `-v` only, but writes it into every event log.
 */
export function silenceDebugLog(): void {
  // The module itself, whose functions the SDK looks up at each call.
  (log as { debug: typeof log.debug }).debug = () => Promise.resolve();
}
