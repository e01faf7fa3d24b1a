import assert from "node:assert/strict";
import { waitOnline } from "../../../components/host/waitOnline";
import { HostApis, ORGANIZATION } from "./apis";

const HOST = "dev-arm64-1-1";

describe("waitOnline", () => {
  let apis: HostApis;
  beforeEach(async () => {
    apis = await HostApis.open();
  });
  afterEach(() => apis.close());

  const wait = (seconds: number) =>
    waitOnline(
      {
        host: HOST,
        github: apis.github,
        organization: ORGANIZATION,
        names: [`${HOST}-1`, `${HOST}-2`],
      },
      seconds,
      0.05,
    );

  it("ends when a runner of each slot has been online, whatever its last characters are", async () => {
    await (await apis.addRunner(`${HOST}-1-abc123`)).online();
    const second = await apis.addRunner(`${HOST}-2-zzz999`);
    let done = false;
    const waiting = wait(10).then(() => (done = true));
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(done, false);
    await second.online();
    await waiting;
  });

  it("says which runners are missing", async () => {
    await (await apis.addRunner(`${HOST}-1-abc123`)).online();
    await apis.addRunner(`${HOST}-2-abc123`);
    await (await apis.addRunner(`${HOST}2-2-abc123`)).online();
    await assert.rejects(wait(0.3), {
      message: `${HOST}: found no runner online of ${HOST}-2 after 0.3 s, expected 2; what went wrong stands in the journal of ${HOST}, and the next run waits again.`,
    });
  });

  it("gets over a moment in which GitHub does not answer", async () => {
    apis.traffic.addFault({
      side: "github",
      method: "GET",
      path: /\/actions\/runners$/,
      effect: { kind: "drop" },
    });
    for (const slot of [1, 2]) await (await apis.addRunner(`${HOST}-${slot}-abc123`)).online();
    await wait(5);
    assert.deepEqual(apis.traffic.unusedFaults, []);
  });
});
