import assert from "node:assert/strict";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { run } from "../../local-cloud/engine/run";
import { missingCapability } from "../../local-cloud/hosts/prepare";
import { PHASES, Scene } from "../../local-cloud/story";

/** Each phase checks its own claims and throws when one does not hold; see local-cloud/story.ts. */
describe("the life of a fleet, on the real engine and real providers", function () {
  this.timeout("5m");
  this.bail(true);
  let cloud: LocalCloud;
  let scene: Scene;

  before(async () => {
    const missing = missingCapability();
    if (missing !== undefined) process.stderr.write(`    on thin hosts, since ${missing}\n`);
    cloud = await startLocalCloud();
    scene = await Scene.open(cloud);
  });
  after(async () => {
    await scene?.close();
    await cloud?.close();
  });

  for (const phase of PHASES) {
    it(`${phase.name}: ${phase.title}`, async () => {
      await scene.play(phase);
    });
    if (phase.name === "up") {
      it("keeps no secret in plain text in its state, outputs or on a host's disk for all to read", async () => {
        const canaries = await secretTexts(cloud, scene);
        const state = await scene.stack.state();
        const outputs = JSON.stringify(await scene.stack.outputs());
        for (const [what, canary] of Object.entries(canaries)) {
          assert.ok(!state.includes(canary), `${what} stands in the state`);
          assert.ok(!outputs.includes(canary), `${what} stands in the outputs`);
        }
        assert.match(state, /"ciphertext":/);
        for (const server of cloud.hetzner.state.servers.values()) {
          const { userData = "" } = server;
          for (const [what, canary] of Object.entries(canaries)) {
            assert.ok(!userData.includes(canary), `${what} stands in user_data`);
          }
          if (cloud.hosts.kind !== "booted") continue;
          const { stdout } = await cloud.hosts.exec(server.id, [
            "sh",
            "-c",
            // What anybody but root could read, and what process lists and logs show.
            "find / -xdev -type f -perm /o=r -size -1M -not -path '/usr/*' -not -path '/var/lib/*' -exec cat {} + 2>/dev/null; ps axww -o args; journalctl --no-pager",
          ]);
          assert.ok(stdout.length > 10_000);
          for (const [what, canary] of Object.entries(canaries)) {
            assert.ok(!stdout.includes(canary), `${what} can be read on ${server.name}`);
          }
        }
      });
    }
  }
});

/** Texts that must be nowhere: the values of the stack's secrets. */
async function secretTexts(cloud: LocalCloud, scene: Scene): Promise<Record<string, string>> {
  const { code, stdout } = await run(
    "pulumi",
    ["config", "get", "--path", "ssh.privateKey", "--stack=dev"],
    { env: scene.stack.environment },
  );
  assert.equal(code, 0);
  // The second line of it: the first is the same for every key.
  const keyLine = stdout.split("\n")[2] ?? "";
  assert.equal(keyLine.length, 70);
  return {
    "the token": cloud.github.tokens.admin,
    "the Hetzner token": cloud.hetzner.token,
    "the organization secret": "local-cloud-registry-password",
    "the SSH key": keyLine,
  };
}
