import assert from "node:assert/strict";
// eslint-disable-next-line @typescript-eslint/no-require-imports -- an import gives a copy, which the SDK does not see
import log = require("@pulumi/pulumi/log");
import { silenceDebugLog } from "../../../components/debugLog/debugLog";

describe("silenceDebugLog", () => {
  it("replaces the function that the SDK calls, and no other", () => {
    const { debug, info, warn } = log;
    try {
      silenceDebugLog();
      assert.notEqual(log.debug, debug);
      assert.deepEqual([log.info, log.warn], [info, warn]);
      // What the SDK's own modules see is the same object.
      const seen = require.cache[require.resolve("@pulumi/pulumi/log")]?.exports as typeof log;
      assert.equal(seen.debug, log.debug);
    } finally {
      (log as { debug: typeof debug }).debug = debug;
    }
  });
});
