import assert from "node:assert/strict";
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
