import assert from "node:assert/strict";
import { allEnd, start, steps } from "../local-cloud/hosts/localJobs";

/** A cancelled step has ten seconds to end by itself, as on GitHub's runner. */
describe("jobs as processes of this machine that do not want to end", function () {
  this.timeout(30_000);

  before(function () {
    if (process.platform !== "linux") this.skip();
  });

  it("let steps that run always end when they are cancelled, for longer than a step gets", async () => {
    const job = start(
      steps(
        { run: "echo pid=$$; trap '' INT TERM; sleep 300 & wait; wait" },
        { if: "always()", run: "sleep 1; echo tidied" },
      ),
    );
    const pids = await job.pids(1);
    job.cancel();
    assert.equal((await job.done).result, "cancelled");
    assert.match(job.log(), /^tidied$/m);
    assert.ok(await allEnd(pids));
  });
});
