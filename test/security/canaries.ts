import assert from "node:assert/strict";
import type { LocalCloud } from "../../local-cloud";
import { run } from "../../local-cloud/engine/run";
import type { Scene } from "../../local-cloud/story";

/** Secret texts that must be nowhere in plain text, by what they are. */
export type Canaries = Readonly<Record<string, string>>;

/** The values of all secrets of a stack that is up: those of its configuration, and those that it has drawn itself. */
export async function canariesOf(cloud: LocalCloud, scene: Scene): Promise<Canaries> {
  const found: Record<string, string> = {
    "the admin's GitHub token": cloud.github.tokens.admin,
    "the Hetzner token": cloud.hetzner.token,
    "the organization secret": "local-cloud-registry-password",
    "the key of the GitHub App": lineOf(cloud.github.app.privateKey),
    "the SSH key": lineOf(
      await pulumi(scene, "config", "get", "--path", "ssh.privateKey", "--stack=dev"),
    ),
  };
  const { deployment } = JSON.parse(
    await pulumi(scene, "stack", "export", "--show-secrets", "--stack=dev"),
  ) as {
    deployment: { resources: { type: string; urn: string; outputs?: { result?: unknown } }[] };
  };
  for (const { type, urn, outputs } of deployment.resources) {
    if (type !== "random:index/randomPassword:RandomPassword") continue;
    const name = urn.slice(urn.lastIndexOf("::") + 2);
    const { plaintext } = outputs?.result as { plaintext: string };
    found[`what ${name} has drawn`] = JSON.parse(plaintext) as string;
  }
  assert.ok("what token-service-password has drawn" in found);
  for (const [what, canary] of Object.entries(found)) assert.ok(canary.length >= 20, what);
  return found;
}

/** A line from the middle of a key: the first ones are the same for every key. */
function lineOf(pem: string): string {
  const lines = pem.trim().split("\n");
  const line = lines[Math.floor(lines.length / 2)] ?? "";
  assert.ok(line.length >= 60);
  return line;
}

/** The ways in which a text may stand somewhere without being kept secret. */
function forms(canary: string): string[] {
  return [canary, Buffer.from(canary).toString("base64").replace(/=+$/, "").slice(0, -2)];
}

/** Fails with the name of the secret, never with the secret. */
export function expectNone(where: string, text: string, canaries: Canaries): void {
  for (const [what, canary] of Object.entries(canaries)) {
    assert.ok(!forms(canary).some((form) => text.includes(form)), `${what} stands in ${where}`);
  }
}

async function pulumi(scene: Scene, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run("pulumi", args, { env: scene.stack.environment });
  assert.equal(code, 0, stderr);
  return stdout;
}
